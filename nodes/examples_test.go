package nodes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/ai/local"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/nodes/nodetest"
)

// example is a definition that the product ships.
func example(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "examples", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var examples = []string{
	"alertmanager-openai-slack", "critical-pagerduty", "health-check", "metrics-without-ai", "high-priority-only",
	"two-analysts", "optional-failing-notify", "context-transform-local", "health-checked", "page-then-explain",
}

// Without any setting made, every example is valid and says what is still to be done.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, name := range examples {
		plan, found := nodetest.Check(types(t), example(t, name), nil)
		if plan == nil {
			t.Errorf("%s is refused: %v", name, found)
		}
		fmt.Fprintf(&b, "%s\n", name)
		for _, i := range found {
			fmt.Fprintf(&b, "  %s %s %s: %s\n", i.Severity, i.Code, i.Path, i.Message)
		}
	}
	golden(t, "examples", []byte(b.String()))
}

// stage is a world in which every driver has a channel, and the analysers are fakes but for local.
func stage(t testing.TB) *nodetest.World {
	t.Helper()
	rules, err := local.Kind(ai.Deps{}).Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	said := func(who string) nodetest.AnalyserFn {
		return nodetest.Says(who+" thinks", ai.Analysis{Model: who + "-1", Summary: who + " sums up.", Recommendations: []ai.Recommendation{
			{Type: "cpu", Priority: "high", Title: "High of " + who, Actions: []string{"Act on high of " + who}},
			{Type: "memory", Priority: "low", Title: "Low of " + who, Actions: []string{"Act on low of " + who}},
		}})
	}
	return &nodetest.World{
		Channels:  map[string]string{"slack": "slack", "pagerduty": "pagerduty", "default": "console", "on-call": "console"},
		Analysers: map[string]nodetest.AnalyserFn{"local": rules.Analyze, "openai": said("openai"), "claude": said("claude")},
		IntakeResult: engine.IntakeResult{
			Source: "alertmanager", IncidentID: "incident-1", Change: "incident-1@1", Changed: true, Severity: db.SeverityCritical,
			Incident: nodetest.Object(t, incident), Alerts: firing(t),
		},
	}
}

func play(t testing.TB, name string, w *nodetest.World, change func(in *engine.Input)) map[string]engine.UpstreamResult {
	t.Helper()
	in := nodetest.Input(w)
	in.Payload = map[string]any{"alerts": []any{}}
	if change != nil {
		change(&in)
	}
	return nodetest.Pipeline(t, types(t), example(t, name), in)
}

func only(t testing.TB, w *nodetest.World) nodetest.Sent {
	t.Helper()
	sent := w.Sent()
	if len(sent) != 1 {
		t.Fatalf("%d messages were sent: %+v", len(sent), sent)
	}
	return sent[0]
}

func says(t testing.TB, m notify.Message, wanted ...string) {
	t.Helper()
	at := 0
	for _, text := range wanted {
		i := strings.Index(m.Text[at:], text)
		if i < 0 {
			t.Fatalf("%q is not there, or not in this place, in the message:\n%s", text, m.Text)
		}
		at += i
	}
}

func TestExamplesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	t.Run("alertmanager-openai-slack", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		play(t, "alertmanager-openai-slack", w, nil)
		if asked := w.Asked()[0].Request; asked.Alerts[0]["labels"].(map[string]any)["team"] != "db" || asked.Incident["title"] != "DiskFull on db-1" {
			t.Errorf("asked %+v", asked)
		}
		sent := only(t, w)
		if sent.Driver != "slack" || sent.Message.Channel != "#incidents" || sent.Message.Title != "DiskFull on db-1" || sent.Message.Severity != "critical" || sent.Message.DedupKey != "penstock/incident-1" {
			t.Errorf("sent %+v", sent)
		}
		says(t, sent.Message, "AI, unverified", "High of openai", "Act on high of openai", "Low of openai", "DiskFull on db-1: critical, firing since", "team=db")
	})
	t.Run("critical-pagerduty", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		results := play(t, "critical-pagerduty", w, nil)
		sent := only(t, w)
		if sent.Driver != "pagerduty" || sent.Message.Action != notify.Trigger || results["analyze"].Output["provider"] != "local" {
			t.Errorf("sent %+v, analysed %v", sent, results["analyze"].Output)
		}
		says(t, sent.Message, "Analysis by local rules:", "db-1", "   - ")
		if strings.Contains(sent.Message.Text, "unverified") {
			t.Error("rules are labelled as AI")
		}
	})
	t.Run("health-check", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		play(t, "health-check", w, nil)
		given := w.Asked()[0].Request.Context
		if len(given) != 1 || given[0].Output["system"].(map[string]any)["cpu"].(map[string]any)["percent"] != 93.5 {
			t.Errorf("the analyser is given %+v", given)
		}
		sent := only(t, w)
		if sent.Message.Channel != "#alerts" || sent.Message.Title != "High of openai" || sent.Message.Severity != "warning" || sent.Message.Host != "penstock-1" {
			t.Errorf("sent %+v", sent.Message)
		}
		says(t, sent.Message, "High of openai", "CPU 93.5 %", "disk / 40 %")
	})
	t.Run("metrics-without-ai", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		play(t, "metrics-without-ai", w, nil)
		if m := only(t, w).Message; m.Text != "cpu: 93.5\nmem: 75" || m.Severity != "info" || len(w.Asked()) > 0 {
			t.Errorf("sent %+v", m)
		}
	})
	t.Run("high-priority-only", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		play(t, "high-priority-only", w, nil)
		m := only(t, w).Message
		says(t, m, "AI, unverified", "High of openai", "Act on high of openai", "CPU 93.5 %")
		if strings.Contains(m.Text, "ow of openai") || m.Title != "High of openai" || m.Severity != "warning" {
			t.Errorf("the filter has no effect: %s, %s\n%s", m.Title, m.Severity, m.Text)
		}
	})
	t.Run("two-analysts", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		play(t, "two-analysts", w, nil)
		if earlier := w.Asked()[1].Request.Earlier; len(earlier) != 1 || earlier[0].NodeID != "analyze_openai" || earlier[0].Output["summary"] != "openai sums up." {
			t.Errorf("the second analyser is given %+v", earlier)
		}
		says(t, only(t, w).Message, "claude sums up.", "High of claude", "Low of claude", "openai sums up.", "High of openai")
	})
	t.Run("optional-failing-notify", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		w.Fails = map[string]error{"generic": fault.New(fault.Unprocessable, "There is no host invalid.invalid.")}
		results := play(t, "optional-failing-notify", w, nil)
		if bad := results["bad_notify"]; bad.Output["status"] != "failed" || bad.Errors[0] != "There is no host invalid.invalid." || results["context"].Output == nil {
			t.Errorf("results %+v", results)
		}
		if string(only(t, w).Config) == "" {
			t.Error("the settings of the node were not used")
		}
	})
	t.Run("context-transform-local", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		results := play(t, "context-transform-local", w, nil)
		if got := results["transform"].Output["transformed"].(map[string]any); got["cpu_pct"] != 93.5 || got["mem_pct"] != int64(75) {
			t.Errorf("transformed %v", got)
		}
		first := results["analyze"].Output["recommendations"].([]any)[0].(map[string]any)
		if first["type"] != "cpu" || !strings.Contains(fmt.Sprint(first["evidence"]), "93.5") {
			t.Errorf("the rules did not see the context: %v", results["analyze"].Output)
		}
	})
	t.Run("demo: the branch that is taken", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		results := play(t, "demo", w, nil)
		if !results["note"].Skipped || results["page"].Skipped || only(t, w).Channel != "on-call" {
			t.Errorf("results %+v", results)
		}
	})
	t.Run("default: a repeat is worked no further", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		w.IntakeResult.Changed = false
		results := play(t, "default", w, func(in *engine.Input) { in.Run.Trigger = db.TriggerWebhook })
		if !results["analyze"].Skipped || !results["notify"].Skipped || len(w.Sent()) > 0 {
			t.Errorf("results %+v", results)
		}
	})
	t.Run("an analyser that is down changes no route", func(t *testing.T) {
		t.Parallel()
		w := stage(t)
		w.Analysers["openai"] = nodetest.Fails(fault.New(fault.Unavailable, "canary"))
		results := play(t, "alertmanager-openai-slack", w, nil)
		sent := only(t, w)
		if results["analyze"].Output["fallback_used"] != true || sent.Message.Channel != "#incidents" || strings.Contains(fmt.Sprint(sent), "canary") {
			t.Errorf("sent %+v", sent)
		}
		says(t, sent.Message, "Analysis by local rules, in place of an analyser that did not answer:")
	})
}

// The published schema says of examples and of their mistakes what validation says.
func TestSchemaKnowsTheSettingsOfKinds(t *testing.T) {
	t.Parallel()
	catalog := definition.Catalog{Types: map[string]definition.Type{}}
	for _, nt := range types(t) {
		catalog.Types[nt.Name] = nt.Type
	}
	schema := string(definition.Schema(catalog))
	if !json.Valid([]byte(schema)) {
		t.Fatal("the schema is not JSON")
	}
	for _, part := range []string{`"webhook_url"`, `"routing_key"`, `"api_key"`, `"const": "pagerduty"`, `"fallback"`} {
		if !strings.Contains(schema, part) {
			t.Errorf("the schema does not know %s", part)
		}
	}
	if reference := string(definition.Reference(catalog)); !strings.Contains(reference, "disk_paths") || !strings.Contains(reference, "| `driver_config` | object |") {
		t.Errorf("the reference does not describe the settings")
	}
}
