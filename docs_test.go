package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"penstock/auth"
	"penstock/engine/definition"
	"penstock/server"
)

var update = flag.Bool("update", false, "rewrite what the documentation holds of the code")

// TestDocsGenerated: what the documentation says of definitions, drivers, settings and routes is what
// the code says of itself.
func TestDocsGenerated(t *testing.T) {
	t.Parallel()
	catalog, err := offlineCatalog()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "docs/reference/definition.md", definition.Reference(catalog))
	golden(t, "docs/reference/drivers.md", driverReference(t))
	between(t, "README.md", "kinds", kindsTable(t))
	between(t, "docs/reference/configuration.md", "flags", flagsTable(append(serveFlags(), remoteFlags()...)))
	between(t, "docs/reference/rest.md", "routes", routesTable(t))
	between(t, "docs/reference/metrics.md", "metrics", metricsTable())
}

// TestDocsComplete: every command and every REST route has a heading of its own.
func TestDocsComplete(t *testing.T) {
	t.Parallel()
	headings := func(file string) []string {
		var list []string
		for line := range strings.Lines(read(t, file)) {
			if text, ok := strings.CutPrefix(line, "#"); ok {
				list = append(list, strings.Trim(text, "# \n"))
			}
		}
		return list
	}
	commandHeadings := headings("docs/reference/cli.md")
	for _, c := range commands().Commands {
		if !c.Hidden && c.Name != "help" && !slices.Contains(commandHeadings, "`"+c.Name+"`") {
			t.Errorf("docs/reference/cli.md: the command %q has no heading", c.Name)
		}
	}
	routeHeadings := headings("docs/reference/rest.md")
	for _, r := range restRoutes(t) {
		if !slices.Contains(routeHeadings, "`"+r.Pattern+"`") {
			t.Errorf("docs/reference/rest.md: the route %q has no heading", r.Pattern)
		}
	}
}

var (
	settingName = regexp.MustCompile(`PENSTOCK_[A-Z_]*[A-Z]`)
	mdLink      = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
)

// TestDocsTrue: the documentation names only settings and files that exist.
func TestDocsTrue(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"PENSTOCK_TEST_POSTGRES": true}
	for _, f := range append(serveFlags(), remoteFlags()...) {
		for _, name := range f.(cli.DocGenerationFlag).GetEnvVars() {
			known[name] = true
		}
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text := read(t, file)
		for _, name := range settingName.FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s names the setting %s, which does not exist", file, name)
			}
		}
		for _, link := range mdLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), link[1])); err != nil {
				t.Errorf("%s: dead link: %v", file, err)
			}
		}
	}
}

// restRoutes are the routes for programs; pages and static files are for browsers.
func restRoutes(t *testing.T) (rest []server.Route) {
	t.Helper()
	routes, err := server.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		_, path, _ := strings.Cut(r.Pattern, " ")
		for _, prefix := range []string{"/orchestration/", "/webhooks/", "/schemas/", "/healthz", "/readyz"} {
			if strings.HasPrefix(path, prefix) {
				rest = append(rest, r)
			}
		}
	}
	return rest
}

func routesTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| route | scope |\n|---|---|\n")
	for _, r := range restRoutes(t) {
		scope := string(r.Scope)
		switch r.Scope {
		case auth.Public:
			scope = "none: public"
		case auth.Authenticated:
			scope = "any"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Pattern, scope)
	}
	return b.String()
}

func metricsTable() string {
	var b strings.Builder
	b.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
	for _, m := range server.Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, m.Labels, tableCell(m.Help))
	}
	return b.String()
}

// TestAlertRules: the example rules name only metrics that exist.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range server.Metrics() {
		known[m.Name] = true
	}
	names := regexp.MustCompile(`penstock_[a-z_]+[a-z]`).FindAllString(read(t, "docs/reference/penstock.rules.yml"), -1)
	if len(names) == 0 {
		t.Error("the rules name no metric")
	}
	for _, name := range names {
		if base := strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"); !known[base] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func flagsTable(flags []cli.Flag) string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, f := range flags {
		doc, name := f.(cli.DocGenerationFlag), f.Names()[0]
		fallback := ""
		if s := f.(*cli.StringFlag); s.Value != "" {
			fallback = "`" + s.Value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", strings.Join(doc.GetEnvVars(), "`, `"), name, fallback, tableCell(doc.GetUsage()))
	}
	return b.String()
}

// driverReference lists the settings of every driver and provider, made from their schemas.
func driverReference(t *testing.T) []byte {
	t.Helper()
	o := builtIn(t)
	var b bytes.Buffer
	b.WriteString("# Drivers and providers\n\n" +
		"Secrets are written as text and stored encrypted: what is shown afterwards is a reference `{\"secret\": \"<name>\"}`.\n" +
		"Administrators may write `{\"env\": \"NAME\"}` instead, which reads a variable of the server's environment.\n" +
		"\n## Drivers of notify\n\nThe `config` of a channel, or the `driver_config` of a `notify` node.\n")
	for _, k := range o.Notify.All() {
		fmt.Fprintf(&b, "\n### `%s` – %s\n%s", k.Name, k.Title, settingsTable(t, k.Schema))
	}
	b.WriteString("\n## Providers of intelligence\n\nThe `provider_config` of an `intelligence` node.\n")
	for _, k := range o.AI.All() {
		fmt.Fprintf(&b, "\n### `%s` – %s\n%s", k.Name, k.Title, settingsTable(t, k.Schema))
	}
	return b.Bytes()
}

func settingsTable(t *testing.T, schema json.RawMessage) string {
	t.Helper()
	type property struct {
		Description string
		Default     json.RawMessage
		Enum        []string
		WriteOnly   bool
	}
	var s struct {
		Properties json.RawMessage
		Required   []string
	}
	var properties map[string]property
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(s.Properties, &properties); err != nil {
		t.Fatal(err)
	}
	if len(properties) == 0 {
		return "\nNo settings.\n"
	}
	var b strings.Builder
	b.WriteString("\n| key | default | meaning |\n|---|---|---|\n")
	for _, key := range keysInOrder(t, s.Properties) {
		p := properties[key]
		fallback := strings.Trim(string(p.Default), `"`)
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		if slices.Contains(s.Required, key) {
			fallback = "required"
		}
		text := p.Description
		if len(p.Enum) > 0 {
			text += " One of `" + strings.Join(p.Enum, "`, `") + "`."
		}
		if p.WriteOnly {
			text += " Secret."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, fallback, tableCell(text))
	}
	return b.String()
}

// keysInOrder are the keys of an object as they are written.
func keysInOrder(t *testing.T, object json.RawMessage) (keys []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func tableCell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// golden compares a whole file with what it should hold.
func golden(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if read(t, file) != string(want) {
		t.Errorf("%s is not what the code says; rewrite it with: go test . -run TestDocsGenerated -update", file)
	}
}

// between compares, or rewrites, the part of a file between <!-- name --> and <!-- /name -->.
func between(t *testing.T, file, name, want string) {
	t.Helper()
	text := read(t, file)
	head, rest, ok := strings.Cut(text, "<!-- "+name+" -->\n")
	_, tail, closed := strings.Cut(rest, "<!-- /"+name+" -->")
	if !ok || !closed {
		t.Fatalf("%s has no part between <!-- %s --> and <!-- /%s -->", file, name, name)
	}
	golden(t, file, []byte(head+"<!-- "+name+" -->\n"+want+"<!-- /"+name+" -->"+tail))
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
