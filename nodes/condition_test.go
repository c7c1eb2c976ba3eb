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
