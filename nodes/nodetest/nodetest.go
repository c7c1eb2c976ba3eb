// Package nodetest runs node types without an engine: a fake [World] in the place of the services,
// and the rules that every node keeps.
package nodetest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// Run builds a node from its configuration and runs it. It checks what holds for every node: the
// schema accepts the configuration, the same input gives the same output, the input stays as it is,
// what comes back is JSON, and an ended context ends the node. The output is as the engine stores it.
func Run(t testing.TB, nt engine.NodeType, config string, in engine.Input) (engine.Output, error) {
	t.Helper()
	if problems := drivers.Compile(nt.Name, nt.Schema).Validate(json.RawMessage(config)); len(problems) > 0 {
		t.Fatalf("the schema of %s refuses %s: %v", nt.Name, config, problems)
	}
	node, err := nt.Build(json.RawMessage(config))
	if err != nil {
		t.Fatalf("build %s from %s: %v", nt.Name, config, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	_, _ = node.Run(ended, in)
	if took := time.Since(began); took > time.Second {
		t.Errorf("%s ran for %v after its context had ended", nt.Name, took)
	}

	before := encode(t, in.Payload, in.Incident, in.Alerts, in.Upstream)
	out, err := stored(t, node, in)
	again, errAgain := stored(t, node, in)
	if encode(t, out.Data, out.Errors, out.Branch) != encode(t, again.Data, again.Errors, again.Branch) || (err == nil) != (errAgain == nil) {
		t.Errorf("%s is not the same when it runs again:\n%v %v\n%v %v", nt.Name, out, err, again, errAgain)
	}
	if encode(t, in.Payload, in.Incident, in.Alerts, in.Upstream) != before {
		t.Errorf("%s changes its input", nt.Name)
	}
	return out, err
}

func stored(t testing.TB, node engine.Node, in engine.Input) (engine.Output, error) {
	t.Helper()
	out, err := node.Run(t.Context(), in)
	if out.Data != nil {
		out.Data = plain(t, out.Data)
	}
	return out, err
}

// plain takes data through JSON, as storing does.
func plain(t testing.TB, data map[string]any) map[string]any {
	t.Helper()
	return Object(t, encode(t, data))
}

func encode(t testing.TB, values ...any) string {
	t.Helper()
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	if len(values) == 1 {
		return string(raw[1 : len(raw)-1])
	}
	return string(raw)
}

// Input is the input of a node of a run by hand; change it to what the test is about.
func Input(w *World) engine.Input {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	in := engine.Input{
		Run: engine.RunInfo{
			ID: "run-1", TraceID: "trace-1", Definition: "standard", DefinitionVersion: 1,
			Source: "api", Environment: "production", Trigger: "api",
		},
		NodeID: "node", Attempt: 1, Key: "run/run-1/node", Now: now,
		Payload: map[string]any{}, Services: w, Emit: w.emit, Log: w.log,
	}
	return With(in)
}

// With adds upstream results, the nearest first, and makes the variables fit the input.
func With(in engine.Input, results ...engine.UpstreamResult) engine.Input {
	in.Upstream = append(results, in.Upstream...)
	in.Vars = expr.Vars{
		Payload: in.Payload, Alerts: in.Alerts, Incident: in.Incident, Nodes: map[string]any{}, Now: in.Now,
		Run: map[string]any{"id": in.Run.ID, "definition": in.Run.Definition, "environment": in.Run.Environment},
	}
	if len(in.Alerts) > 0 {
		in.Vars.Alert = in.Alerts[0]
	}
	for _, u := range in.Upstream {
		output := u.Output
		if output == nil {
			output = map[string]any{}
		}
		in.Vars.Nodes[u.NodeID] = expr.NodeVar(output, u.Errors, u.Skipped)
	}
	return in
}

// Result is the result of an upstream node; output is JSON, "" for none.
func Result(t testing.TB, id, nodeType, output string) engine.UpstreamResult {
	t.Helper()
	r := engine.UpstreamResult{NodeOutput: ai.NodeOutput{NodeID: id, Type: nodeType}}
	if output != "" {
		r.Output = Object(t, output)
	}
	return r
}

// Object decodes a JSON object to plain data.
func Object(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return expr.Plain(object).(map[string]any)
}

// Check validates a document and returns its issues.
func Check(types []engine.NodeType, document string, channels map[string]definition.Channel) (*definition.Plan, []definition.Issue) {
	catalog := definition.Catalog{Types: map[string]definition.Type{}, Channels: channels}
	for _, nt := range types {
		catalog.Types[nt.Name] = nt.Type
	}
	return definition.Check([]byte(document), catalog)
}

// Pipeline works a definition in the order of its plan, each node once, as far as data flow goes:
// branches, SkipRest and what ingest says of the run included, what on_error leads to not. It fails the test if a required node
// fails or the definition is invalid.
func Pipeline(t testing.TB, types []engine.NodeType, document string, in engine.Input) map[string]engine.UpstreamResult {
	t.Helper()
	plan, issues := Check(types, document, in.Services.(*World).catalog())
	if plan == nil {
		t.Fatalf("the definition is invalid: %v", issues)
	}
	byName := map[string]engine.NodeType{}
	for _, nt := range types {
		byName[nt.Name] = nt
	}
	results, branches, rest := map[string]engine.UpstreamResult{}, map[string]string{}, false
	for _, n := range plan.Nodes {
		result := engine.UpstreamResult{NodeOutput: ai.NodeOutput{NodeID: n.ID, Type: n.Type}}
		if rest || !reached(n, results, branches) {
			result.Skipped = true
			results[n.ID] = result
			continue
		}
		var upstream []engine.UpstreamResult
		for _, id := range n.Upstream {
			upstream = append(upstream, results[id])
		}
		in.NodeID, in.Key, in.Upstream = n.ID, "run/"+in.Run.ID+"/"+n.ID, nil
		node, err := byName[n.Type].Build(n.Config)
		if err != nil {
			t.Fatalf("build %s: %v", n.ID, err)
		}
		out, err := stored(t, node, With(in, upstream...))
		result.Output, result.Errors, branches[n.ID] = out.Data, out.Errors, out.Branch
		if err != nil {
			if n.Required {
				t.Fatalf("%s failed: %v", n.ID, err)
			}
			result.Errors = []string{fault.Of(err).Message}
		}
		if out.IncidentID != "" {
			in.Run.IncidentID, in.Run.Change = out.IncidentID, out.Change
			intake := in.Services.(*World).IntakeResult
			in.Incident, in.Alerts = intake.Incident, intake.Alerts
		}
		rest = out.SkipRest != ""
		results[n.ID] = result
	}
	return results
}

func reached(n definition.PlanNode, results map[string]engine.UpstreamResult, branches map[string]string) bool {
	for _, edge := range n.Needs {
		if !edge.OnError && !results[edge.From].Skipped && (edge.Outcome == "" || edge.Outcome == branches[edge.From]) {
			return true
		}
	}
	return len(n.Needs) == 0
}
