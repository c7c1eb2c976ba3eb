package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

// at is a time that neither store may round.
var at = time.Date(2026, 11, 22, 3, 4, 5, 120000000, time.UTC)

func newRun() db.Run {
	id := uuid.Must(uuid.NewV7()).String()
	return db.Run{
		ID: id, TraceID: "trace-" + id, Status: db.RunPending, Source: "test", Environment: "production",
		Trigger: db.TriggerAPI, DefinitionID: "definition", DefinitionName: "demo", VersionID: "version", DefinitionVersion: 1,
		CreatedAt: at,
	}
}

func newDelivery() *db.Delivery {
	return &db.Delivery{
		ID: uuid.Must(uuid.NewV7()).String(), TraceID: "trace", Source: "alertmanager", ContentType: "application/json",
		Headers: map[string]string{"User-Agent": "test"}, Body: []byte(`{"alerts": []}`), Parsed: json.RawMessage(`{"alerts": []}`),
		Status: "accepted", ReceivedAt: at,
	}
}

// startedRun stores a run and starts it.
func startedRun(t testing.TB, s *db.Store) *db.Run {
	t.Helper()
	r := newRun()
	must(t, s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{r}}))
	return value(s.StartRun(t.Context(), r.ID))(t)
}

func stage(run, node string, status db.StageStatus) db.StageExecution {
	return db.StageExecution{RunID: run, NodeID: node, Attempt: 1, NodeType: "transform", Status: status, StartedAt: at}
}

func event(run string, sequence int64) db.RunEvent {
	return db.RunEvent{RunID: run, Sequence: sequence, Kind: "log", Text: "it's <b>a</b> ? line", At: at}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// value is must for calls that return something.
func value[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		d, r := newDelivery(), newRun()
		r.DeliveryID, r.Payload = d.ID, json.RawMessage(`{"b": 1,  "a": "<\u0000>"}`)
		must(t, s.Accept(t.Context(), db.Acceptance{Delivery: d, Runs: []db.Run{r}}))
		got := value(s.Run(t.Context(), r.ID))(t)
		if string(got.Payload) != string(r.Payload) {
			t.Errorf("payload is %s, want it byte for byte %s", got.Payload, r.Payload)
		}
		if got.CreatedAt != at || got.CreatedAt.Location() != time.UTC {
			t.Errorf("created at %v, want %v in UTC", got.CreatedAt, at)
		}
		stored := value(s.Delivery(t.Context(), d.ID))(t)
		if string(stored.Body) != string(d.Body) || stored.Headers["User-Agent"] != "test" || !stored.IntakeAt.IsZero() {
			t.Errorf("delivery came back as %+v", stored)
		}
	})
}

func TestAcceptRefusesAKeyThatIsTaken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var wg sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			wg.Go(func() {
				r, d := newRun(), newDelivery()
				r.IdempotencyKey = "same"
				errs[i] = s.Accept(t.Context(), db.Acceptance{Delivery: d, Runs: []db.Run{r}})
				if errs[i] != nil {
					if _, err := s.Delivery(t.Context(), d.ID); !fault.Is(err, fault.NotFound) {
						t.Errorf("the delivery of a refused acceptance: %v, want not found", err)
					}
				}
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, db.ErrDuplicate) || !fault.Is(err, fault.Conflict) {
				t.Errorf("got %v, want ErrDuplicate and a conflict", err)
			}
		}
		if won != 1 {
			t.Errorf("%d of 20 acceptances with the same key succeeded, want 1", won)
		}
		if r := value(s.RunByIdempotencyKey(t.Context(), "definition", "same"))(t); r.IdempotencyKey != "same" {
			t.Errorf("got run %+v", r)
		}
		n := value(s.CountRuns(t.Context(), db.RunFilter{}))(t)
		if n != 1 {
			t.Errorf("%d runs are stored, want 1", n)
		}
	})
}

func TestWriteRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		r := startedRun(t, s)
		first := stage(r.ID, "a", db.StageRunning)
		second := stage(r.ID, "a", db.StageSucceeded)
		second.Output, second.Errors = json.RawMessage(`{"x": [1, 2]}`), []string{"warned"}
		c1 := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Stages: []db.StageExecution{first}, Events: []db.RunEvent{event(r.ID, 1)}})
		c2 := s.WriteRun(db.RunWrite{
			RunID: r.ID, Epoch: r.Epoch, Stages: []db.StageExecution{second}, Events: []db.RunEvent{event(r.ID, 2)},
			Run: &db.RunChange{Status: db.RunRunning, IncidentID: "incident", Source: "grafana"},
		})
		c3 := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Run: &db.RunChange{Status: db.RunFailed, Error: "broken", FinishedAt: at}})
		for _, c := range []*db.Commit{c1, c2, c3} {
			must(t, c.Wait(t.Context()))
		}
		stages := value(s.Stages(t.Context(), r.ID))(t)
		if len(stages) != 1 || stages[0].Status != db.StageSucceeded || string(stages[0].Output) != `{"x": [1, 2]}` || stages[0].Errors[0] != "warned" {
			t.Errorf("stages are %+v", stages)
		}
		events := value(s.Events(t.Context(), r.ID, 1, 10))(t)
		if len(events) != 1 || *events[0] != event(r.ID, 2) {
			t.Errorf("events after 1 are %+v", events)
		}
		got := value(s.Run(t.Context(), r.ID))(t)
		if got.Status != db.RunFailed || got.Error != "broken" || got.IncidentID != "incident" || got.Source != "grafana" ||
			got.FinishedAt != at || got.StartedAt.IsZero() {
			t.Errorf("run is %+v", got)
		}
	})
}

func TestWriteRunOfAnOlderEpochIsFenced(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		old := startedRun(t, s)
		other := startedRun(t, s)
		resumed := value(s.StartRun(t.Context(), old.ID))(t)
		if resumed.Epoch != old.Epoch+1 || !resumed.StartedAt.Equal(old.StartedAt) {
			t.Fatalf("resumed run is %+v, want epoch %d and the start of %v", resumed, old.Epoch+1, old.StartedAt)
		}
		late := s.WriteRun(db.RunWrite{RunID: old.ID, Epoch: old.Epoch, Stages: []db.StageExecution{stage(old.ID, "a", db.StageSucceeded)}, Events: []db.RunEvent{event(old.ID, 1)}, Run: &db.RunChange{Status: db.RunCompleted}})
		good := s.WriteRun(db.RunWrite{RunID: other.ID, Epoch: other.Epoch, Events: []db.RunEvent{event(other.ID, 1)}})
		unknown := s.WriteRun(db.RunWrite{RunID: "nowhere", Epoch: 1, Events: []db.RunEvent{event("nowhere", 1)}})
		if err := late.Wait(t.Context()); !errors.Is(err, db.ErrFenced) {
			t.Errorf("late write: %v, want ErrFenced", err)
		}
		if err := unknown.Wait(t.Context()); !errors.Is(err, db.ErrFenced) {
			t.Errorf("write of an unknown run: %v, want ErrFenced", err)
		}
		must(t, good.Wait(t.Context()))
		if got := value(s.Run(t.Context(), old.ID))(t); got.Status != db.RunRunning {
			t.Errorf("run is %s, want running", got.Status)
		}
		if stages := value(s.Stages(t.Context(), old.ID))(t); len(stages) != 0 {
			t.Errorf("the late write left %+v", stages)
		}
		if events := value(s.Events(t.Context(), old.ID, 0, 10))(t); len(events) != 0 {
			t.Errorf("the late write left %+v", events)
		}
	})
}

func TestAStartThatCommitsMeanwhileFencesToo(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	s := dbtest.Open(t, db.Options{URL: url})
	r, other := startedRun(t, s), startedRun(t, s)
	raw := openURL(t, url)
	start := value(raw.BeginTx(t.Context(), nil))(t)
	value(start.ExecContext(t.Context(), "UPDATE runs SET epoch = epoch + 1 WHERE id = '"+r.ID+"'"))(t)
	late := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 1)}})
	good := s.WriteRun(db.RunWrite{RunID: other.ID, Epoch: other.Epoch, Events: []db.RunEvent{event(other.ID, 1)}})
	for waiting := 0; waiting == 0; { // the write waits for the row
		must(t, raw.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting))
	}
	must(t, start.Commit())
	if err := late.Wait(t.Context()); !errors.Is(err, db.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	must(t, good.Wait(t.Context()))
	if events := value(s.Events(t.Context(), r.ID, 0, 10))(t); len(events) != 0 {
		t.Errorf("the late write left %+v", events)
	}
}

func TestOneBadWriteHarmsNoOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		runs := make([]*db.Run, 40)
		for i := range runs {
			runs[i] = startedRun(t, s)
		}
		commits := make([]*db.Commit, len(runs))
		for i, r := range runs { // queued faster than they are committed: most share a batch
			e := event(r.ID, 1)
			if i%20 == 7 {
				e.Kind = "nonsense"
			}
			commits[i] = s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{e}, Stages: []db.StageExecution{stage(r.ID, "a", db.StageSucceeded)}})
		}
		for i, c := range commits {
			err := c.Wait(t.Context())
			stages := value(s.Stages(t.Context(), runs[i].ID))(t)
			if bad := i%20 == 7; bad != (err != nil) || bad != (len(stages) == 0) {
				t.Errorf("write %d: %v, %d stages stored", i, err, len(stages))
			}
		}
	})
}

func TestManyWritersShareCommitsAndKeepOrder(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		published := map[string]int64{} // by the one writer
		var commits dbtest.Counter
		s := dbtest.Open(t, db.Options{
			URL: url,
			OnQuery: func(q string) {
				if strings.Contains(q, "run_events") && strings.Contains(q, "INSERT") {
					commits.OnQuery(q)
				}
			},
			OnCommit: func(events []db.RunEvent) {
				for _, e := range events {
					if e.Sequence != published[e.RunID]+1 {
						t.Errorf("run %s: event %d was published after %d", e.RunID, e.Sequence, published[e.RunID])
					}
					published[e.RunID] = e.Sequence
				}
			},
		})
		const runs, writes = 32, 10
		used := commits.During(func() {
			var wg sync.WaitGroup
			for range runs {
				wg.Go(func() { writeInOrder(t, s, writes) })
			}
			wg.Wait()
		})
		if used >= runs*(writes+1)/2 {
			t.Errorf("%d writes took %d commits: they do not share them", runs*(writes+1), used)
		}
		must(t, s.Close())
		if len(published) != runs {
			t.Errorf("events of %d runs were published, want %d", len(published), runs)
		}
		for run, n := range published {
			if n != writes+1 {
				t.Errorf("run %s: %d events were published, want %d", run, n, writes+1)
			}
		}
	})
}

// writeInOrder is one run from acceptance to cancellation: so many writes, of which only the last is waited for.
func writeInOrder(t *testing.T, s *db.Store, writes int) {
	r := newRun()
	if err := s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{r}}); err != nil {
		t.Error(err)
		return
	}
	started, err := s.StartRun(t.Context(), r.ID)
	if err != nil {
		t.Error(err)
		return
	}
	var last *db.Commit
	for n := range writes {
		last = s.WriteRun(db.RunWrite{
			RunID: r.ID, Epoch: started.Epoch, Events: []db.RunEvent{event(r.ID, int64(n+1))},
			Stages: []db.StageExecution{stage(r.ID, fmt.Sprint("n", n), db.StageSucceeded)},
		})
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	events, err := s.Events(t.Context(), r.ID, 0, 100)
	if err != nil || len(events) != writes {
		t.Errorf("%d events, %v: a commit that is done must have all earlier ones before it", len(events), err)
	}
	cancelled, err := s.CancelRun(t.Context(), r.ID, "enough", at)
	if err != nil || cancelled.Status != db.RunCancelled {
		t.Errorf("cancel: %+v, %v", cancelled, err)
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		boom := errors.New("boom")
		r := newRun()
		err := s.InTx(t.Context(), func(tx *db.Tx) error {
			must(t, tx.AddRuns(t.Context(), []db.Run{r}))
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("got %v, want the closure's error", err)
		}
		if _, err := s.Run(t.Context(), r.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("after a failed transaction: %v, want not found", err)
		}

		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of a closure did not reach the caller")
				}
			}()
			_ = s.InTx(t.Context(), func(*db.Tx) error { panic("boom") })
		}()

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		ran := false
		if err := s.InTx(gone, func(*db.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
			t.Errorf("with an ended context: %v, ran %v; want cancelled and not run", err, ran)
		}

		// Neither harms those who write at the same moment.
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				defer func() {
					if p := recover(); (p != nil) != (i%3 == 2) {
						t.Errorf("closure %d: panic %v", i, p)
					}
				}()
				r := newRun()
				err := s.InTx(t.Context(), func(tx *db.Tx) error {
					if err := tx.AddRuns(t.Context(), []db.Run{r}); err != nil {
						return err
					}
					switch i % 3 {
					case 1:
						return boom
					case 2:
						panic("boom")
					}
					return nil
				})
				if (err != nil) != (i%3 == 1) {
					t.Errorf("closure %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := value(s.CountRuns(t.Context(), db.RunFilter{}))(t); n != 20 {
			t.Errorf("%d runs are stored, want 20", n)
		}
	})
}
