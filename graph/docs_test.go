package graph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// TestTour executes the examples of docs/graphql.md. An answer that stands below an example has the fields of
// the real one.
func TestTour(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/graphql.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	stand := s.seed()
	s.define("look", `[{"id":"look","type":"echo"}]`)
	variables := map[string]any{
		"runId": stand.Replace("$run.ok"), "id": stand.Replace("$incident"), "after": nil,
		"config": map[string]any{"version": "1.0", "nodes": []any{map[string]string{"id": "look", "type": "echo"}}},
		"input":  map[string]any{"name": "new", "config": map[string]any{"version": "1.0", "nodes": []any{map[string]string{"id": "look", "type": "contxt"}}}},
	}
	// run sends an example; a subscription is only checked: streams are followed by their own tests.
	run := func(query string, given map[string]any) json.RawMessage {
		doc, err := parser.ParseQuery(&ast.Source{Input: query})
		if err == nil && doc.Operations[0].Operation == ast.Subscription {
			if errs := validator.ValidateWithRules(schemaOf(), doc, rules.NewDefaultRules()); errs != nil {
				t.Errorf("%v in\n%s", errs, query)
			}
			return nil
		}
		r := s.query("admin", query, given)
		if err != nil || len(r.Errors) > 0 {
			t.Errorf("%s in\n%s", r.Body, query)
		}
		return r.Data
	}
	given := func(query string) map[string]any {
		values := map[string]any{}
		for _, m := range regexp.MustCompile(`\$(\w+):`).FindAllStringSubmatch(query, -1) {
			value, ok := variables[m[1]]
			if !ok {
				t.Errorf("no value for $%s in\n%s", m[1], query)
			}
			values[m[1]] = value
		}
		return values
	}
	block := regexp.MustCompile("(?s)```(graphql|json|console)\n(.*?)```")
	curl := regexp.MustCompile(`(?s)-d '(\{"query": .*?\})'\n`)
	examples, answers := 0, 0
	var data json.RawMessage // of the example before
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		switch m[1] {
		case "graphql":
			examples++
			data = run(m[2], given(m[2]))
		case "json":
			var answer struct{ Data json.RawMessage }
			if err := json.Unmarshal([]byte(m[2]), &answer); err != nil {
				t.Errorf("%v in\n%s", err, m[2])
			}
			if answer.Data == nil || data == nil {
				continue
			}
			answers++
			if got, want := paths(t, answer.Data), paths(t, data); !slices.Equal(got, want) {
				t.Errorf("the answer in the documentation has the fields\n%v\nwant\n%v", got, want)
			}
			data = nil
		case "console":
			for _, c := range curl.FindAllStringSubmatch(m[2], -1) {
				examples++
				var body struct {
					Query     string
					Variables map[string]any
				}
				text := strings.NewReplacer("<run id>", stand.Replace("$run.ok"), "<incident id>", stand.Replace("$incident")).Replace(c[1])
				if err := json.Unmarshal([]byte(text), &body); err != nil {
					t.Errorf("%v in\n%s", err, c[1])
					continue
				}
				run(body.Query, body.Variables)
			}
		}
	}
	if examples < 20 || answers < 2 {
		t.Errorf("found %d examples and %d answers", examples, answers)
	}
}

// paths lists the fields of an answer; items of a list have those of all of them.
func paths(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				found[at+"."+key] = true
				walk(at+"."+key, value)
			}
		case []any:
			for _, item := range v {
				walk(at, item)
			}
		}
	}
	walk("", v)
	return slices.Sorted(maps.Keys(found))
}

// TestReference keeps docs/reference/graphql.md as the schema is.
func TestReference(t *testing.T) {
	t.Parallel()
	const file = "../docs/reference/graphql.md"
	got := reference(schemaOf())
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s is not what the schema is (%v); run: go test ./graph -run TestReference -update", file, err)
	}
}

func reference(schema *ast.Schema) []byte {
	var b bytes.Buffer
	b.WriteString("# GraphQL reference\n\nGenerated from the schema, [graph/schema.graphql](../../graph/schema.graphql). How to use it: [GraphQL](../graphql.md).\n")
	oneLine := func(text string) string {
		return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	}
	typeOf := func(t *ast.Type) string { return "`" + t.String() + "`" }
	fields := func(list ast.FieldList) {
		b.WriteString("\n| field | type | |\n|---|---|---|\n")
		for _, f := range list {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			var args []string
			for _, a := range f.Arguments {
				args = append(args, a.Name+": "+a.Type.String())
			}
			name := f.Name
			if len(args) > 0 {
				name += "(" + strings.Join(args, ", ") + ")"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, typeOf(f.Type), oneLine(f.Description))
		}
	}
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", root.Name, oneLine(root.Description))
		fields(root.Fields)
	}
	titles := map[ast.DefinitionKind]string{
		ast.Interface: "Interfaces", ast.Object: "Types", ast.InputObject: "Inputs", ast.Enum: "Enums", ast.Scalar: "Scalars", ast.Union: "Unions",
	}
	defs := slices.SortedFunc(maps.Values(schema.Types), func(a, b *ast.Definition) int {
		return cmp.Or(cmp.Compare(titles[a.Kind], titles[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
	title := ""
	for _, def := range defs {
		if def.BuiltIn || def == schema.Query || def == schema.Mutation || def == schema.Subscription {
			continue
		}
		if titles[def.Kind] != title {
			title = titles[def.Kind]
			fmt.Fprintf(&b, "\n## %s\n", title)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", def.Name, oneLine(def.Description))
		switch def.Kind {
		case ast.Enum:
			b.WriteString("\n| value | |\n|---|---|\n")
			for _, v := range def.EnumValues {
				fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, oneLine(v.Description))
			}
		case ast.Scalar, ast.Union:
		default:
			fields(def.Fields)
		}
	}
	return b.Bytes()
}
