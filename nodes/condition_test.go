package nodes_test

import (
	"strings"
	"testing"

	"penstock/nodes/nodetest"
)

func TestCondition(t *testing.T) {
	t.Parallel()
	in := nodetest.With(nodetest.Input(&nodetest.World{}),
		nodetest.Result(t, "m", "context", `{"system": {"cpu": {"percent": 91}}, "host": "a"}`))
	for _, c := range []struct {
		name, expression string
		result           any
		branch, err      string
	}{
		{"true", "nodes.m.output.system.cpu.percent > 90.5", true, "true", ""},
		{"false", "nodes.m.output.system.cpu.percent > 95", false, "false", ""},
		{"text is the outcome", "nodes.m.output.host == 'a' ? 'primary' : 'replica'", "primary", "primary", ""},
		{"a missing key is an error", "nodes.m.output.system.disk.percent > 90", nil, "", `there is no key "disk"`},
		{"no incident is null", "incident == null", true, "true", ""},
		{"a number is no outcome", "nodes.m.output.system.cpu.percent", nil, "", "true, false or a text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := nodetest.Run(t, nodeType(t, "condition"), `{"expression": "`+c.expression+`"}`, in)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || out.Branch != c.branch || out.Data["result"] != c.result || out.Data["branch"] != c.branch {
				t.Errorf("branch %q, output %v, error %v", out.Branch, out.Data, err)
			}
		})
	}
}

func TestConditionCases(t *testing.T) {
	t.Parallel()
	const config = `{"cases": [{"when": "payload.n > 90", "next": "page"}, {"when": "payload.n > payload.?limit.orValue(50)", "next": ["note", "log"]}], "else": "log"}`
	for payload, want := range map[string]string{`{"n": 95}`: "case 1", `{"n": 60}`: "case 2", `{"n": 1}`: "else", `{"n": 60, "limit": 70}`: "else"} {
		in := nodetest.Input(&nodetest.World{})
		in.Payload = nodetest.Object(t, payload)
		out, err := nodetest.Run(t, nodeType(t, "condition"), config, nodetest.With(in))
		if err != nil || out.Branch != want || out.Data["branch"] != want || out.Data["result"] != want {
			t.Errorf("%s: branch %q, output %v, error %v; want %s", payload, out.Branch, out.Data, err, want)
		}
	}
	in := nodetest.With(nodetest.Input(&nodetest.World{}))
	if _, err := nodetest.Run(t, nodeType(t, "condition"), config, in); err == nil || !strings.Contains(err.Error(), `there is no key "n"`) {
		t.Errorf("error %v", err)
	}
}

func TestConditionCasesIssues(t *testing.T) {
	t.Parallel()
	document := func(config, rest string) string {
		return `{"version": "1.0", "nodes": [{"id": "c", "type": "condition", "config": ` + config + rest + `},
			{"id": "a", "type": "context"}, {"id": "b", "type": "context", "next": "d"}, {"id": "d", "type": "context"}]}`
	}
	for _, c := range []struct{ name, config, rest, want string }{
		{"the edges are the graph", `{"cases": [{"when": "true", "next": "a"}], "else": ["b", "d"]}`, ``, ``},
		{"without else", `{"cases": [{"when": "true", "next": ["a", "b"]}]}`, ``, ``},
		{"an unknown node", `{"cases": [{"when": "true", "next": ["a", "bb"]}]}`, ``, `error unknown_node /nodes/0/config/cases/0/next/1: "c" leads to "bb", but no node has that id`},
		{"an unknown node in else", `{"cases": [{"when": "true", "next": ["a", "b"]}], "else": "x"}`, ``, `error unknown_node /nodes/0/config/else: "c" leads to "x"`},
		{"itself", `{"cases": [{"when": "true", "next": "c"}]}`, ``, `error self_edge /nodes/0/config/cases/0/next`},
		{"does not compile", `{"cases": [{"when": "1 +", "next": ["a", "b"]}]}`, ``, `error bad_expression /nodes/0/config/cases/0/when`},
		{"not true or false", `{"cases": [{"when": "'x'", "next": ["a", "b"]}]}`, ``, `error bad_expression /nodes/0/config/cases/0/when`},
		{"names a node that runs later", `{"cases": [{"when": "nodes.d.has_errors", "next": ["a", "b"]}]}`, ``, `error not_upstream /nodes/0/config/cases/0/when`},
		{"both forms", `{"expression": "true", "cases": [{"when": "true", "next": ["a", "b"]}]}`, ``, `error bad_value /nodes/0/config/expression: A condition has either an expression, whose outcomes next names, or cases.`},
		{"cases and next", `{"cases": [{"when": "true", "next": ["a", "b"]}]}`, `, "next": {"true": "a"}`, `error next_twice /nodes/0/next: The config of node "c" says where the run goes on, and next does too.`},
		{"else alone", `{"expression": "true", "else": "a"}`, ``, `error bad_value /nodes/0/config/else: else belongs to cases.`},
		{"neither form", `{}`, ``, `"expression" is missing`},
		{"a case that leads nowhere", `{"cases": [{"when": "true"}]}`, ``, `"next" is missing`},
		{"an outcome that next does not name", `{"expression": "incident.?severity.orValue('none') == 'critical' ? 'page' : 'note'"}`, `, "next": {"page": "a", "note ": "b"}`, `warning unhandled_outcome /nodes/0/config/expression: Node "c" can have the outcome "note", but next has no key for it: whatever follows is skipped then. Named: note , page.`},
		{"outcomes that next names", `{"expression": "incident != null ? 'page' : 'note'"}`, `, "next": {"page": "a", "note": "b", "other": "d"}`, ``},
		{"an unknown key", `{"cases": [{"when": "true", "next": ["a", "b"], "then": "a"}]}`, ``, `unknown_key /nodes/0/config/cases/0/then`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, found := nodetest.Check(types(t), document(c.config, c.rest), nil)
			var lines []string
			for _, i := range found {
				lines = append(lines, string(i.Severity)+" "+i.Code+" "+i.Path+": "+i.Message)
			}
			if got := strings.Join(lines, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestConditionIssues(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{}`:                                   `"expression" is missing`,
		`{"expression": "1 +"}`:                `error bad_expression /expression`,
		`{"expression": "nodes.x.has_errors"}`: `no node has that id`,
		`{"expression": "foo == 1"}`:           `line 1, column 1: undeclared reference to 'foo'`,
		`{"expression": "1 + 1"}`:              `true, false or a text is needed`,
	} {
		if got := issues(t, "condition", config, nil); !strings.Contains(got, want) {
			t.Errorf("%s\nissues: %s\nwant: %s", config, got, want)
		}
	}
	_, found := nodetest.Check(types(t), `{"version": "1.0", "nodes": [
		{"id": "c", "type": "condition", "config": {"expression": "incident != null"}, "next": {"yes": "a"}},
		{"id": "a", "type": "context"}]}`, nil)
	if len(found) != 1 || found[0].Code != "unknown_outcome" {
		t.Errorf("issues %v", found)
	}
}
