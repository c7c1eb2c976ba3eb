package db_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

// history stores a run as it is when it has ended, with a delivery, stages and events.
func history(t testing.TB, s *db.Store, at time.Time, status db.RunStatus, incident string) db.Run {
	t.Helper()
	return histories(t, s, 1, at, status, incident)[0]
}

// histories stores runs of one delivery.
func histories(t testing.TB, s *db.Store, n int, at time.Time, status db.RunStatus, incident string) []db.Run {
	t.Helper()
	d := newDelivery()
	d.ReceivedAt, d.Definition, d.Body = at, "demo", []byte(`{"alerts": [], "note": "`+strings.Repeat("x", 2000*n)+`"}`)
	runs := make([]db.Run, n)
	for i := range runs {
		runs[i] = newRun()
		runs[i].DeliveryID, runs[i].CreatedAt, runs[i].IncidentID = d.ID, at, incident
	}
	must(t, s.Accept(t.Context(), db.Acceptance{Delivery: d, Runs: runs}))
	if status == db.RunPending {
		return runs
	}
	commits := make([]*db.Commit, n)
	for i := range runs {
		runs[i].Status = status
		w := db.RunWrite{RunID: runs[i].ID, Run: &db.RunChange{Status: status, StartedAt: at, FinishedAt: at}}
		for node := range 3 {
			w.Stages = append(w.Stages, stage(w.RunID, fmt.Sprintf("node-%d", node), db.StageSucceeded))
		}
		for seq := range 8 {
			w.Events = append(w.Events, event(w.RunID, int64(seq+1)))
		}
		commits[i] = s.WriteRun(w)
	}
	for _, c := range commits {
		must(t, c.Wait(t.Context()))
	}
	return runs
}

// expireAll runs one pass to its end.
func expireAll(t testing.TB, s *db.Store, x db.Expiry, limit int) map[string]int {
	t.Helper()
	total := map[string]int{}
	for pass := s.Expire(x); ; {
		e := value(pass.Step(t.Context(), limit))(t)
		for name, n := range e.Rows {
			total[name] += n
			if n > limit {
				t.Fatalf("a step touched %d rows of %s, the limit is %d", n, name, limit)
			}
		}
		if e.Done {
			maps.DeleteFunc(total, func(_ string, n int) bool { return n == 0 })
			return total
		}
	}
}

func TestRetentionDeletesWhatIsOld(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		open, resolved, closed := newIncident("open"), newIncident("resolved"), newIncident("firing")
		resolved.Status, closed.Status = db.IncidentResolved, db.IncidentClosed
		firing := newAlert("f", at, "firing", closed.ID)
		gone, lone := newAlert("g", at, "resolved", resolved.ID), newAlert("l", at, "resolved", "")
		for _, i := range []*db.Incident{&open, &resolved, &closed} {
			i.CreatedAt, i.UpdatedAt = at, at
		}
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{open, resolved, closed}, Alerts: []db.Alert{firing, gone, lone}})
		value(s.UpdateIncident(t.Context(), resolved.ID, func(*db.Incident) (*db.IncidentAction, error) {
			return &db.IncidentAction{ID: "action", IncidentID: resolved.ID, Kind: "note", CreatedAt: at}, nil
		}))(t)
		old, young := at, at.Add(48*time.Hour)
		deleted := []db.Run{
			history(t, s, old, db.RunCompleted, ""), history(t, s, old, db.RunFailed, ""), history(t, s, old, db.RunCancelled, resolved.ID),
			history(t, s, old, db.RunCompleted, open.ID), // 20 newer ones of this incident follow
		}
		var kept []db.Run
		for i := range 20 {
			kept = append(kept, history(t, s, old.Add(time.Duration(i+1)*time.Second), db.RunPartial, open.ID))
		}
		told := func(run db.Run, status db.NotificationStatus) string {
			m := newNotification(&run, "tell")
			m.Status, m.IncidentID, m.Occurrence, m.Attempts = status, run.IncidentID, 1, 1
			a := db.NotificationAttempt{MessageID: m.ID, Number: 1, StartedAt: at, Outcome: db.AttemptUnknown}
			must(t, s.WriteRun(db.RunWrite{RunID: run.ID, Messages: []db.NotificationMessage{m}, Attempts: []db.NotificationAttempt{a}}).Wait(t.Context()))
			return m.ID
		}
		dbtest.TakeIn(t, s, db.IntakeChanges{Decisions: []db.Decision{
			{ID: "decision", DeliveryID: deleted[0].DeliveryID, Change: "created", Outcome: db.DecisionStarted, CreatedAt: at},
		}})
		untold := []string{told(deleted[0], db.NotificationSent), told(deleted[2], db.NotificationDead)}
		needed := []string{told(deleted[1], db.NotificationPending), told(kept[3], db.NotificationSent)}
		kept = append(kept, history(t, s, old, db.RunPending, ""), history(t, s, old, db.RunRunning, ""), history(t, s, young, db.RunCompleted, ""))
		routed := newDelivery() // no definition, and its alerts are not taken in yet
		must(t, s.Accept(t.Context(), db.Acceptance{Delivery: routed}))

		x := db.Expiry{Runs: at.Add(24 * time.Hour), Incidents: at.Add(24 * time.Hour)}
		got := expireAll(t, s, x, 10)
		want := map[string]int{"runs": 4, "notification_messages": 2, "notification_attempts": 2, "decisions": 1, "run_events": 4 * 8, "stage_executions": 4 * 3, "deliveries": 4, "incidents": 1, "incident_actions": 1, "alerts": 2}
		if !maps.Equal(got, want) {
			t.Errorf("deleted %v, want %v", got, want)
		}
		for _, r := range deleted {
			if _, err := s.Run(t.Context(), r.ID); err == nil {
				t.Errorf("the run %s of %s is still there", r.Status, r.CreatedAt)
			}
		}
		for _, r := range kept {
			if value(s.Run(t.Context(), r.ID))(t).Status != r.Status {
				t.Errorf("the %s run has changed", r.Status)
			}
			if value(s.Delivery(t.Context(), r.DeliveryID))(t).Body == nil {
				t.Errorf("the body of the %s run's delivery is gone", r.Status)
			}
			if r.Status.Terminal() && len(value(s.Stages(t.Context(), r.ID))(t)) != 3 {
				t.Errorf("the %s run has lost stages", r.Status)
			}
		}
		messages := value(s.NotificationsByID(t.Context(), slices.Concat(untold, needed)))(t)
		if messages[untold[0]] != nil || messages[untold[1]] != nil || messages[needed[0]] == nil || messages[needed[1]] == nil {
			t.Errorf("messages that are left: %v", slices.Collect(maps.Keys(messages)))
		}
		for _, id := range []string{open.ID, closed.ID} {
			value(s.Incident(t.Context(), id))(t)
		}

		// Bodies go earlier than their rows, but not while a run needs them.
		got = expireAll(t, s, db.Expiry{Bodies: at.Add(24 * time.Hour)}, 10)
		if !maps.Equal(got, map[string]int{"bodies": 20}) {
			t.Errorf("emptied %v, want 20 bodies", got)
		}
		for i, r := range kept {
			d := value(s.Delivery(t.Context(), r.DeliveryID))(t)
			if emptied := len(d.Body) == 0 && len(d.Parsed) == 0; emptied != (i < 20) {
				t.Errorf("the body of the %s run's delivery of %s: emptied %v", r.Status, r.CreatedAt, emptied)
			}
		}
		if value(s.Delivery(t.Context(), routed.ID))(t).Body == nil {
			t.Error("the body of a delivery that is not taken in is gone")
		}
		if got := expireAll(t, s, x, 10); len(got) != 0 {
			t.Errorf("the second pass deleted %v", got)
		}
	})
}

func TestRetentionCountsRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		for i := range 5 {
			history(t, s, at.Add(time.Duration(i)*time.Minute), db.RunCompleted, "")
		}
		check := func(what string, got, want time.Time) {
			t.Helper()
			if !got.Equal(want) {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		check("3 newer", value(s.NthRunAt(t.Context(), 3))(t), at.Add(time.Minute))
		check("3 older", value(s.OldestRunAt(t.Context(), 3))(t), at.Add(3*time.Minute))
		check("not so many", value(s.NthRunAt(t.Context(), 5))(t), time.Time{})
	})
}

// A store that works and forgets for a long time does not grow.
func TestRetentionKeepsTheStoreFlat(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		const perDay = 60
		var size []int64
		for day := range 30 {
			now := at.AddDate(0, 0, day)
			histories(t, s, perDay, now, db.RunCompleted, "")
			expireAll(t, s, db.Expiry{Runs: now.AddDate(0, 0, -5), Bodies: now.AddDate(0, 0, -2)}, 100)
			for value(s.ForgetChanges(t.Context(), time.Now().Add(time.Hour), 100))(t) == 100 {
			}
			if n := value(s.CountRuns(t.Context(), db.RunFilter{}))(t); n > 6*perDay {
				t.Fatalf("day %d: %d runs, want at most %d", day, n, 6*perDay)
			}
			if s.Dialect() == "sqlite" {
				must(t, s.TruncateLog(t.Context()))
				size = append(size, value(s.Size(t.Context()))(t).Bytes)
			}
		}
		for day := 8; day < len(size); day++ {
			if size[day] > size[7]*11/10 || size[day] < size[7]*9/10 {
				t.Errorf("day %d: %d bytes, on day 7 it was %d", day, size[day], size[7])
			}
		}
	})
}

func TestTheFileShrinks(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	s := dbtest.Open(t, db.Options{URL: url})
	if !value(s.CanShrink(t.Context()))(t) {
		t.Fatal("a new file cannot shrink")
	}
	// As long as somebody reads what was there before, the log grows.
	reader := value(openURL(t, url).BeginTx(t.Context(), nil))(t)
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM runs").Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	histories(t, s, 1000, at, db.RunCompleted, "")
	must(t, reader.Rollback())
	full := value(s.Size(t.Context()))(t)
	if full.WAL <= 4<<20 || full.Used < 1<<20 {
		t.Fatalf("%+v of a file with data and a log", full)
	}
	expireAll(t, s, db.Expiry{Runs: at.Add(time.Hour)}, 500)
	for value(s.Shrink(t.Context()))(t) > 0 {
	}
	must(t, s.TruncateLog(t.Context()))
	after := value(s.Size(t.Context()))(t)
	if after.Bytes > full.Bytes/2 || after.WAL != 0 {
		t.Errorf("%+v before, %+v after", full, after)
	}
}

func TestAnOldFileIsCompacted(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	execRaw(t, url, "CREATE TABLE t (x)")
	s := dbtest.Open(t, db.Options{URL: url})
	if value(s.CanShrink(t.Context()))(t) {
		t.Fatal("a file of an earlier version can shrink: this test proves nothing")
	}
	must(t, s.Compact(t.Context()))
	if !value(s.CanShrink(t.Context()))(t) {
		t.Error("the compacted file cannot shrink")
	}
	history(t, s, at, db.RunCompleted, "")
}
