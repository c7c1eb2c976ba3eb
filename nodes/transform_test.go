package nodes_test

import (
	"reflect"
	"strings"
	"testing"

	"penstock/fault"
	"penstock/nodes/nodetest"
)

const analysis = `{"provider": "local", "summary": "s", "recommendations": [
	{"title": "A", "priority": "high", "actions": ["one", "two"], "score": 3},
	{"title": "B", "priority": "low", "actions": []},
	{"title": "C", "priority": "High", "actions": ["three"], "score": 9}]}`

func TestTransform(t *testing.T) {
	t.Parallel()
	in := nodetest.With(nodetest.Input(&nodetest.World{}),
		nodetest.Result(t, "ai", "intelligence", analysis),
		nodetest.Result(t, "m", "context", `{"system": {"cpu": {"percent": 91.5}, "disk": [{"path": "/", "percent": 40}]}}`),
		nodetest.Result(t, "gone", "context", ""))
	for _, c := range []struct{ name, config, want string }{
		{"mapping without extract reads the output", `{"source_node": "m", "mapping": {"cpu": "system.cpu.percent", "mem": "system.memory.percent"}}`, `{"cpu": 91.5, "mem": null}`},
		{"list positions in paths", `{"source_node": "m", "mapping": {"a": "system.disk[0].percent", "b": "system.disk.0.path", "c": "system.disk[1]", "d": "system.cpu[0]"}}`, `{"a": 40, "b": "/", "c": null, "d": null}`},
		{"the whole output", `{"source_node": "m"}`, `{"system": {"cpu": {"percent": 91.5}, "disk": [{"path": "/", "percent": 40}]}}`},
		{"extract", `{"source_node": "ai", "extract": "recommendations[1].title"}`, `"B"`},
		{"extract of what is not there is null", `{"source_node": "ai", "extract": "findings", "filter_priority": "high"}`, `null`},
		{"priority in any case", `{"source_node": "ai", "extract": "recommendations", "filter_priority": "HIGH", "mapping": {"titles": {"cel": "item.map(r, r.title)"}}}`, `{"titles": ["A", "C"]}`},
		{"filter by expression; entries without the key are not kept", `{"source_node": "ai", "extract": "recommendations", "filter": "item.score > 5", "mapping": {"n": {"cel": "size(item)"}, "first": "[0].title"}}`, `{"n": 1, "first": "C"}`},
		{"both filters", `{"source_node": "ai", "extract": "recommendations", "filter_priority": "high", "filter": "size(item.actions) == 2", "mapping": {"first": "[0].title", "second": "[1].title"}}`, `{"first": "A", "second": null}`},
		{"mapping reads what was extracted", `{"source_node": "ai", "extract": "recommendations[2]", "mapping": {"title": "title", "summary": "summary"}}`, `{"title": "C", "summary": null}`},
		{"a missing key in an expression is null", `{"source_node": "m", "mapping": {"x": {"cel": "item.nothing.here"}, "y": {"cel": "nodes.ai.output.summary"}}}`, `{"x": null, "y": "s"}`},
		{"nothing passes", `{"source_node": "ai", "extract": "recommendations", "filter_priority": "medium"}`, `[]`},
		{"a node without output gives nulls", `{"source_node": "gone", "mapping": {"a": "b"}}`, `{"a": null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := nodetest.Run(t, nodeType(t, "transform"), c.config, in)
			if err != nil {
				t.Fatal(err)
			}
			want := nodetest.Object(t, `{"v": `+c.want+`}`)["v"]
			if !reflect.DeepEqual(out.Data["transformed"], want) {
				t.Errorf("transformed %v, want %s", out.Data["transformed"], c.want)
			}
			if !strings.Contains(c.config, `"`+out.Data["source_node"].(string)+`"`) || out.Data["unverified"] != nil {
				t.Errorf("output %v", out.Data)
			}
		})
	}
}

func TestTransformNotes(t *testing.T) {
	t.Parallel()
	in := nodetest.With(nodetest.Input(&nodetest.World{}), nodetest.Result(t, "ai", "intelligence", analysis), nodetest.Result(t, "gone", "context", ""))
	for config, want := range map[string]string{
		`{"source_node": "ai", "extract": "recommendations", "filter": "item.score > 5"}`: "filter: 1 of 3 entries do not have a key that the expression names; they were not kept.",
		`{"source_node": "gone"}`: "gone has no output, so there is nothing to transform.",
	} {
		out, err := nodetest.Run(t, nodeType(t, "transform"), config, in)
		if err != nil || len(out.Errors) != 1 || out.Errors[0] != want {
			t.Errorf("%s: errors %q, %v", config, out.Errors, err)
		}
	}
	_, err := nodetest.Run(t, nodeType(t, "transform"), `{"source_node": "ai", "extract": "summary", "filter_priority": "high"}`, in)
	if !fault.Is(err, fault.Unprocessable) || !strings.Contains(err.Error(), "needs a list") {
		t.Errorf("error %v", err)
	}
}

func TestTransformKnowsTextOfAI(t *testing.T) {
	t.Parallel()
	in := nodetest.With(nodetest.Input(&nodetest.World{}),
		nodetest.Result(t, "again", "transform", `{"transformed": 1, "source_node": "ai", "unverified": true}`),
		nodetest.Result(t, "ai", "intelligence", `{"provider": "openai", "summary": "s"}`),
		nodetest.Result(t, "rules", "intelligence", `{"provider": "local", "summary": "s"}`),
		nodetest.Result(t, "m", "context", `{"system": {}}`))
	for config, want := range map[string]any{
		`{"source_node": "ai", "extract": "summary"}`:                                   true,
		`{"source_node": "again"}`:                                                      true,
		`{"source_node": "m", "mapping": {"a": {"cel": "nodes.ai.output.summary"}}}`:    true,
		`{"source_node": "m", "mapping": {"a": {"cel": "nodes.rules.output.summary"}}}`: nil,
		`{"source_node": "m"}`:                                                          nil,
		`{"source_node": "rules", "extract": "summary"}`:                                nil,
	} {
		out, err := nodetest.Run(t, nodeType(t, "transform"), config, in)
		if err != nil || out.Data["unverified"] != want {
			t.Errorf("%s: unverified %v, error %v", config, out.Data["unverified"], err)
		}
	}
}

func TestTransformIssues(t *testing.T) {
	t.Parallel()
	source := `{"id": "ai", "type": "intelligence", "config": {"provider": "local"}}`
	for config, want := range map[string]string{
		`{}`:                        `"source_node" is missing`,
		`{"source_node": "absent"}`: `error unknown_node /source_node`,
		`{"source_node": "it"}`:     `error not_upstream /source_node`,
		`{"source_node": "ai", "extract": "a..b"}`:                                             `error bad_value /extract: "a..b" is not a path`,
		`{"source_node": "ai", "extract": "a[x]"}`:                                             `error bad_value /extract`,
		`{"source_node": "ai", "mapping": {"k/1": "a["}}`:                                      `error bad_value /mapping/k~11`,
		`{"source_node": "ai", "mapping": {"k": {"cel": "nope("}}}`:                            `error bad_expression /mapping/k/cel`,
		`{"source_node": "ai", "mapping": {"k": 3}}`:                                           `error wrong_type /mapping/k`,
		`{"source_node": "ai", "mapping": {"k": {"jq": "."}}}`:                                 `/mapping/k`,
		`{"source_node": "ai", "filter": "item.a"}`:                                            `error missing_key /extract`,
		`{"source_node": "ai", "extract": "recommendations", "filter": "item.a == "}`:          `error bad_expression /filter`,
		`{"source_node": "ai", "extract": "recommendations", "filter": "1"}`:                   `error bad_expression /filter`,
		`{"source_node": "ai", "extract": "recommendations", "filter_priority": "hgih"}`:       `warning bad_value /filter_priority`,
		`{"source_node": "ai", "extract": "recommendations", "filter_priority": "HIGH"}`:       ``,
		`{"source_node": "ai", "extract": "[0].a.b[1][2]", "mapping": {"k": {"cel": "item"}}}`: ``,
	} {
		got := issues(t, "transform", config, nil, source)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\nissues: %s\nwant: %s", config, got, want)
		}
	}
}
