package main

import (
	"encoding/json"
	"io"
	"regexp"
	"testing"

	"penstock/drivers/outbound"
)

var kindName = regexp.MustCompile(`^[a-z0-9_]+$`)

// TestKinds: every built-in has a plain name and a title, and so has every setting of it: forms,
// completion and the reference are made from them.
func TestKinds(t *testing.T) {
	t.Parallel()
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := engineOptions(client, io.Discard)
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
