package graph

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"penstock/auth"
)

var update = flag.Bool("update", false, "rewrite the golden files and schema.graphql")

func schemaOf() *ast.Schema { return NewExecutableSchema(Config{}).Schema() }

// TestSchemaFile keeps schema.graphql, which clients and breaking-change checks read, as the schema is.
func TestSchemaFile(t *testing.T) {
	var b bytes.Buffer
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(schemaOf())
	if *update {
		if err := os.WriteFile("schema.graphql", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile("schema.graphql"); err != nil || !bytes.Equal(want, b.Bytes()) {
		t.Errorf("schema.graphql is not what the schema is (%v); run: go test ./graph -run TestSchemaFile -update", err)
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for _, def := range schemaOf().Types {
		if def.BuiltIn {
			continue
		}
		need := func(description, what string) {
			if strings.TrimSpace(description) == "" {
				t.Errorf("%s has no description", what)
			}
		}
		need(def.Description, def.Name)
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			need(f.Description, def.Name+"."+f.Name)
			for _, a := range f.Arguments {
				need(a.Description, def.Name+"."+f.Name+"("+a.Name+":)")
			}
		}
		for _, v := range def.EnumValues {
			need(v.Description, def.Name+"."+v.Name)
		}
	}
}

// TestShape checks rules of the schema that no library checks.
func TestShape(t *testing.T) {
	t.Parallel()
	schema := schemaOf()
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, f := range root.Fields {
			if f.Type.NonNull && f.Name != "nodes" && !strings.HasPrefix(f.Name, "__") {
				t.Errorf("%s.%s is not nullable: its error would empty the whole answer", root.Name, f.Name)
			}
		}
	}
	for _, f := range schema.Mutation.Fields {
		name := strings.ToUpper(f.Name[:1]) + f.Name[1:]
		if len(f.Arguments) != 1 || f.Arguments[0].Type.String() != name+"Input!" || f.Type.Name() != name+"Payload" {
			t.Errorf("%s must take input: %sInput! and return %sPayload", f.Name, name, name)
		}
		if errs := schema.Types[f.Type.Name()].Fields.ForName("userErrors"); errs == nil || errs.Type.String() != "[UserError!]!" {
			t.Errorf("%s has no userErrors", f.Type.Name())
		}
	}
	for name, def := range schema.Types {
		if !strings.HasSuffix(name, "Connection") {
			continue
		}
		for field, typ := range map[string]string{"pageInfo": "PageInfo!", "totalCount": "Int!"} {
			if f := def.Fields.ForName(field); f == nil || f.Type.String() != typ {
				t.Errorf("%s.%s must be %s", name, field, typ)
			}
		}
	}
}

// TestCodesAreDocumented finds every code of this package in the enum ErrorCode.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	enum := schemaOf().Types["ErrorCode"].EnumValues
	codes := regexp.MustCompile(`code\w+ += "([A-Z_]+)"`).FindAllSubmatch(source, -1)
	if len(codes) < 15 {
		t.Fatalf("found %d codes", len(codes))
	}
	for _, m := range codes {
		if enum.ForName(string(m[1])) == nil {
			t.Errorf("%s is not in the enum", m[1])
		}
	}
}

// TestMatrix asks for every root field as every kind of caller and compares with the matrix.
func TestMatrix(t *testing.T) {
	t.Parallel()
	s := start(t)
	matrix := auth.Matrix()
	schema := schemaOf()
	fields := 0
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			fields++
			scope, ok := matrix[root.Name+"."+f.Name]
			if !ok {
				t.Errorf("%s.%s is not in auth's matrix", root.Name, f.Name)
				continue
			}
			var given []string
			for _, a := range f.Arguments {
				// A stream that begins would not end: a cursor that is none is refused after the rights are checked.
				if a.Type.NonNull || root == schema.Subscription && a.Name == "after" {
					given = append(given, a.Name+": "+someValue(schema, a.Type))
				}
			}
			call := f.Name
			if len(given) > 0 {
				call += "(" + strings.Join(given, ", ") + ")"
			}
			if schema.Types[f.Type.Name()].IsCompositeType() {
				call += " { __typename }"
			}
			query := strings.ToLower(root.Name) + " { " + call + " }"
			for caller, scopes := range callers {
				t.Run(caller+" "+root.Name+"."+f.Name, func(t *testing.T) {
					accept := wantPlain
					if root == schema.Subscription {
						accept = "Accept: " + mediaStream
					}
					r := s.do(http.MethodPost, "", string(encode(map[string]string{"query": query})), sendJSON, accept, "Authorization: Bearer "+caller)
					p := auth.Principal{Kind: auth.KindToken, ID: caller, Scopes: scopes}
					allowed := scope == auth.Authenticated || p.Has(scope)
					if refused := strings.Contains(string(r.Body), `"`+codeForbidden+`"`); r.Status != 200 || refused == allowed {
						t.Errorf("allowed: %v, got %d %s", allowed, r.Status, r.Body)
					}
				})
			}
		}
	}
	rows := 0
	for key := range matrix {
		if _, path, isRoute := strings.Cut(key, " "); !isRoute && path == "" {
			rows++
		}
	}
	if leading := len(leadingFields(schema)); rows != fields+leading {
		t.Errorf("the matrix has %d fields, the schema %d root fields and %d that lead to other records", rows, fields, leading)
	}
}

// TestViewer compares what a caller is told they may do with the matrix.
func TestViewer(t *testing.T) {
	t.Parallel()
	s := start(t)
	for caller, scopes := range callers {
		var got struct {
			Viewer struct{ Permissions []string }
		}
		if err := json.Unmarshal(s.query(caller, `{ viewer { permissions } }`, nil).Data, &got); err != nil {
			t.Fatal(err)
		}
		p := auth.Principal{Kind: auth.KindToken, ID: caller, Scopes: scopes}
		n := 0
		for key, scope := range auth.Matrix() {
			if strings.Contains(key, " ") {
				continue
			}
			may := (scope == auth.Authenticated || p.Has(scope)) && key != "Mutation.changePassword"
			if slices.Contains(got.Viewer.Permissions, key) != may {
				t.Errorf("%s: %s is told wrongly", caller, key)
			}
			if may {
				n++
			}
		}
		if len(got.Viewer.Permissions) != n || !slices.IsSorted(got.Viewer.Permissions) {
			t.Errorf("%s: %d of %d permissions: %v", caller, len(got.Viewer.Permissions), n, got.Viewer.Permissions)
		}
	}
}

// someValue is a literal of the type, as small as can be: a refusal for its content is no refusal for lack of rights.
func someValue(schema *ast.Schema, t *ast.Type) string {
	if t.Elem != nil {
		return "[" + someValue(schema, t.Elem) + "]"
	}
	switch def := schema.Types[t.NamedType]; {
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case def.Kind == ast.InputObject:
		var fields []string
		for _, f := range def.Fields {
			if f.Type.NonNull {
				fields = append(fields, f.Name+": "+someValue(schema, f.Type))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case strings.HasPrefix(def.Name, "Int"):
		return "1"
	case def.Name == "Boolean":
		return "true"
	case def.Name == "JSON":
		return "{}"
	default:
		return `"x"`
	}
}

// leadingFields are "Type.field" of the fields of a record that lead to another record, or to the
// raw text of a delivery. The attempts of a run are part of it.
func leadingFields(schema *ast.Schema) []string {
	records := map[string]bool{}
	for _, def := range schema.PossibleTypes["Node"] {
		records[def.Name] = def.Name != "StageExecution"
	}
	// A type that is no record leads where its fields lead.
	var leads func(name string, seen map[string]bool) bool
	leads = func(name string, seen map[string]bool) bool {
		name = strings.TrimSuffix(name, "Connection")
		def := schema.Types[name]
		if _, isRecord := records[name]; isRecord || seen[name] || def == nil {
			return records[name]
		}
		seen[name] = true
		return slices.ContainsFunc(def.Fields, func(f *ast.FieldDefinition) bool { return leads(f.Type.Name(), seen) })
	}
	var fields []string
	for _, def := range schema.PossibleTypes["Node"] {
		for _, f := range def.Fields {
			raw := slices.Contains([]string{"Delivery.body", "Delivery.alerts", "PipelineRun.payload"}, def.Name+"."+f.Name)
			if raw || leads(f.Type.Name(), map[string]bool{}) {
				fields = append(fields, def.Name+"."+f.Name)
			}
		}
	}
	return fields
}

// TestPayloadsDoNotLeadToOtherRecords changes things without the scope read, and reads on from there.
func TestPayloadsDoNotLeadToOtherRecords(t *testing.T) {
	t.Parallel()
	matrix := auth.Matrix()
	for _, field := range leadingFields(schemaOf()) {
		object, name, _ := strings.Cut(field, ".")
		if matrix[field] != auth.Read {
			t.Errorf("%s needs %q in the matrix, want %q", field, matrix[field], auth.Read)
		}
		if schemaOf().Types[object].Fields.ForName(name).Type.NonNull {
			t.Errorf("%s is not nullable: its refusal would empty the record", field)
		}
	}

	s := start(t)
	stand := s.seed()
	for name, c := range map[string]struct{ as, query, data string }{
		"a definition": {"edit-only", `mutation { updatePipelineDefinition(input: {name: "echo", description: "x"}) {
			pipelineDefinition { name description runs { nodes { result } } versions { nodes { config } } } } }`,
			`{"updatePipelineDefinition":{"pipelineDefinition":{"name":"echo","description":"x","runs":null,"versions":null}}}`},
		"a run": {"operate-only", `mutation { executePipelineDefinition(input: {name: "echo", incidentId: "$incident"}) {
			run { source definition { config } incident { title } } } }`,
			`{"executePipelineDefinition":{"run":{"source":"api","definition":null,"incident":null}}}`},
		"an incident": {"operate-only", `mutation { acknowledgeIncident(input: {id: "$incident"}) {
			incident { host runs { totalCount } alerts { nodes { labels } } } } }`,
			`{"acknowledgeIncident":{"incident":{"host":"db1","runs":null,"alerts":null}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.query(c.as, stand.Replace(c.query), nil)
			if string(r.Data) != c.data || len(r.Errors) != 2 {
				t.Fatalf("got %s", r.Body)
			}
			for _, e := range r.Errors {
				if e.Extensions["code"] != codeForbidden || len(e.Path) != 3 {
					t.Errorf("error %+v", e)
				}
			}
		})
	}
}
