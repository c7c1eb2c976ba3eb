package definition_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/engine/definition"
)

func examples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/examples/*.json")
	if err != nil || len(files) != 8 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = data
	}
	return all
}

func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	for name, data := range examples(t) {
		if plan, issues := definition.Check(data, catalog()); plan == nil || len(issues) > 0 {
			t.Errorf("%s: %s", name, lines(issues))
		}
	}
}

func TestSequence(t *testing.T) {
	t.Parallel()
	plan := mustCheck(t, `{"version": "1.0", "nodes": [
		{"id": "c", "type": "context"}, {"id": "a", "type": "context"}, {"id": "b", "type": "context", "when": "nodes.c.has_errors"}]}`)
	if got := order(plan); got != "c a b" {
		t.Errorf("order %s", got)
	}
	b := plan.Nodes[2]
	if want := []definition.Edge{{From: "a"}}; !slices.Equal(b.Needs, want) {
		t.Errorf("needs %v, want %v", b.Needs, want)
	}
	if want := []string{"a", "c"}; !slices.Equal(b.Upstream, want) {
		t.Errorf("upstream %v, want %v", b.Upstream, want)
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	plan := mustCheck(t, `{"version": "1.0", "nodes": [
		{"id": "join", "type": "notify", "config": {"channel": "ops-slack"}},
		{"id": "left", "type": "context", "next": "join"},
		{"id": "start", "type": "condition", "config": {"expression": "payload.x > 1"}, "next": {"true": ["left", "right"], "false": "join"}},
		{"id": "right", "type": "context", "next": "far"},
		{"id": "far", "type": "context", "next": ["join"]},
		{"id": "entry", "type": "context", "next": "join"}]}`)
	if got := order(plan); got != "start left right far entry join" {
		t.Errorf("order %s", got)
	}
	join := plan.Nodes[plan.ByID["join"]]
	if want := []definition.Edge{{From: "start", Outcome: "false"}, {From: "left"}, {From: "far"}, {From: "entry"}}; !slices.Equal(join.Needs, want) {
		t.Errorf("needs %v, want %v", join.Needs, want)
	}
	if want := []string{"entry", "far", "right", "left", "start"}; !slices.Equal(join.Upstream, want) {
		t.Errorf("upstream %v, want %v", join.Upstream, want)
	}
	if join.Position != 0 {
		t.Errorf("position %d", join.Position)
	}
}

// TestOnErrorInAList: what only a failure leads to stands outside the order of the list, and sees
// the node that failed.
func TestOnErrorInAList(t *testing.T) {
	t.Parallel()
	plan := mustCheck(t, `{"version": "1.0", "nodes": [
		{"id": "a", "type": "context", "on_error": "tell"},
		{"id": "tell", "type": "notify", "config": {"channel": "ops-slack", "message": "{{ nodes.a.errors[0] }}"}},
		{"id": "b", "type": "context", "on_error": ["tell"]}]}`)
	if got := order(plan); got != "a b tell" {
		t.Errorf("order %s", got)
	}
	for id, want := range map[string][]definition.Edge{
		"a": nil, "b": {{From: "a"}}, "tell": {{From: "a", OnError: true}, {From: "b", OnError: true}},
	} {
		if got := plan.Nodes[plan.ByID[id]].Needs; !slices.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", id, got, want)
		}
	}
}

func TestPlanResolvesDefaults(t *testing.T) {
	t.Parallel()
	t.Run("nothing written", func(t *testing.T) {
		t.Parallel()
		plan := mustCheck(t, `{"version": "1.0", "nodes": [
			{"id": "c", "type": "context"}, {"id": "i", "type": "intelligence", "config": {"provider": "local"}},
			{"id": "n", "type": "notify", "config": {"driver": "slack"}}]}`)
		for i, want := range []time.Duration{300 * time.Second, 20 * time.Second, 10 * time.Second} {
			if n := plan.Nodes[i]; n.Timeout != want || n.MaxRetries != 3 || !n.Required || n.RunIf != nil || n.SkipIf != nil {
				t.Errorf("%s: %v, %d retries, required %v", n.ID, n.Timeout, n.MaxRetries, n.Required)
			}
		}
	})
	t.Run("the node wins over defaults, and defaults over the type", func(t *testing.T) {
		t.Parallel()
		plan := mustCheck(t, `{"version": "1.0", "defaults": {"max_retries": 5, "timeout_seconds": 60}, "nodes": [
			{"id": "a", "type": "context", "max_retries": 0, "timeout_seconds": 7, "required": false},
			{"id": "n", "type": "notify", "config": {"driver": "slack"}, "skip_if_errors": ["a"]}]}`)
		a, n := plan.Nodes[0], plan.Nodes[1]
		if a.MaxRetries != 0 || a.Timeout != 7*time.Second || a.Required {
			t.Errorf("a: %+v", a)
		}
		if n.MaxRetries != 5 || n.Timeout != time.Minute || !n.Required || !slices.Equal(n.SkipIfErrors, []string{"a"}) {
			t.Errorf("n: %+v", n)
		}
	})
	t.Run("conditions are compiled, the short form included", func(t *testing.T) {
		t.Parallel()
		plan := mustCheck(t, `{"version": "1.0", "nodes": [{"id": "incident", "type": "context"},
			{"id": "b", "type": "context", "when": "payload.x > 1", "skip_if_condition": " incident.has_errors "}]}`)
		b := plan.Nodes[1]
		if b.RunIf.String() != "payload.x > 1" || b.SkipIf.String() != "nodes.incident.has_errors" {
			t.Errorf("%v, %v", b.RunIf, b.SkipIf)
		}
	})
}

func order(plan *definition.Plan) string {
	ids := make([]string, len(plan.Nodes))
	for i, n := range plan.Nodes {
		ids[i] = n.ID
	}
	return strings.Join(ids, " ")
}

// TestRandomGraphs: the order of a plan respects every edge and every upstream list is complete;
// one edge that leads back makes it a cycle.
func TestRandomGraphs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := 2 + r.IntN(30)
		names := r.Perm(size) // the order in the document has nothing to do with the edges
		edges := map[int][]int{}
		for from := range size {
			for to := from + 1; to < size; to++ {
				if r.IntN(size) < 3 || to == from+1 && r.IntN(4) > 0 {
					edges[from] = append(edges[from], to)
				}
			}
		}
		edges[0] = append(edges[0][:len(edges[0]):len(edges[0])], size-1)
		edges[0] = slices.Compact(edges[0])
		plan, issues := definition.Check(document(names, edges), catalog())
		if plan == nil {
			t.Fatalf("seed %d: %s", seed, lines(issues))
		}
		reach := closure(size, edges)
		for from := range size {
			for to := range size {
				a, b := fmt.Sprintf("n%d", from), fmt.Sprintf("n%d", to)
				if reach[from][to] && plan.ByID[a] >= plan.ByID[b] {
					t.Fatalf("seed %d: %s stands before %s in %s", seed, b, a, order(plan))
				}
				upstream := plan.Nodes[plan.ByID[b]].Upstream
				if slices.Contains(upstream, a) != reach[from][to] {
					t.Fatalf("seed %d: upstream of %s is %v", seed, b, upstream)
				}
			}
		}
		back := -1
		for to := range size {
			if reach[to][size-1] && (back < 0 || r.IntN(2) == 0) {
				back = to
			}
		}
		edges[size-1] = append(edges[size-1], back)
		plan, issues = definition.Check(document(names, edges), catalog())
		if plan != nil || !slices.ContainsFunc(issues, func(i definition.Issue) bool { return i.Code == definition.CodeCycle }) {
			t.Fatalf("seed %d: an edge back from n%d to n%d: %s", seed, size-1, back, lines(issues))
		}
	}
}

func document(names []int, edges map[int][]int) []byte {
	nodes := make([]map[string]any, len(names))
	for place, n := range names {
		nodes[place] = map[string]any{"id": fmt.Sprintf("n%d", n), "type": "context"}
		var next []string
		for _, to := range edges[n] {
			next = append(next, fmt.Sprintf("n%d", to))
		}
		if len(next) > 0 {
			nodes[place]["next"] = next
		}
	}
	raw, err := json.Marshal(map[string]any{"version": "1.0", "nodes": nodes})
	if err != nil {
		panic(err)
	}
	return raw
}

func closure(size int, edges map[int][]int) [][]bool {
	reach := make([][]bool, size)
	for from := size - 1; from >= 0; from-- { // edges lead upwards only
		reach[from] = make([]bool, size)
		for _, to := range edges[from] {
			reach[from][to] = true
			for further := range size {
				reach[from][further] = reach[from][further] || reach[to][further]
			}
		}
	}
	return reach
}

func TestNextKeepsItsShortestForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"a"`: `"a"`, `["a"]`: `"a"`, `["a","b"]`: `["a","b"]`,
		`{"true":"a","false":["b","c"],"x":["d"]}`: `{"false":["b","c"],"true":"a","x":"d"}`,
	} {
		var next definition.Next
		if err := json.Unmarshal([]byte(in), &next); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := json.Marshal(next); err != nil || string(got) != want {
			t.Errorf("%s became %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	code := func(document []byte) string {
		_, issues := definition.Check(document, catalog())
		if len(issues) == 0 {
			return ""
		}
		return issues[0].Code
	}
	names := make([]int, definition.MaxNodes+1)
	for i := range names {
		names[i] = i
	}
	if got := code(document(names, nil)); got != definition.CodeTooLarge {
		t.Errorf("%d nodes: %q", len(names), got)
	}
	if got := code(document(names[1:], nil)); got != "" {
		t.Errorf("%d nodes: %q", len(names)-1, got)
	}
	long := func(n int) []byte {
		return fmt.Appendf(nil, `{"version": "1.0", "description": %q, "nodes": [{"id": "a", "type": "context"}]}`, strings.Repeat("x", n))
	}
	if got := code(long(definition.MaxSize)); got != definition.CodeTooLarge {
		t.Errorf("a long text: %q", got)
	}
	if got := code(long(definition.MaxSize - 100)); got != "" {
		t.Errorf("a text that just fits: %q", got)
	}
	if got := code(bytes.Repeat([]byte(" "), definition.MaxInput+1)); got != definition.CodeTooLarge {
		t.Errorf("white space: %q", got)
	}
}

// TestMuchThatIsWrong keeps the work and the answer small for documents that are made to be expensive.
func TestMuchThatIsWrong(t *testing.T) {
	t.Parallel()
	nodes := func(n int, rest string) []byte {
		var b bytes.Buffer
		b.WriteString(`{"version": "1.0", "nodes": [`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"id": "n%d", "type": "context"%s}`, i, rest)
		}
		b.WriteString("]}")
		return b.Bytes()
	}
	many := func(n int, part string) string {
		var parts []string
		for i := range n {
			parts = append(parts, strings.ReplaceAll(part, "N", fmt.Sprint(i)))
		}
		return strings.Join(parts, ", ")
	}
	for name, document := range map[string][]byte{
		"unknown nodes that errors are looked for in": nodes(200, `, "skip_if_errors": [`+many(100, `"xN"`)+`]`),
		"unknown nodes that come next":                nodes(200, `, "next": [`+many(100, `"xN"`)+`]`),
		"unknown keys":                                nodes(200, `, `+many(100, `"keyN": 1`)),
		"unknown keys of settings":                    nodes(200, `, "config": {`+many(100, `"keyN": 1`)+`}`),
		"schedules that never come round":             []byte(`{"version": "1.0", "triggers": {"schedule": [` + many(3000, `{"cron": "0 0 31 2 *"}`) + `]}, "nodes": [{"id": "a", "type": "context"}]}`),
	} {
		_, issues := definition.Check(document, catalog())
		if n := len(issues); n != definition.MaxIssues+1 || issues[n-1].Code != definition.CodeTooMany || issues[n-1].Severity != definition.SeverityError {
			t.Errorf("%s: %d issues, the last %+v", name, n, issues[n-1])
		}
	}
	apart := bytes.Replace(nodes(150, ""), []byte(`"id": "n0", "type": "context"`), []byte(`"id": "n0", "type": "context", "next": "n1", "when": "1"`), 1)
	plan, issues := definition.Check(apart, catalog())
	if n := len(issues); plan != nil || n != definition.MaxIssues+1 || issues[0].Severity != definition.SeverityError || issues[n-1].Severity != definition.SeverityWarning || issues[n-1].Code != definition.CodeTooMany {
		t.Errorf("148 warnings and an error: %d issues, %+v … %+v", n, issues[0], issues[n-1])
	}
	long := nodes(100, fmt.Sprintf(`, "when": "payload.a == '%s'"`, strings.Repeat("x", 1000)))
	if _, issues := definition.Check(long, catalog()); len(issues) != 1 || issues[0].Code != definition.CodeTooLarge {
		t.Errorf("100 KB of expressions: %+v", issues)
	}
	fits := nodes(60, fmt.Sprintf(`, "when": "payload.a == '%s'"`, strings.Repeat("x", 1000)))
	if _, issues := definition.Check(fits, catalog()); len(issues) != 0 {
		t.Errorf("60 KB of expressions: %+v", issues)
	}
}

func TestYAMLIsTheSameDocument(t *testing.T) {
	t.Parallel()
	got, issues := definition.JSON([]byte(`# A pipeline.
version: 1.0
description: |
  two
  lines
defaults: {max_retries: 0x2}
nodes:
  - id: decide
    type: condition
    config: {expression: 'payload.x == "a"'}
    next: {true: page, false: [log, "keep"]}
  - &base
    id: page
    type: notify
    required: no way # text, not a boolean
    config: {driver: slack, driver_config: {n: 1.5, on: true, none: ~, date: 2026-01-01, text: !!str 12}}
  - id: log
    type: notify
    when: >-
      payload.x
      > 1
`))
	want := `{"version":"1.0","description":"two\nlines\n","defaults":{"max_retries":2},"nodes":[` +
		`{"id":"decide","type":"condition","config":{"expression":"payload.x == \"a\""},"next":{"true":"page","false":["log","keep"]}},` +
		`{"id":"page","type":"notify","required":"no way","config":{"driver":"slack","driver_config":{"n":1.5,"on":true,"none":null,"date":"2026-01-01","text":"12"}}},` +
		`{"id":"log","type":"notify","when":"payload.x > 1"}]}`
	if string(got) != want || len(issues) > 0 {
		t.Errorf("got  %s\nwant %s\n%s", got, want, lines(issues))
	}
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	a, b := definition.Checksum(json.RawMessage(`{"a": 1}`)), definition.Checksum(json.RawMessage("{\"a\":\n1}"))
	if a != b || len(a) != 64 {
		t.Errorf("white space matters: %s, %s", a, b)
	}
	if definition.Checksum(json.RawMessage(`{"a":2}`)) == a {
		t.Error("content does not matter")
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range examples(f) {
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/issues/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, document, _ := bytes.Cut(data, []byte("--\n"))
		document, _, _ = bytes.Cut(document, []byte("-- issues"))
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		plan, issues := definition.Check(data, catalog())
		if (plan == nil) != definition.HasErrors(issues) {
			t.Errorf("plan %v, %s", plan, lines(issues))
		}
		for _, i := range issues {
			if i.Code == "" || i.Message == "" || i.Severity == "" {
				t.Errorf("incomplete issue %+v", i)
			}
		}
		if plan != nil { // what is stored is valid too
			text, _ := definition.JSON(data)
			if again, issues := definition.Check(text, catalog()); again == nil {
				t.Errorf("%s is refused after %s: %s", text, data, lines(issues))
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	data := examples(b)["multi-ai-chain.json"]
	c := catalog()
	for b.Loop() {
		if plan, issues := definition.Check(data, c); plan == nil {
			b.Fatal(lines(issues))
		}
	}
}
