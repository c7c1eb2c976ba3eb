package nodes_test

import (
	"strings"
	"testing"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/nodes/nodetest"
)

func TestPipeline(t *testing.T) {
	t.Parallel()
	answer := func(status db.RunStatus, final ...ai.NodeOutput) func(engine.SubRun) (engine.SubRunResult, error) {
		return func(in engine.SubRun) (engine.SubRunResult, error) {
			return engine.SubRunResult{RunID: "child", Definition: in.Definition, Version: 3, Status: status, Error: "x failed: no.",
				Failed: []string{"x"}, Final: append(final, ai.NodeOutput{NodeID: "seen", Type: "context", Output: map[string]any{"payload": string(in.Payload)}})}, nil
		}
	}
	run := func(t *testing.T, config string, w *nodetest.World) (engine.Output, error) {
		t.Helper()
		in := nodetest.Input(w)
		in.Payload, in.Incident = nodetest.Object(t, `{"host": "a", "n": 7}`), map[string]any{"title": "Disk"}
		return nodetest.Run(t, nodeType(t, "pipeline"), config, nodetest.With(in, nodetest.Result(t, "m", "context", `{"system": {"disk": [{"percent": 93}]}}`)))
	}
	payload := func(out engine.Output) string {
		return out.Data["nodes"].(map[string]any)["seen"].(map[string]any)["payload"].(string)
	}
	t.Run("hands its payload on and the results back", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub"}`, &nodetest.World{SubRuns: answer(db.RunCompleted)})
		if err != nil || payload(out) != `{"host":"a","n":7}` || out.Data["run_id"] != "child" || out.Data["status"] != "completed" || out.Data["version"] != int64(3) || out.Errors != nil {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("hands on what came as it came", func(t *testing.T) {
		t.Parallel()
		in := nodetest.Input(&nodetest.World{SubRuns: answer(db.RunCompleted)})
		in.Document = []byte(`{"n": 12345678901234567890, "m": 1.10}`)
		if out, err := nodetest.Run(t, nodeType(t, "pipeline"), `{"definition": "sub"}`, in); err != nil || payload(out) != string(in.Document) {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("maps its input", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub", "input": {"host": "payload.host", "used": "nodes.m.output.system.disk[0].percent", "what": "incident.title",
			"none": "payload.gone.away", "sum": {"cel": "payload.n + 1"}, "lost": {"cel": "payload.gone"}}}`, &nodetest.World{SubRuns: answer(db.RunCompleted)})
		if want := `{"host":"a","lost":null,"none":null,"sum":8,"used":93,"what":"Disk"}`; err != nil || payload(out) != want {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("does not wait if told so", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub", "wait": false, "version": 2}`, &nodetest.World{SubRuns: func(in engine.SubRun) (engine.SubRunResult, error) {
			if in.Wait || in.Version != 2 {
				t.Errorf("%+v", in)
			}
			return engine.SubRunResult{RunID: "child", Status: db.RunPending}, nil
		}})
		if err != nil || out.Data["status"] != "pending" || out.Data["nodes"] != nil {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("a partial run is a success that says so", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub"}`, &nodetest.World{SubRuns: answer(db.RunPartial)})
		if err != nil || len(out.Errors) != 1 || out.Errors[0] != "The run child of sub is partial: x failed." {
			t.Errorf("%v, %v", out, err)
		}
	})
	for _, status := range []db.RunStatus{db.RunFailed, db.RunCancelled} {
		t.Run("a "+string(status)+" run fails the node for good", func(t *testing.T) {
			t.Parallel()
			out, err := run(t, `{"definition": "sub"}`, &nodetest.World{SubRuns: answer(status)})
			if _, again := fault.Retryable(err); again || err == nil || fault.Of(err).Message != "The run child of sub is "+string(status)+": x failed: no." || payload(out) == "" {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
	t.Run("what is too large is left out and named", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub"}`, &nodetest.World{SubRuns: answer(db.RunCompleted,
			ai.NodeOutput{NodeID: "big", Type: "context", Output: map[string]any{"x": strings.Repeat("x", 300<<10)}})})
		if err != nil || payload(out) == "" || len(out.Errors) != 1 || !strings.HasPrefix(out.Errors[0], "The output of big (") {
			t.Errorf("%v, %v", out.Errors, err)
		}
	})
	t.Run("text of an AI stays marked", func(t *testing.T) {
		t.Parallel()
		out, err := run(t, `{"definition": "sub"}`, &nodetest.World{SubRuns: answer(db.RunCompleted,
			ai.NodeOutput{NodeID: "ask", Type: "intelligence", Output: map[string]any{"provider": "openai"}})})
		if err != nil || out.Data["unverified"] != true {
			t.Errorf("%v, %v", out.Data, err)
		}
	})
}

func TestPipelineIssues(t *testing.T) {
	t.Parallel()
	catalog := definition.Catalog{Types: map[string]definition.Type{}, Name: "top", Callees: map[definition.Call]definition.Callee{
		{Definition: "leaf"}: {IsActive: true}, {Definition: "off"}: {},
		{Definition: "a"}: {IsActive: true, Calls: []definition.Call{{Definition: "b"}, {Definition: "leaf"}}},
		{Definition: "b"}: {IsActive: true, Calls: []definition.Call{{Definition: "leaf"}, {Definition: "top"}}},
		{Definition: "c"}: {IsActive: true, Calls: []definition.Call{{Definition: "b", Version: 1}}}, {Definition: "b", Version: 1}: {IsActive: true},
	}}
	for _, nt := range types(t) {
		catalog.Types[nt.Name] = nt.Type
	}
	for config, want := range map[string]string{
		`{"definition": "leaf"}`:                         "",
		`{"definition": "c"}`:                            "",
		`{"definition": "b", "version": 1}`:              "",
		`{"definition": "gone"}`:                         `unknown_definition /nodes/1/config/definition There is no pipeline definition "gone". Save it first.`,
		`{"definition": "leaf", "version": 9}`:           `unknown_definition /nodes/1/config/definition The pipeline definition "leaf" has no version 9.`,
		`{"definition": "off"}`:                          `inactive_definition /nodes/1/config/definition The pipeline definition "off" is not active`,
		`{"definition": "top"}`:                          `recursion /nodes/1/config/definition Definitions must not run each other in a circle: top → top.`,
		`{"definition": "a"}`:                            `recursion /nodes/1/config/definition Definitions must not run each other in a circle: top → a → b → top.`,
		`{}`:                                             `missing_key /nodes/1/config "definition" is missing`,
		`{"definition": "leaf", "input": {"x": "host"}}`: `bad_value /nodes/1/config/input/x "host" does not begin with one of payload, `,
		`{"definition": "leaf", "input": {"x": "nodes.gone.output"}}`:   `unknown_node /nodes/1/config/input/x Node "p" refers to "gone"`,
		`{"definition": "leaf", "input": {"x": {"cel": "1 +"}}}`:        `bad_expression /nodes/1/config/input/x/cel`,
		`{"definition": "leaf", "input": {"x": "nodes.m.output.a[0]"}}`: "",
	} {
		_, found := definition.Check([]byte(`{"version": "1.0", "nodes": [{"id": "m", "type": "context"}, {"id": "p", "type": "pipeline", "config": `+config+`}]}`), catalog)
		got := ""
		for _, i := range found {
			got += i.Code + " " + i.Path + " " + i.Message
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", config, got, want)
		}
	}
}
