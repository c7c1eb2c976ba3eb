package graph

import (
	"strings"
	"testing"
)

// TestLiteralsAreExact sends JSON inside the document, with and without variables in it.
func TestLiteralsAreExact(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.define("echo", `[{"id":"a","type":"echo"}]`)
	for name, c := range map[string]struct{ head, literal, want string }{
		"digits and order": {"", `{z: 12345678901234567890123, a: 0.12345678901234567890, n: null, l: [], t: "\u00fc\"", b: true}`,
			`{"z":12345678901234567890123,"a":0.12345678901234567890,"n":null,"l":[],"t":"ü\"","b":true}`},
		"a variable in it":        {"($v: JSON)", `{v: $v, n: 12345678901234567890123, l: [$v, 0.10]}`, `{"l":[1.50,0.10],"n":12345678901234567890123,"v":1.50}`},
		"an unset variable":       {"($u: JSON)", `{u: $u, n: 1}`, `{"n":1}`},
		"a default":               {"($d: JSON = {n: 12345678901234567890123})", `$d`, `{"n":12345678901234567890123}`},
		"the same document again": {"", `{n: 99999999999999999999}`, `{"n":99999999999999999999}`},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time the document is in the cache
				r := s.query("operate", "mutation M"+c.head+` { executePipelineDefinition(input: {name: "echo", payload: `+c.literal+`}) { run { runId } userErrors { message } } }`,
					map[string]any{"v": jsonNumber("1.50")})
				_, id, _ := strings.Cut(string(r.Data), `"runId":"`)
				id, _, _ = strings.Cut(id, `"`)
				run, err := s.store.Run(t.Context(), id)
				if err != nil {
					t.Fatalf("%v: %s", err, r.Body)
				}
				if string(run.Payload) != c.want {
					t.Errorf("stored %s, want %s", run.Payload, c.want)
				}
			}
		})
	}
	t.Run("what does not fit or is no text is refused", func(t *testing.T) {
		for query, code := range map[string]string{
			`{ runs(first: 99999999999999999999) { totalCount } }`:                                                                     "GRAPHQL_VALIDATION_FAILED",
			`mutation { executePipelineDefinition(input: {name: "ö", version: 99999999999999999999}) { run { runId } } }`:              "GRAPHQL_VALIDATION_FAILED",
			`{ run(runId: "\u0000json:{}") { id } }`:                                                                                   codeBadUserInput,
			`mutation { executePipelineDefinition(input: {name: "echo", payload: {a: "\u0000"}}) { run { runId } } }`:                  codeBadUserInput,
			`mutation { executePipelineDefinition(input: {name: "echo", payload: "\u0000json:1"}) { run { runId } } }`:                 codeBadUserInput,
			`mutation { executePipelineDefinition(input: {name: "echo", payload: {a: "\u0000number:{}x"}}) { run { runId } } }`:        codeBadUserInput,
			`mutation($v: JSON) { executePipelineDefinition(input: {name: "echo", payload: {a: "\u0000", v: $v}}) { run { runId } } }`: codeBadUserInput,
		} {
			if r := s.query("operate", query, nil); r.code() != code || strings.Contains(string(r.Body), "number:") {
				t.Errorf("%s: %s", query, r.Body)
			}
		}
	})
}

type jsonNumber string

func (n jsonNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }
