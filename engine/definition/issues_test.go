package definition_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"penstock/engine/definition"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestIssues runs testdata/issues: a definition in, all its issues out. It is not parallel, because
// -update rewrites files that other tests read.
func TestIssues(t *testing.T) {
	files, err := filepath.Glob("testdata/issues/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files) != 2 {
			t.Fatalf("%s has %d files, want the definition and the issues", file, len(archive.Files))
		}
		document, want := archive.Files[0], &archive.Files[1]
		plan, issues := definition.Check(document.Data, catalog())
		for _, i := range issues {
			seen[i.Code] = true
		}
		if (plan == nil) != definition.HasErrors(issues) {
			t.Errorf("%s: plan %v with %s", file, plan, lines(issues))
		}
		got := lines(issues)
		if *update {
			want.Data = []byte(got)
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got != string(want.Data) {
			t.Errorf("%s\ngot:\n%swant:\n%s", file, got, want.Data)
		}
		if strings.TrimSpace(got) == "" {
			t.Errorf("%s has no issue", file)
		}
	}
	for _, code := range []string{
		definition.CodeSyntax, definition.CodeDuplicateKey, definition.CodeMissingVersion, definition.CodeUnsupportedVersion, definition.CodeNoNodes,
		definition.CodeMissingID, definition.CodeBadID, definition.CodeDuplicateID, definition.CodeMissingType, definition.CodeUnknownType,
		definition.CodeUnknownKey, definition.CodeMissingKey, definition.CodeWrongType, definition.CodeBadValue, definition.CodeUnknownNode,
		definition.CodeSelfEdge, definition.CodeCycle, definition.CodeNotUpstream, definition.CodeBranchesForbidden, definition.CodeUnknownOutcome,
		definition.CodeBranchesUnused, definition.CodeUnreached, definition.CodeBadExpression, definition.CodeBadTemplate, definition.CodeShadowedTrigger,
		definition.CodeUnknownProvider, definition.CodeUnknownChannel, definition.CodeUntestedChannel,
		definition.CodeBadCron, definition.CodeUnknownZone,
	} {
		if !seen[code] {
			t.Errorf("no case has the code %s", code)
		}
	}
}
