package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

// routed saves a definition with an alert trigger and one node.
func (s *stack) routed(name, trigger string) {
	s.t.Helper()
	config := json.RawMessage(fmt.Sprintf(`{"version":"1.0","triggers":{"alert":%s},"nodes":[{"id":"ingest","type":"ingest"},{"id":"tell","type":"effect"}]}`, trigger))
	if _, _, _, err := s.SaveDefinition(s.t.Context(), engine.DefinitionInput{Name: name, Config: config, Actor: "test"}); err != nil {
		s.t.Fatalf("define %s: %v", name, err)
	}
}

// alert is an Alertmanager alert of its own group.
type alert struct{ name, host, status, severity, team string }

func (a alert) json() string {
	ends := "0001-01-01T00:00:00Z"
	if a.status == "resolved" {
		ends = "2026-01-02T04:00:00Z"
	}
	return fmt.Sprintf(`{"status":%q,"labels":{"alertname":%q,"instance":%q,"severity":%q,"team":%q},"startsAt":"2026-01-02T03:00:00Z","endsAt":%q,"fingerprint":%q}`,
		a.status, a.name, a.host, a.severity, a.team, ends, a.name+a.host)
}

func body(alerts ...alert) []byte {
	list := make([]string, len(alerts))
	for i, a := range alerts {
		list[i] = a.json()
	}
	return []byte(`{"version":"4","groupKey":"k","status":"firing","receiver":"r","alerts":[` + strings.Join(list, ",") + `]}`)
}

// decisions posts a body to be routed and returns what was decided, once it was.
func (s *stack) decisions(body []byte) []db.Decision {
	s.t.Helper()
	a, err := s.Receive(s.t.Context(), engine.Inbound{Body: body, ContentType: "application/json"})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.decided(a.DeliveryID)
}

func (s *stack) decided(deliveryID string) []db.Decision {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		d, err := s.store.Delivery(s.t.Context(), deliveryID)
		if err != nil {
			s.t.Fatal(err)
		}
		if !d.IntakeAt.IsZero() {
			byDelivery, err := s.store.DecisionsByDelivery(s.t.Context(), []string{deliveryID})
			if err != nil {
				s.t.Fatal(err)
			}
			return byDelivery[deliveryID]
		}
	}
	s.t.Fatalf("delivery %s was not taken in", deliveryID)
	return nil
}

// told writes decisions as "change outcome: definition=outcome …", sorted.
func told(decisions []db.Decision) string {
	var lines []string
	for _, d := range decisions {
		line := d.Change + " " + string(d.Outcome) + ":"
		for _, c := range d.Considered {
			line += " " + c.Definition + "=" + string(c.Outcome)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestRouting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("a-db", `{"match": "alert.labels.team == 'db' && incident.severity in ['critical', 'warning']", "priority": 10}`)
		s.routed("b-page", `{"match": "incident.severity == 'critical'", "continue": true, "on": ["created", "reopened"]}`)
		s.routed("c-owned", `{"match": "alert.annotations.owner == 'x'"}`)
		s.routed("z-rest", `{"match": "alert.labels.team != 'nobody'", "priority": 1000}`)
		disk := alert{"DiskFull", "db-1", "firing", "critical", "db"}
		steps := []struct {
			name string
			body []byte
			want string
			runs []string
		}{
			{"the first that matches takes it", body(disk), "created started: a-db=matched", []string{"a-db"}},
			{"a repeat starts nothing and asks nobody", body(disk), "repeated repeat:", nil},
			{
				"continue lets the next have it too, and what is missing is no match",
				body(alert{"CPU", "web-1", "firing", "critical", "web"}),
				"created started: a-db=not_matched b-page=matched c-owned=missing z-rest=matched", []string{"b-page", "z-rest"},
			},
			{
				"each incident of a delivery is decided by itself; nobody wants the second",
				body(alert{"Mem", "db-2", "firing", "warning", "db"}, alert{"Mem", "db-3", "firing", "warning", "nobody"}),
				"created no_route: a-db=not_matched b-page=not_matched c-owned=missing z-rest=not_matched; created started: a-db=matched", []string{"a-db"},
			},
			{
				"a trigger that is not for resolves is passed over",
				body(alert{"CPU", "web-1", "resolved", "critical", "web"}),
				"resolved started: a-db=not_matched b-page=not_on c-owned=missing z-rest=matched", []string{"z-rest"},
			},
			{"the end of what nobody has heard of", body(alert{"Ghost", "web-9", "resolved", "critical", "web"}), "resolved nothing_to_resolve:", nil},
		}
		for _, step := range steps {
			decisions := s.decisions(step.body)
			if got := told(decisions); got != step.want {
				t.Errorf("%s:\n got %s\nwant %s", step.name, got, step.want)
			}
			var runs []string
			for _, d := range decisions {
				for _, c := range d.Considered {
					if c.RunID == "" {
						continue
					}
					r := s.wait(c.RunID)
					runs = append(runs, r.Definition)
					if r.Trigger != db.TriggerAlert || *r.IncidentID != d.IncidentID || r.Status != db.RunCompleted || r.NodeResults["tell"].Skipped {
						t.Errorf("%s: run %+v", step.name, r)
					}
				}
			}
			if !slices.Equal(runs, step.runs) {
				t.Errorf("%s: runs of %v, want %v", step.name, runs, step.runs)
			}
		}
	})
}

func TestRoutingRepeatsOnRequest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match": "true", "on": ["created"]}`)
		s.routed("count", `{"match": "true", "on": ["repeated"]}`)
		one := body(alert{"A", "h", "firing", "info", "t"})
		for _, want := range []string{"created started: all=matched", "repeated started: count=matched"} {
			if got := told(s.decisions(one)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestADecisionShowsWhatTheExpressionSaw(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match": "alert.labels.team == 'db' && has(payload.externalURL)", "priority": 7}`)
		d := s.decisions(body(alert{"A", "h", "firing", "info", "web"}))[0]
		got, _ := json.Marshal(d.Considered)
		want := `[{"definition":"all","version":1,"priority":7,"expression":"alert.labels.team == 'db' \u0026\u0026 has(payload.externalURL)","outcome":"not_matched",` +
			`"values":[{"path":"alert.labels.team","value":"\"web\""},{"path":"payload.externalURL","value":"","missing":true}]}]`
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestABrokenDefinitionLetsTheNextHaveTheAlert(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("broken", `{"match": "true", "priority": 1}`)
		s.routed("rest", `{"match": "true", "priority": 9}`)
		version, err := s.store.Definition(t.Context(), "broken")
		if err != nil {
			t.Fatal(err)
		}
		// As if a newer version had written a node type that this one does not know.
		config := json.RawMessage(strings.Replace(string(version.Config), `"effect"`, `"teleport"`, 1))
		if _, _, err := s.store.SaveDefinition(t.Context(), db.DefinitionSave{Name: "broken", Config: config, NodeCount: 2}); err != nil {
			t.Fatal(err)
		}
		s.routed("rest", `{"match": "true", "priority": 8}`) // forgets what was compiled
		d := s.decisions(body(alert{"A", "h", "firing", "info", "web"}))
		if got := told(d); got != "created started: broken=invalid rest=matched" || !strings.Contains(d[0].Considered[0].Detail, "teleport") {
			t.Errorf("got %s: %+v", got, d[0].Considered[0])
		}
	})
}

func TestADeliveryThatACrashLeftBehindIsRouted(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		batch := json.RawMessage(`{"alerts":[{"name":"A","host":"h","fingerprint":"f","status":"firing","severity":"critical","labels":{},"annotations":{}}]}`)
		d := db.Delivery{
			ID: "0199b000-0000-7000-8000-000000000001", TraceID: "t", Source: "generic", ContentType: "application/json", Headers: map[string]string{},
			Body: []byte(`{"title":"A"}`), Parsed: batch, Status: "accepted", ReceivedAt: time.Now().Add(-time.Hour).UTC(),
		}
		if err := store.Accept(t.Context(), db.Acceptance{Delivery: &d}); err != nil {
			t.Fatal(err)
		}
		s := start(t, store, hub, newScript())
		if got := told(s.decided(d.ID)); got != "created no_route:" {
			t.Errorf("got %s", got)
		}
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		one := body(alert{"A", "h", "firing", "info", "web"})
		a, err := s.Receive(t.Context(), engine.Inbound{Body: one, ContentType: "application/json"})
		if err != nil || a.RunID != nil {
			t.Fatalf("%+v, %v", a, err)
		}
		if got := told(s.decided(a.DeliveryID)); got != "created no_route:" {
			t.Errorf("before there is a definition: %s", got)
		}
		s.routed("all", `{"match": "true"}`)
		b, err := s.Replay(t.Context(), engine.ReplayInput{DeliveryID: a.DeliveryID, Actor: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if got := told(s.decided(b.DeliveryID)); got != "repeated started: all=matched" {
			t.Errorf("sent through again: %s", got)
		}
		d, err := s.store.Delivery(t.Context(), b.DeliveryID)
		if err != nil || d.ReplayOf != a.DeliveryID {
			t.Errorf("replay of %q, %v", d.ReplayOf, err)
		}
		c, err := s.Replay(t.Context(), engine.ReplayInput{DeliveryID: a.DeliveryID, Definition: "all", Actor: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if r := s.wait(*c.RunID); r.NodeResults["tell"].Skipped || r.Trigger != db.TriggerManual {
			t.Errorf("by name: %+v", r)
		}
		s.define("late", `[{"id":"tell","type":"step","when":"incident.host == 'h' && alert.labels.team == 'web'"}]`)
		late, err := s.Replay(t.Context(), engine.ReplayInput{DeliveryID: a.DeliveryID, Definition: "late", Actor: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if r := s.wait(*late.RunID); s.statuses(r) != "completed: tell=succeeded" || r.Trigger != db.TriggerManual || r.IncidentID == nil {
			t.Errorf("a definition without ingest: %s, %+v", s.statuses(r), r)
		}
		if got := told(s.decided(late.DeliveryID)); got != "repeated started: late=named" {
			t.Errorf("a definition without ingest: %s", got)
		}
		plain, err := s.Receive(t.Context(), engine.Inbound{Definition: "late", Body: one, ContentType: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		if plain, err = s.Replay(t.Context(), engine.ReplayInput{DeliveryID: plain.DeliveryID}); err != nil {
			t.Fatal(err)
		}
		if r := s.wait(*plain.RunID); r.IncidentID != nil {
			t.Errorf("what was plain data stays plain data: %+v", r)
		}
		if _, err := s.Replay(t.Context(), engine.ReplayInput{DeliveryID: "nope"}); !fault.Is(err, fault.NotFound) {
			t.Errorf("unknown delivery: %v", err)
		}
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match": "alert.labels.team == 'web'"}`)
		explain := func(id string) *engine.Why {
			t.Helper()
			w, err := engine.Explain(t.Context(), s.store, id)
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		d := s.decisions(body(alert{"A", "h", "firing", "info", "web"}, alert{"B", "h", "firing", "info", "db"}))
		for _, x := range d {
			want := "1 change started a pipeline."
			if x.Outcome == db.DecisionNoRoute {
				want = "1 change matched no active definition (no_route)."
			}
			for _, id := range []string{x.IncidentID, x.AlertIDs[0]} {
				if w := explain(id); w.Answer != want || len(w.Decisions) != 1 || w.Decisions[0].Incident == "" {
					t.Errorf("%s: %+v", want, w)
				}
			}
			if run := x.Considered[0].RunID; run != "" {
				s.wait(run)
				if w := explain(run); w.Kind != "run" || w.Decisions[0].Runs[0].Status != db.RunCompleted || w.Answer != "The alert trigger of all matched." {
					t.Errorf("run: %+v", w)
				}
			}
		}
		if w := explain(d[0].DeliveryID); w.Kind != "delivery" || len(w.Decisions) != 2 {
			t.Errorf("delivery: %+v", w)
		}
		if _, err := engine.Explain(t.Context(), s.store, "nope"); !fault.Is(err, fault.NotFound) {
			t.Errorf("unknown id: %v", err)
		}
	})
}

func TestWhoeverWorkedAnIncidentHearsOfItsEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("page", `{"match": "incident.severity == 'critical'", "priority": 1}`)
		s.routed("quiet", `{"match": "true", "on": ["created"], "priority": 2}`)
		s.routed("rest", `{"match": "true", "priority": 3}`)
		for _, step := range []struct{ status, severity, want string }{
			{"firing", "critical", "created started: page=matched"},
			{"firing", "warning", "severity_changed started: page=not_matched quiet=not_on rest=matched"},
			{"resolved", "warning", "resolved started: page=matched quiet=not_on rest=matched"},
			{"firing", "warning", "reopened started: page=not_matched quiet=not_on rest=matched"},
		} {
			d := s.decisions(body(alert{"Disk", "db", step.status, step.severity, "x"}))
			if got := told(d); got != step.want {
				t.Errorf("%s %s:\n got %s\nwant %s", step.status, step.severity, got, step.want)
			}
		}
	})
}

func TestOldNewsChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match": "true"}`)
		first, err := s.Receive(t.Context(), engine.Inbound{Body: body(alert{"A", "h", "firing", "info", "web"}), ContentType: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		s.decided(first.DeliveryID)
		end := s.decisions(body(alert{"A", "h", "resolved", "info", "web"}))
		again, err := s.Replay(t.Context(), engine.ReplayInput{DeliveryID: first.DeliveryID})
		if err != nil {
			t.Fatal(err)
		}
		if got := told(s.decided(again.DeliveryID)); got != "repeated started: all=matched" {
			t.Errorf("replayed: %s", got)
		}
		inc, err := s.store.Incident(t.Context(), end[0].IncidentID)
		if err != nil || inc.Status != db.IncidentResolved || inc.FiringCount != 0 {
			t.Errorf("the incident is %+v, %v", inc, err)
		}
	})
}

func TestTheDefaultTakesWhatNobodyWants(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("default", `[{"id":"ingest","type":"ingest"}]`)
		s.define("other", `[{"id":"ingest","type":"ingest"}]`)
		s.routed("first", `{"match": "alert.labels.team == 'db'"}`)
		for team, want := range map[string]string{"db": "created started: first=matched", "web": "created started: first=not_matched default=matched"} {
			if got := told(s.decisions(body(alert{"A", team, "firing", "info", team}))); got != want {
				t.Errorf("%s: got %s, want %s", team, got, want)
			}
		}
		config := json.RawMessage(`{"version":"1.0","triggers":{},"nodes":[{"id":"ingest","type":"ingest"}]}`)
		if _, _, _, err := s.SaveDefinition(t.Context(), engine.DefinitionInput{Name: "default", Config: config}); err != nil {
			t.Fatal(err)
		}
		if got := told(s.decisions(body(alert{"B", "h", "firing", "info", "web"}))); got != "created no_route: first=not_matched" {
			t.Errorf("with empty triggers: %s", got)
		}
	})
}
