package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"penstock/drivers/outbound"
	"penstock/engine"
)

var kindName = regexp.MustCompile(`^[a-z0-9_]+$`)

// TestKinds: every built-in has a plain name and a title, and so has every setting of it: forms,
// completion and the reference are made from them.
func TestKinds(t *testing.T) {
	t.Parallel()
	o := builtIn(t)
	check := func(family, name, title string, schema json.RawMessage) {
		t.Helper()
		if !kindName.MatchString(name) || title == "" {
			t.Errorf("%s %q has the title %q", family, name, title)
		}
		checkTitles(t, family+" "+name, schema)
	}
	for _, k := range o.Sources.All() {
		check("source", k.Name, k.Title, k.Schema)
	}
	for _, k := range o.Notify.All() {
		check("driver", k.Name, k.Title, k.Schema)
	}
	for _, k := range o.AI.All() {
		check("provider", k.Name, k.Title, k.Schema)
	}
	if len(o.Types) < 6 {
		t.Errorf("only %d node types", len(o.Types))
	}
	seen := map[string]bool{}
	for _, k := range o.Types {
		if seen[k.Name] {
			t.Errorf("two node types named %q", k.Name)
		}
		seen[k.Name] = true
		check("node type", k.Name, k.Title, k.Schema)
		if k.Description == "" {
			t.Errorf("node type %q has no description", k.Name)
		}
	}
}

// builtIn are the kinds of kinds.go and package nodes.
func builtIn(t *testing.T) engine.Options {
	t.Helper()
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engineOptions(client, io.Discard)
}

// kindsTable is the table of the README.
func kindsTable(t *testing.T) string {
	t.Helper()
	o := builtIn(t)
	var types, sources, notifiers, providers []string
	for _, k := range o.Types {
		types = append(types, "`"+k.Name+"`")
	}
	for _, k := range o.Sources.All() {
		sources = append(sources, "`"+k.Name+"` ("+k.Title+")")
	}
	for _, k := range o.Notify.All() {
		notifiers = append(notifiers, "`"+k.Name+"` ("+k.Title+")")
	}
	for _, k := range o.AI.All() {
		providers = append(providers, "`"+k.Name+"` ("+k.Title+")")
	}
	var b strings.Builder
	b.WriteString("| family | built in |\n|---|---|\n")
	for _, row := range []struct {
		family string
		names  []string
	}{{"node types", types}, {"alert sources", sources}, {"drivers of `notify`", notifiers}, {"providers of `intelligence`", providers}} {
		fmt.Fprintf(&b, "| %s | %s |\n", row.family, strings.Join(row.names, ", "))
	}
	return b.String()
}

func checkTitles(t *testing.T, where string, schema json.RawMessage) {
	t.Helper()
	var s struct {
		Properties map[string]json.RawMessage
		Items      json.RawMessage
	}
	if json.Unmarshal(schema, &s) != nil { // true and false are schemas too
		return
	}
	for name, property := range s.Properties {
		var p struct{ Title, Description string }
		if err := json.Unmarshal(property, &p); err != nil || p.Title == "" || p.Description == "" {
			t.Errorf("%s: setting %q has the title %q and the description %q", where, name, p.Title, p.Description)
		}
		checkTitles(t, where+"."+name, property)
	}
	if s.Items != nil {
		checkTitles(t, where+"[]", s.Items)
	}
}
