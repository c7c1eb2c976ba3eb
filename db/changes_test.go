package db_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

// changesAfter reads until nothing is left, as a follower does.
func changesAfter(t *testing.T, s *db.Store, p db.Position) (list []string, end db.Position) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		changes, more, err := s.Changes(t.Context(), p, 3)
		must(t, err)
		for _, c := range changes {
			list = append(list, fmt.Sprintf("%s %s", c.Topic, c.ID))
			p = c.Position()
		}
		if !more || time.Now().After(deadline) {
			return list, p
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		start := value(s.LastChange(ctx))(t)
		r, inc := newRun(), db.Incident{
			ID: "inc-1", GroupKey: "g", Title: "t", Status: db.IncidentOpen, Severity: db.SeverityInfo,
			Occurrence: 1, Revision: 1, StartedAt: at, CreatedAt: at, UpdatedAt: at,
		}
		must(t, s.Accept(ctx, db.Acceptance{Runs: []db.Run{r}}))
		value(s.StartRun(ctx, r.ID))(t)
		value(s.StartRun(ctx, r.ID))(t) // another epoch: nothing that a list shows
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{inc}})
		inc.UpdatedAt = at.Add(time.Minute)
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{inc}})
		value(s.UpdateIncident(ctx, inc.ID, func(i *db.Incident) (*db.IncidentAction, error) { i.Status = db.IncidentAcknowledged; return nil, nil }))(t)
		value(s.CancelRun(ctx, r.ID, "enough", at))(t)

		want := []string{"run " + r.ID, "run " + r.ID, "incident inc-1", "incident inc-1", "run " + r.ID}
		got, end := changesAfter(t, s, start)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if again, _ := changesAfter(t, s, end); len(again) != 0 {
			t.Errorf("after the last change: %v", again)
		}
		if p := value(db.ParsePosition(end.String()))(t); p != end {
			t.Errorf("%v was read back as %v", end, p)
		}

		if n := value(s.ForgetChanges(ctx, time.Now().Add(-time.Hour), 10))(t); n != 0 {
			t.Errorf("%d young changes were removed", n)
		}
		if n := value(s.ForgetChanges(ctx, time.Now().Add(time.Hour), 2))(t); n != 2 {
			t.Errorf("%d changes were removed, want 2", n)
		}
		if err := s.CheckChanges(ctx, start); !errors.Is(err, db.ErrChangesGone) {
			t.Errorf("a cursor from before the removal: %v", err)
		}
		must(t, s.CheckChanges(ctx, end))
		future := db.Position{Tx: end.Tx + 1<<40, Seq: end.Seq + 1}
		if err := s.CheckChanges(ctx, future); !errors.Is(err, db.ErrChangesGone) {
			t.Errorf("a cursor of another life of the database: %v", err)
		}
	})
}

// TestChangesWaitForOpenTransactions commits in another order than the rows were written in.
func TestChangesWaitForOpenTransactions(t *testing.T) {
	t.Parallel()
	s := dbtest.Open(t, db.Options{URL: dbtest.Postgres(t)})
	ctx := t.Context()
	start := value(s.LastChange(ctx))(t)
	late, early := newRun(), newIncident("db1")
	written, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.InTx(ctx, func(tx *db.Tx) error {
			err := tx.AddRuns(ctx, []db.Run{late})
			close(written)
			<-commit
			return err
		})
	}()
	<-written
	dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{early}})
	if changes, more, err := s.Changes(ctx, start, 10); err != nil || len(changes) != 0 || !more {
		t.Errorf("while an older transaction is open: %v, more %v, %v", changes, more, err)
	}
	close(commit)
	must(t, <-done)
	if got, _ := changesAfter(t, s, start); !slices.Equal(got, []string{"run " + late.ID, "incident " + early.ID}) {
		t.Errorf("after its commit: %v", got)
	}
}
