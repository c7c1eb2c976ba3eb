package definition_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"

	"penstock/engine/definition"
)

// published compiles the schema as any other program would.
func published(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(definition.Schema(catalog())))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://penstock.example"+definition.SchemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://penstock.example" + definition.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSchemaAcceptsTheExamples(t *testing.T) {
	t.Parallel()
	schema := published(t)
	for name, data := range examples(t) {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only validation can see; a schema accepts it.
var beyondSchema = map[string]bool{
	definition.CodeDuplicateID: true, definition.CodeUnknownNode: true, definition.CodeSelfEdge: true, definition.CodeCycle: true,
	definition.CodeNotUpstream: true, definition.CodeUnknownOutcome: true, definition.CodeBadExpression: true, definition.CodeBadTemplate: true,
	definition.CodeUnknownProvider: true, definition.CodeUnknownChannel: true, definition.CodeDuplicateKey: true, definition.CodeTooLarge: true,
	definition.CodeBadCron: true, definition.CodeUnknownZone: true,
}

// TestSchemaAgrees: every broken document that can be read at all is refused by the schema, unless
// all that is wrong with it is beyond a schema.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	schema := published(t)
	files, err := filepath.Glob("testdata/issues/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	refused, accepted := 0, 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := definition.JSON(archive.Files[0].Data)
		if text == nil || strings.Contains(file, "whole-number-with-point") {
			continue // not a document, or 3.0: whole to a schema, refused by us
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want := false
		_, issues := definition.Check(text, catalog())
		for _, i := range issues {
			want = want || i.Severity == definition.SeverityError && !beyondSchema[i.Code]
		}
		if err := schema.Validate(document); (err != nil) != want {
			t.Errorf("%s: the schema says %v, validation says\n%s", file, err, lines(issues))
		} else if want {
			refused++
		} else {
			accepted++
		}
	}
	if refused < 15 || accepted < 15 {
		t.Errorf("%d documents refused and %d accepted by both prove little", refused, accepted)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	const golden = "testdata/reference.golden.md"
	got := definition.Reference(catalog())
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the reference has changed; look at the difference with -update:\n%s", got)
	}
}
