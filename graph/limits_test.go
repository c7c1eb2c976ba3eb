package graph

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// TestAttacks are documents made to cost more than they look. Each is refused with its code, with a
// short answer and little work.
func TestAttacks(t *testing.T) { // not parallel: it measures the process
	s := start(t)
	fan := func(depth, spreads int) string { // fragments that spread the next one: spreads^depth fields
		var b strings.Builder
		b.WriteString("{ runs(first: 1) { nodes { ...f0 } } }")
		for i := range depth {
			fmt.Fprintf(&b, " fragment f%d on PipelineRun { %s }", i, strings.Repeat(fmt.Sprintf("...f%d ", i+1), spreads))
		}
		fmt.Fprintf(&b, " fragment f%d on PipelineRun { runId }", depth)
		return b.String()
	}
	nested := func(depth int) string {
		return "{ run(runId: \"x\") {" + strings.Repeat("parentRun {", depth) + "id" + strings.Repeat("}", depth) + "}}"
	}
	aliases := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d: viewer { name } ", i)
		}
		return "{" + b.String() + "}"
	}
	const circular = `query { __schema { types { fields { type { fields { type { fields { type { fields { type { fields { name } } } } } } } } } } } }`
	many := func(head string, n int, part, tail string) string { // N in part is its number
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			b.WriteString(strings.ReplaceAll(part, "N", fmt.Sprint(i+1)) + " ")
		}
		return b.String() + tail
	}
	for name, c := range map[string]struct{ query, code string }{
		"introspection of each field, often": {many("{ __schema { types {", 29, "aN: fields { name args { name type { name } } }", "} } }"), codeComplexityLimit},
		"introspection that fans out": {many("{", 20, "__schema { types { ...f } }", "}") +
			many(" fragment f on __Type {", 20, "... { fields { name args { name type { name } } } }", "}"), codeComplexityLimit},
		"introspection of a long type, often": {many("{", 20, "aN: __type(name: \"Query\") { ...f }", "}") +
			many(" fragment f on __Type {", 30, "... { fields { name description args { name description } } }", "}"), codeComplexityLimit},
		"aliases in introspection":    {many("{ __schema {", 31, "aN: description", "} }"), codeAliasLimit},
		"conflicts under one alias":   {many("{ runs { nodes {", 90, "x: id x: runId x: traceId x: status x: source", "} } }"), codeAliasLimit},
		"conflicts of arguments":      {many("{ schedules { nodes {", 320, "nextTimes(count: N)", "} } }"), "GRAPHQL_VALIDATION_FAILED"},
		"the schema of all drivers":   {many("{", 20, "pipelineDefinitionSchema nodeTypes { schema } nodeTypes { name }", "}"), codeRootFieldLimit},
		"schemas and times together":  {many("{ pipelineDefinitionSchema nodeTypes { schema }", 18, "aN: scheduleTimes(cron: \"0 0 29 2 *\", count: 100)", "}"), codeComplexityLimit},
		"10,000 aliases":              {aliases(10_000), codeTokenLimit},
		"31 aliases":                  {"{ viewer {" + strings.ReplaceAll(strings.Repeat("aN: name ", 31), "N", "x") + "} }", codeAliasLimit},
		"21 root fields":              {"{" + strings.Repeat("viewer { name } ", 21) + "}", codeRootFieldLimit},
		"50,000 duplicate fields":     {"{" + strings.Repeat("viewer{name} ", 20_000) + "}", codeTokenLimit},
		"duplicate unknown fields":    {"{" + strings.Repeat("a ", 1_900) + "}", codeComplexityLimit},
		"fewer unknown fields":        {"{" + strings.Repeat("a ", 500) + "}", "GRAPHQL_VALIDATION_FAILED"},
		"10,000 directives":           {"{ __typename " + strings.Repeat("@skip(if: false) ", 10_000) + "}", codeTokenLimit},
		"51 directives":               {"{ viewer {" + strings.Repeat("name @skip(if: false) ", 51) + "} }", codeDirectiveLimit},
		"unknown directives":          {"{ __typename " + strings.Repeat("@a ", 900) + "}", codeDirectiveLimit},
		"51 directives of a field":    {"{ viewer { name " + strings.Repeat("@skip(if: false) ", 51) + "} }", codeDirectiveLimit},
		"depth 13":                    {nested(12), codeDepthLimit},
		"depth 490":                   {nested(490), codeDepthLimit},
		"depth 5,000":                 {nested(5_000), codeTokenLimit},
		"inline fragments, deep":      {"{" + strings.Repeat("... {", 600) + "__typename" + strings.Repeat("}", 600) + "}", ""},
		"fragments that fan out":      {fan(60, 5), codeComplexityLimit},
		"fragments that fan out wide": {fan(8, 40), codeComplexityLimit},
		"a circle of fragments":       {"{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", "GRAPHQL_VALIDATION_FAILED"},
		"a fragment in itself":        {"{ ...a } fragment a on Query { ...a }", "GRAPHQL_VALIDATION_FAILED"},
		"circular introspection":      {circular, codeDepthLimit},
		"nested connections": {"{ pipelineDefinitions(first: 100) { nodes { runs(first: 100) { nodes { incident { runs(first: 100) { nodes { id } } } } } } } }",
			codeComplexityLimit},
		"an enormous page": {"{ runs(first: 1000000000) { nodes { id } } }", codeBadUserInput},
		"a negative page":  {"{ runs(first: -1) { nodes { id } } }", codeBadUserInput},
		"1 MB":             {"{ viewer { name } }" + strings.Repeat(" ", 1<<20), codeBadRequest},
		"a long string":    {`{ run(runId: "` + strings.Repeat("x", 200<<10) + `") { id } }`, ""},
		"5,000 variables":  {"query(" + strings.Repeat("$a: Int ", 5_000) + ") { __typename }", codeTokenLimit},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"query": c.query})
			if err != nil {
				t.Fatal(err)
			}
			before, had := cpu(t), allocated()
			r := s.do(http.MethodPost, "", string(body), sendJSON, wantGraphQL)
			spent, took := cpu(t)-before, allocated()-had
			if took > 20<<20 {
				t.Errorf("allocated %d MB", took>>20)
			}
			if r.code() != c.code {
				t.Errorf("code %q, want %q: %.300s", r.code(), c.code, r.Body)
			}
			wantStatus := http.StatusBadRequest
			switch c.code {
			case "":
				wantStatus = http.StatusOK
			case codeBadRequest:
				wantStatus = http.StatusRequestEntityTooLarge
			}
			if r.Status != wantStatus {
				t.Errorf("status %d, want %d", r.Status, wantStatus)
			}
			if len(r.Body) > 16<<10 || len(r.Errors) > 5 {
				t.Errorf("%d bytes, %d errors", len(r.Body), len(r.Errors))
			}
			t.Logf("%v", spent)
			if spent > 100*time.Millisecond { // 50 ms and what the garbage collector adds
				t.Errorf("cost %v of CPU", spent)
			}
		})
	}
	t.Run("limits are 400 for application/json too", func(t *testing.T) {
		if r := s.do(http.MethodPost, "", `{"query":"{`+strings.Repeat("a ", 3000)+`}"}`, sendJSON, wantPlain); r.Status != 400 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
	for name, body := range map[string]string{
		"a batch":               "[" + strings.Repeat(`{"query":"{viewer{name}}"},`, 8_000) + `{"query":"{viewer{name}}"}]`,
		"deep variables":        `{"query":"query($v: JSON!) { __typename }","variables":{"v":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}}`,
		"many variables":        `{"query":"{ __typename }","variables":{` + strings.Repeat(`"a":1,`, 40_000) + `"b":1}}`,
		"a forged global id":    `{"query":"{ nodes(ids: [` + strings.Repeat(`\"x\" `, 101) + `]) { id } }"}`,
		"a forged cursor":       `{"query":"{ runs(after: \"r.` + strings.Repeat("A", 10_000) + `\") { totalCount } }"}`,
		"a cursor of elsewhere": `{"query":"{ runs(after: \"i.MjAyNi0xMS0yMlQyMTo1MjoyMC4zNDczNzFaIHg\") { totalCount } }"}`,
	} {
		t.Run(name, func(t *testing.T) {
			before, had := cpu(t), allocated()
			r := s.do(http.MethodPost, "", body, sendJSON, wantGraphQL)
			if code := r.code(); code != codeBadRequest && code != codeBadUserInput {
				t.Errorf("%d, code %q: %.300s", r.Status, code, r.Body)
			}
			if spent, took := cpu(t)-before, allocated()-had; spent > 100*time.Millisecond || took > 20<<20 || len(r.Body) > 16<<10 {
				t.Errorf("%v of CPU, %d MB, an answer of %d bytes", spent, took>>20, len(r.Body))
			}
		})
	}
}

// TestConnectionsCost asks for every list of the schema: its cost grows with the page.
func TestConnectionsCost(t *testing.T) {
	t.Parallel()
	schema := NewExecutableSchema(Config{Complexity: costs()})
	for name, object := range schema.Schema().Types {
		for _, f := range object.Fields {
			if object.Kind != ast.Object || !strings.HasSuffix(f.Type.Name(), "Connection") {
				continue
			}
			one := 2
			if n, ok := schema.Complexity(t.Context(), name, f.Name, one, map[string]any{"first": int32(100)}); !ok || n < 100*one {
				t.Errorf("%s.%s: a page of 100 costs %d, known: %v", name, f.Name, n, ok)
			}
		}
	}
}

// TestSettingsOfLists has the limits of pages, ids and searches set.
func TestSettingsOfLists(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Page, l.IDs, l.Search = 3, 2, 2 })
	s.define("work", `[{"id": "a", "type": "echo"}]`)
	s.define("rare", `[{"id": "a", "type": "echo"}]`)
	var ids []string
	for _, name := range []string{"rare", "work", "work", "work", "work"} {
		ids = append(ids, s.begin(name))
		s.finish(ids[len(ids)-1])
	}
	for query, want := range map[string]string{
		`{ runs(first: 4) { nodes { id } } }`:                                                           "`first` must be from 1 to 3.",
		`{ nodes(ids: ["x", "y", "z"]) { id } }`:                                                        "Ask for at most 2 ids at once.",
		`{ ...f } fragment f on Query { runs { nodes { incident { runs(last: 4) { totalCount } } } } }`: "`last` must be from 1 to 3.",
	} {
		body := string(encode(map[string]string{"query": query}))
		for _, accept := range []string{wantGraphQL, wantPlain} {
			r := s.do(http.MethodPost, "", body, sendJSON, accept)
			if r.Status != http.StatusBadRequest || len(r.Errors) != 1 || r.Errors[0].Message != want || r.code() != codeBadUserInput {
				t.Errorf("%s: %d %s", query, r.Status, r.Body)
			}
		}
	}
	if r := s.query("read", `{ runs { nodes { id } } }`, nil); strings.Count(string(r.Data), `"id"`) != 3 {
		t.Errorf("a page without a size: %s", r.Data)
	}

	type page struct {
		Runs struct {
			TotalCount int
			Nodes      []struct{ RunID string }
			PageInfo   PageInfo
		}
	}
	search := func(arguments string) (p page) {
		t.Helper()
		r := s.query("read", `{ runs(`+arguments+`) { totalCount nodes { runId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, nil)
		if err := json.Unmarshal(r.Data, &p); err != nil || len(r.Errors) > 0 {
			t.Fatalf("%s", r.Body)
		}
		return p
	}
	const rare = `filter: {search: "rare"}`
	found, pages := "", 0
	for p := search("first: 3, " + rare); ; p = search(fmt.Sprintf(`first: 3, after: %q, %s`, *p.Runs.PageInfo.EndCursor, rare)) {
		pages++
		for _, run := range p.Runs.Nodes {
			found += run.RunID
		}
		if p.Runs.TotalCount != 0 {
			t.Errorf("counted %d among the newest two", p.Runs.TotalCount)
		}
		if !p.Runs.PageInfo.HasNextPage {
			break
		}
	}
	if pages != 3 || found != ids[0] {
		t.Errorf("%d pages, found %q, want %q", pages, found, ids[0])
	}
	back := search("last: 3, " + rare)
	if len(back.Runs.Nodes) != 1 || !back.Runs.PageInfo.HasPreviousPage {
		t.Errorf("from the end: %+v", back)
	}
	before := search(fmt.Sprintf(`last: 3, before: %q, filter: {search: "work"}`, *back.Runs.PageInfo.StartCursor))
	if len(before.Runs.Nodes) != 2 || !before.Runs.PageInfo.HasPreviousPage {
		t.Errorf("further back: %+v", before)
	}
	if p := search(`first: 3, filter: {definition: "rare"}`); len(p.Runs.Nodes) != 1 || p.Runs.TotalCount != 1 || p.Runs.PageInfo.HasNextPage {
		t.Errorf("by definition, which has an index: %+v", p)
	}
	if p := search(fmt.Sprintf(`first: 3, filter: {search: %q}`, ids[0])); len(p.Runs.Nodes) != 1 {
		t.Errorf("a whole id: %+v", p)
	}
}

// TestCost spends a caller's budget.
func TestCost(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Budget, l.Restore, l.Complexity = 1_000, 1, 600 })
	const query = `{"query":"{ runs(first: 100) { nodes { definition { name } incident { title } } } }","extensions":{"cost":true}}`
	ask := func(caller string) result {
		return s.do(http.MethodPost, "", query, sendJSON, "Authorization: Bearer "+caller)
	}
	first := ask("read")
	var got struct {
		Extensions struct{ Cost cost }
	}
	if err := json.Unmarshal(first.Body, &got); err != nil {
		t.Fatal(err)
	}
	c := got.Extensions.Cost
	if first.Status != 200 || c.Requested < 300 || c.Requested > 600 || c.Limit != 600 || c.Budget != 1_000 || c.Remaining < 1_000-c.Requested || c.Remaining > 1_001-c.Requested {
		t.Errorf("%d %+v %s", first.Status, c, first.Body)
	}
	var refused result
	for range 5 {
		if refused = ask("read"); refused.Status != 200 {
			break
		}
	}
	after, _ := refused.Errors[0].Extensions["retryAfter"].(float64)
	if refused.Status != http.StatusTooManyRequests || refused.code() != codeRateLimited || after < 1 || refused.Header.Get("Retry-After") != fmt.Sprint(after) {
		t.Errorf("%d %v %s", refused.Status, refused.Header, refused.Body)
	}
	if other := ask("edit"); other.Status != 200 {
		t.Errorf("another caller: %d %s", other.Status, other.Body)
	}
	socket := s.connect("read")
	socket.subscribe("1", `{ runs(first: 100) { nodes { definition { name } incident { title } } } }`, nil)
	if m := socket.want("error", "1"); !strings.Contains(string(m.Payload), codeRateLimited) {
		t.Errorf("%s", m.Payload)
	}
	if plain := s.query("operate", `{ viewer { name } }`, nil); strings.Contains(string(plain.Body), "extensions") {
		t.Errorf("nobody asked: %s", plain.Body)
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	l, err := ParseLimits(" depth=20, time = 10s ,body=1000")
	if l = l.withDefaults(); err != nil || l.Depth != 20 || l.Time != 10*time.Second || l.Body != 1000 || l.Tokens != 2_000 || l.Sockets != 20 {
		t.Errorf("%+v, %v", l, err)
	}
	for _, text := range []string{"deep=1", "depth", "depth=0", "depth=-1", "depth=1e3", "time=10", "time=-1s", "depth=3,depth=4", "page=5000", "budget=10"} {
		if _, err := ParseLimits(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	docs, err := os.ReadFile("../docs/graphql.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range AllLimits() {
		if row := fmt.Sprintf("| `%s` | %s | %s |", limit.Name, limit.Default, limit.What); !strings.Contains(string(docs), row) {
			t.Errorf("docs/graphql.md lacks\n%s", row)
		}
	}
}

// allocated is how many bytes the process has taken from the heap since its start.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestOrdinaryQueriesFit keeps the limits from refusing what people really ask.
func TestOrdinaryQueriesFit(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, query := range map[string]string{
		"a full page of runs": `{ runs(first: 100) { totalCount pageInfo { hasNextPage endCursor } edges { cursor node {
			id runId traceId status source environment trigger definitionVersion createdAt startedAt finishedAt durationMs error
			definition { name } incident { title } stages { nodeId nodeType attempt status } } } } }`,
		"a run with everything": `query { run(runId: "x") { id runId traceId status source environment trigger definition { name description config tags }
			definitionVersion incident { id title status severity host } parentRun { runId } createdBy createdAt startedAt finishedAt durationMs
			error result waitingFor waitingSince stages { id nodeId nodeType attempt status output errors skipReason startedAt finishedAt durationMs } } }`,
		"incidents with alerts and runs": `{ incidents(first: 25) { nodes { id title status severity alerts(first: 10) { nodes { name status labels } }
			runs(first: 5) { nodes { runId status } } } } }`,
		"introspection as tools send it": introspectionQuery,
	} {
		t.Run(name, func(t *testing.T) {
			if r := s.query("read", query, nil); len(r.Errors) > 0 {
				t.Errorf("%s", r.Body)
			}
		})
	}
}

const introspectionQuery = `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
	types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
	fragment FullType on __Type { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name description
	args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
	inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
	enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
	fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
	fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
	ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`
