package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"penstock/drivers"
	"penstock/engine/expr"
)

// Reference is the documentation of the document and of all node types in Markdown, made from the
// same descriptions as the schema.
func Reference(catalog Catalog) []byte {
	var b bytes.Buffer
	document := parseSchema(drivers.SchemaOf[Document]())
	nodes, _ := document.Properties.Get("nodes")
	defaults, _ := document.Properties.Get("defaults")
	triggers, _ := document.Properties.Get("triggers")

	fmt.Fprintf(&b, "# Definition reference\n\nA pipeline definition is a JSON document; YAML is accepted on input. Version %s. Unknown keys are errors. "+
		"Limits: %d nodes, %d KiB without white space, objects and lists nested at most 64 deep, %d KiB of expressions and templates together. The JSON Schema is served at `%s`.\n",
		Version, MaxNodes, MaxSize>>10, MaxExpressions>>10, SchemaID)
	section(&b, "## Document", document)
	section(&b, "## `triggers`", triggers)
	section(&b, "## `defaults`", defaults)
	section(&b, "## `nodes[]`", nodes.Items)
	fmt.Fprintf(&b, "\n## Expressions\n\n`when`, `skip_if_condition` and conditions are [CEL](https://cel.dev) expressions; text with `{{ CEL }}` holes is a template. "+
		"Both see `%s`. The result of a node that has run before is `nodes.<id>` with `output`, `errors`, `has_errors` and `skipped`. "+
		"An expression has at most %d bytes and %v; a template renders to at most %d bytes. `a.?b.orValue(c)` reads a key that may be missing.\n",
		strings.Join(expr.Names(), "`, `"), expr.MaxSource, expr.Deadline, expr.MaxText)

	b.WriteString("\n## Node types\n")
	for _, name := range sortedKeys(catalog.Types) {
		t := catalog.Types[name]
		config := parseSchema(t.Schema)
		fmt.Fprintf(&b, "\n### `%s` – %s\n\n%s\n", name, t.Title, t.Description)
		if t.Waits {
			b.WriteString("\nAn attempt has no timeout unless one is written.")
		} else {
			fmt.Fprintf(&b, "\nTimeout of an attempt where nothing is written: %v.", timeout(t))
		}
		if t.Branches {
			b.WriteString(" `next` may be an object from outcome to ids.")
		}
		b.WriteString("\n")
		table(&b, config)
		fmt.Fprintf(&b, "\n```json\n%s\n```\n", example(name, config))
	}
	return b.Bytes()
}

func section(b *bytes.Buffer, heading string, s *jsonschema.Schema) {
	fmt.Fprintf(b, "\n%s\n", heading)
	table(b, s)
}

func table(b *bytes.Buffer, s *jsonschema.Schema) {
	if s.Properties.Len() == 0 {
		b.WriteString("\nNo settings.\n")
		return
	}
	b.WriteString("\n| key | type | default | description |\n|---|---|---|---|\n")
	rows(b, s, "")
}

func rows(b *bytes.Buffer, s *jsonschema.Schema, prefix string) {
	for key, property := range s.Properties.FromOldest() {
		fallback := ""
		switch {
		case slices.Contains(s.Required, key):
			fallback = "required"
		case property.Default != nil:
			fallback = "`" + inJSON(property.Default) + "`"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, key, cell(typeText(property)), cell(fallback), cell(describe(property)))
		if prefix == "" && slices.Contains([]string{"nodes", "defaults", "triggers"}, key) {
			continue // they have sections of their own
		}
		if property.Properties.Len() > 0 {
			rows(b, property, prefix+key+".")
		}
		if property.Items != nil && property.Items.Properties.Len() > 0 {
			rows(b, property.Items, prefix+key+"[].")
		}
	}
}

func typeText(s *jsonschema.Schema) string {
	switch {
	case len(s.AnyOf) > 0:
		var words []string
		for _, alternative := range s.AnyOf {
			words = append(words, typeText(alternative))
		}
		return strings.Join(slices.Compact(words), " or ")
	case s.Type == "array" && s.Items != nil:
		return "list of " + typeText(s.Items)
	case s.Type == "string":
		return "text"
	}
	return strings.TrimPrefix(strings.TrimPrefix(typeName(s.Type), "a "), "an ")
}

// describe joins the description with what bounds the value.
func describe(s *jsonschema.Schema) string {
	var parts []string
	if text := s.Description; text != "" {
		parts = append(parts, text)
	} else if s.Title != "" {
		parts = append(parts, s.Title+".")
	}
	if len(s.Enum) > 0 {
		parts = append(parts, "One of: "+joinJSON(s.Enum)+".")
	}
	if s.Items != nil && len(s.Items.Enum) > 0 {
		parts = append(parts, "Any of: "+joinJSON(s.Items.Enum)+".")
	}
	switch {
	case s.Minimum != "" && s.Maximum != "":
		parts = append(parts, fmt.Sprintf("%s to %s.", s.Minimum, s.Maximum))
	case s.Minimum != "":
		parts = append(parts, fmt.Sprintf("At least %s.", s.Minimum))
	case s.Maximum != "":
		parts = append(parts, fmt.Sprintf("At most %s.", s.Maximum))
	}
	if s.WriteOnly {
		parts = append(parts, "Secret: write the text or {\"secret\": \"name\"}.")
	}
	return strings.Join(parts, " ")
}

// example is the smallest node of a type, with the required keys and those that have an example.
func example(name string, config *jsonschema.Schema) string {
	values := map[string]any{}
	for key, property := range config.Properties.FromOldest() {
		switch {
		case len(property.Examples) > 0:
			values[key] = property.Examples[0]
		case !slices.Contains(config.Required, key):
		case property.Default != nil:
			values[key] = property.Default
		case len(property.Enum) > 0:
			values[key] = property.Enum[0]
		default:
			values[key] = map[string]any{"string": "…", "integer": 1, "number": 1, "boolean": true, "array": []any{}, "object": map[string]any{}}[property.Type]
		}
	}
	node := struct {
		ID     string         `json:"id"`
		Type   string         `json:"type"`
		Config map[string]any `json:"config,omitempty"`
	}{name, name, values}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(node); err != nil {
		panic("example of " + name + ": " + err.Error())
	}
	return strings.TrimSpace(b.String())
}

// cell escapes what would end a table cell.
func cell(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }
