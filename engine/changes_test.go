package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
)

// TestWatchChanges follows on one process what another one does; on SQLite there is one.
func TestWatchChanges(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		open := func() *stack {
			hub := engine.NewHub()
			return start(t, dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish}), hub, newScript())
		}
		works := open()
		follows := works
		if works.store.Dialect() == "postgres" {
			follows = open()
		}
		works.define("one", `[{"id":"a","type":"step"}]`)
		from, err := works.store.LastChange(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		live := make(chan engine.RecordChange, 1000)
		go func() {
			for c, err := range follows.WatchChanges(ctx, from) {
				if err != nil {
					close(live)
					return
				}
				live <- c
			}
		}()
		until := func(changes <-chan engine.RecordChange, what string, done func(engine.RecordChange) bool) (last engine.RecordChange) {
			t.Helper()
			for c := range changes {
				if c.At.Compare(last.At) <= 0 {
					t.Errorf("%v came after %v", c.At, last.At)
				}
				if last = c; done(c) {
					return c
				}
			}
			t.Fatalf("%s was not seen", what)
			return last
		}
		ended := func(id string) func(engine.RecordChange) bool {
			return func(c engine.RecordChange) bool {
				return c.Run != nil && c.Run.ID == id && c.Run.Status == db.RunCompleted
			}
		}
		first := works.run("one")
		seen := until(live, "the end of a run", ended(first.RunID))

		inc := db.Incident{ID: "i", GroupKey: "g", Status: db.IncidentOpen, Severity: db.SeverityInfo, StartedAt: now, CreatedAt: now, UpdatedAt: now}
		dbtest.TakeIn(t, works.store, db.IntakeChanges{Incidents: []db.Incident{inc}})
		if _, err := works.AcknowledgeIncident(t.Context(), "i", "ann"); err != nil {
			t.Fatal(err)
		}
		until(live, "the acknowledgement", func(c engine.RecordChange) bool {
			return c.Incident != nil && c.Incident.Status == db.IncidentAcknowledged
		})

		// Away, while more happens than a queue holds; then back with the cursor.
		cancel()
		ids := map[string]bool{}
		for range 700 {
			run, err := works.Execute(t.Context(), engine.ExecuteInput{Definition: "one"})
			if err != nil {
				t.Fatal(err)
			}
			ids[run.ID] = true
		}
		ctx, cancel = context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		for c, err := range follows.WatchChanges(ctx, seen.At) {
			if err != nil {
				t.Fatalf("%d runs were not seen to end: %v", len(ids), err)
			}
			if c.Run != nil && c.Run.Status == db.RunCompleted {
				delete(ids, c.Run.ID)
			}
			if len(ids) == 0 {
				break
			}
		}

		if _, err := works.store.ForgetChanges(t.Context(), time.Now().Add(time.Hour), 10_000); err != nil {
			t.Fatal(err)
		}
		for c, err := range follows.WatchChanges(t.Context(), seen.At) {
			if !errors.Is(err, db.ErrChangesGone) || c.At.Compare(seen.At) <= 0 {
				t.Errorf("a cursor that is too old: %v, %v", c.At, err)
			}
			break
		}
	})
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
