package engine_test

import (
	"strings"
	"testing"

	"penstock/db"
	"penstock/fault"
)

func TestIncidentActions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		ctx := t.Context()
		s.routed("any", `{"match": "true"}`)
		id := s.decisions(body(alert{"DiskFull", "db-1", "firing", "critical", "db"}))[0].IncidentID
		do := func(name string, fn func() (*db.Incident, error), want db.IncidentStatus) *db.Incident {
			t.Helper()
			inc, err := fn()
			if err != nil || inc.Status != want {
				t.Fatalf("%s: %v %v, want %s", name, inc, err, want)
			}
			return inc
		}
		acknowledge := func() (*db.Incident, error) { return s.AcknowledgeIncident(ctx, id, "ann") }
		resolve := func() (*db.Incident, error) { return s.ResolveIncident(ctx, id, "bob") }
		closing := func() (*db.Incident, error) { return s.CloseIncident(ctx, id, "bob") }
		reopen := func() (*db.Incident, error) { return s.ReopenIncident(ctx, id, "ann") }

		do("acknowledge", acknowledge, db.IncidentAcknowledged)
		do("acknowledge again", acknowledge, db.IncidentAcknowledged)
		if _, err := reopen(); !fault.Is(err, fault.Conflict) {
			t.Errorf("reopening what is worked on: %v", err)
		}
		do("note", func() (*db.Incident, error) { return s.NoteIncident(ctx, id, " it is the log \n", "ann") }, db.IncidentAcknowledged)
		for _, text := range []string{" \n", strings.Repeat("é", 10_001)} {
			if _, err := s.NoteIncident(ctx, id, text, "ann"); !fault.Is(err, fault.Invalid) {
				t.Errorf("a note of %d bytes: %v", len(text), err)
			}
		}
		do("resolve", resolve, db.IncidentResolved)
		inc := do("reopen", reopen, db.IncidentOpen)
		if inc.Occurrence != 2 || inc.AcknowledgedBy != "" || !inc.ResolvedAt.IsZero() {
			t.Errorf("reopened: %+v", inc)
		}
		if inc = do("close", closing, db.IncidentClosed); inc.ClosedAt.IsZero() || inc.ResolvedAt.IsZero() {
			t.Errorf("closed: %+v", inc)
		}
		if _, err := resolve(); !fault.Is(err, fault.Conflict) {
			t.Errorf("resolving what is closed: %v", err)
		}
		do("reopen what is closed", reopen, db.IncidentOpen)
		do("close again", closing, db.IncidentClosed)
		if other := s.decisions(body(alert{"DiskFull", "db-1", "firing", "warning", "db"}, alert{"DiskFull", "DB-1", "firing", "critical", "x"}))[0].IncidentID; other == id {
			t.Error("an alert of a closed incident did not open another one")
		}
		if _, err := reopen(); !fault.Is(err, fault.Conflict) {
			t.Errorf("reopening beside another incident of the same problem: %v", err)
		}

		byIncident, err := s.store.IncidentActionsByIncident(ctx, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range byIncident[id] {
			got = append(got, strings.TrimSpace(a.Actor+" "+string(a.Kind)+" "+a.Text))
		}
		want := "ann acknowledged, ann note it is the log, bob resolved, ann reopened, bob closed, ann reopened, bob closed"
		if strings.Join(got, ", ") != want {
			t.Errorf("actions are %v", got)
		}
	})
}
