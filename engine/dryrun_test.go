package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"penstock/db"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/fault"
)

const dryNodes = `[
	{"id":"take","type":"ingest","next":"pick"},
	{"id":"pick","type":"fork","next":{"page":"page","note":"note"}},
	{"id":"page","type":"effect","required":false,"on_error":"rescue"},
	{"id":"note","type":"step"},
	{"id":"rescue","type":"step"}]`

const dryDraft = `{"version":"1.0","nodes":` + dryNodes + `}`

func TestDryRun(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		sc := newScript()
		sc.on("pick", func(context.Context, engine.Input) (engine.Output, error) {
			return engine.Output{Data: map[string]any{"branch": "page"}, Branch: "page"}, nil
		})
		sc.on("page", func(ctx context.Context, in engine.Input) (engine.Output, error) {
			if in.Incident["host"] != "db-1" {
				t.Errorf("the node sees the incident %v", in.Incident)
			}
			in.Log("about to send")
			d, err := in.Services.Driver(ctx, "pagerduty", json.RawMessage(`{"routing_key":{"secret":"not there"}}`))
			if err != nil {
				return engine.Output{}, err
			}
			if _, err := d.Send(ctx, notify.Message{Title: "Disk full", Text: "…", Channel: "#ops"}); err != nil {
				return engine.Output{}, err
			}
			return engine.Output{}, errors.New("after the message")
		})
		s := start(t, store, hub, sc)

		t.Run("shows what a run would do, and stores nothing", func(t *testing.T) {
			payload := json.RawMessage(`{"alerts":[{"status":"firing","labels":{"alertname":"DiskFull","host":"db-1","severity":"critical"}}]}`)
			got, err := s.DryRun(t.Context(), engine.DryRunInput{Config: json.RawMessage(dryDraft), Payload: payload})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != db.RunPartial || got.Incident["severity"] != "critical" || len(got.Alerts) != 1 {
				t.Errorf("status %s, incident %v, alerts %v", got.Status, got.Incident, got.Alerts)
			}
			want := map[string]db.StageStatus{"take": db.StageSucceeded, "pick": db.StageSucceeded, "page": db.StageFailed, "note": db.StageSkipped, "rescue": db.StageSucceeded}
			for _, n := range got.Nodes {
				if n.Status != want[n.NodeID] {
					t.Errorf("%s is %s, want %s: %v", n.NodeID, n.Status, want[n.NodeID], n.Errors)
				}
			}
			page := got.Nodes[2]
			if len(page.Messages) != 1 || page.Messages[0].Driver != "pagerduty" || page.Messages[0].Destination != "#ops" || len(page.Notes) != 1 {
				t.Errorf("page would send %+v, notes %v", page.Messages, page.Notes)
			}
			runs, err := store.CountRuns(t.Context(), db.RunFilter{})
			incidents, err2 := store.CountIncidents(t.Context(), db.IncidentFilter{})
			alerts, err3 := store.CountAlerts(t.Context(), db.AlertFilter{})
			if err := errors.Join(err, err2, err3); err != nil || runs+incidents+alerts != 0 {
				t.Errorf("%d runs, %d incidents, %d alerts were stored (%v)", runs, incidents, alerts, err)
			}
		})

		t.Run("a draft with errors is refused with all of them", func(t *testing.T) {
			_, err := s.DryRun(t.Context(), engine.DryRunInput{Config: json.RawMessage(`{"version":"1.0","nodes":[{"id":"a","type":"gone"}]}`)})
			if invalid, ok := errors.AsType[*engine.InvalidError](err); !ok || len(invalid.Validation.Errors) == 0 {
				t.Errorf("got %v", err)
			}
		})

		t.Run("an earlier run gives payload and incident", func(t *testing.T) {
			s.define("real", dryNodes)
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "real", Payload: json.RawMessage(`{"alerts":[{"status":"firing","labels":{"alertname":"DiskFull","host":"db-1"}}]}`)})
			if err != nil {
				t.Fatal(err)
			}
			s.wait(run.ID)
			got, err := s.DryRun(t.Context(), engine.DryRunInput{Config: json.RawMessage(dryDraft), RunID: run.ID})
			if err != nil || got.Incident["host"] != "db-1" || got.Incident["id"] == nil {
				t.Errorf("incident %v (%v)", got.Incident, err)
			}
		})
	})
}

func TestTryMatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match":"true"}`)
		s.decisions(body(alert{name: "Disk", host: "db-1"}, alert{name: "Load", host: "web-1"}))
		got, err := s.TryMatch(t.Context(), "alert.host == 'db-1' && incident.host == alert.host", 50)
		if err != nil || len(got) != 2 {
			t.Fatalf("%v (%v)", got, err)
		}
		for _, tried := range got {
			if hit := tried.Considered.Outcome == db.ConsideredMatched; hit != (tried.Alert.Host == "db-1") {
				t.Errorf("%s: %+v", tried.Alert.Host, tried.Considered)
			}
		}
		for rule, hits := range map[string]int{"size(payload.alerts) == 2": 2, "size(payload.alerts) == 3": 0} {
			got, err := s.TryMatch(t.Context(), rule, 50)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, tried := range got {
				if tried.Considered.Outcome == db.ConsideredMatched {
					n++
				}
			}
			if n != hits {
				t.Errorf("%s matches %d alerts, want %d", rule, n, hits)
			}
		}
		if _, err := s.TryMatch(t.Context(), "alert.host ==", 50); fault.Of(err).Code != fault.Unprocessable {
			t.Errorf("a rule that does not compile: %v", err)
		}
	})
}

func TestDryRunOfRepeat(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("named", `[{"id":"ingest","type":"ingest"},{"id":"tell","type":"effect"}]`)
		var last engine.RunResult
		for range 2 {
			a, err := s.Receive(t.Context(), engine.Inbound{Definition: "named", Body: body(alert{name: "Disk", host: "db-1"}), ContentType: "application/json"})
			if err != nil {
				t.Fatal(err)
			}
			last = s.wait(*a.RunID)
		}
		if last.NodeResults["tell"].SkipReason != "repeat" {
			t.Fatalf("the second run: %+v", last)
		}
		def, err := s.store.Definition(t.Context(), "named")
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.DryRun(t.Context(), engine.DryRunInput{Definition: "named", Config: def.Config, RunID: last.RunID})
		if err != nil || len(got.Nodes[0].Notes) == 0 || got.Nodes[1].Status != db.StageSucceeded {
			t.Errorf("it shows what follows, and says that a run would end: %+v (%v)", got, err)
		}
	})
}
