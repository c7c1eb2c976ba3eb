package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/fault"
)

// restless lets runs rest as soon as they wait.
func restless(o *engine.Options) { o.RestAfter = time.Millisecond }

// rests waits until the run rests, and returns it.
func (s *stack) rests(id string) (run *db.Run) {
	s.t.Helper()
	eventually(s.t.(*testing.T), "the run rests", func() bool {
		var err error
		if run, err = s.store.Run(s.t.Context(), id); err != nil {
			s.t.Fatal(err)
		}
		return !run.WakeAt.IsZero()
	})
	return run
}

func (s *stack) execute(name string) string {
	s.t.Helper()
	run, err := s.Execute(s.t.Context(), engine.ExecuteInput{Definition: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return run.ID
}

// later fails the first attempt and wants the second after the time.
func later(after time.Duration) func(context.Context, engine.Input) (engine.Output, error) {
	return func(_ context.Context, in engine.Input) (engine.Output, error) {
		if in.Attempt == 1 {
			return engine.Output{}, fault.Retry(fault.New(fault.Unavailable, "503"), after)
		}
		return engine.Output{}, nil
	}
}

func TestRunsRest(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), restless)
		s.script.on("flaky", later(2*time.Second))
		s.script.on("never", later(time.Hour))
		t.Run("between two attempts; nothing that has ended is repeated, and nothing comes early", func(t *testing.T) {
			s.define("flaky", `[{"id":"first","type":"step"},{"id":"flaky","type":"effect"},{"id":"last","type":"step"}]`)
			id := s.execute("flaky")
			if run := s.rests(id); run.Status != db.RunRunning || run.WaitsFor != "" {
				t.Errorf("it is %s and waits for the channel %q", run.Status, run.WaitsFor)
			}
			eventually(t, "it is in no process", func() bool { return s.Stats().Load == 0 })
			if r, err := s.Result(t.Context(), id); err != nil || r.WaitingFor == nil || !strings.HasPrefix(*r.WaitingFor, "attempt 2 of flaky (effect) at ") {
				t.Errorf("%+v, %v", r, err)
			}
			r := s.wait(id)
			stages, err := store.Stages(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(r); got != "completed: first=succeeded flaky=succeeded last=succeeded" || s.script.count("first") != 1 || s.script.count("flaky") != 2 || len(stages) != 4 {
				t.Errorf("%s; first ran %d times, flaky %d; %d stages", got, s.script.count("first"), s.script.count("flaky"), len(stages))
			}
			if wait := stages[2].StartedAt.Sub(stages[1].FinishedAt); wait < 2*time.Second {
				t.Errorf("the second attempt began after %v", wait)
			}
			if run, err := store.Run(t.Context(), id); err != nil || !run.WakeAt.IsZero() {
				t.Errorf("it rests until %v, %v", run.WakeAt, err)
			}
			events, err := store.Events(t.Context(), id, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, ev := range events {
				if ev.Sequence != int64(i+1) {
					t.Errorf("event %d stands at %d", ev.Sequence, i+1)
				}
				if ev.Kind == engine.EventRun || ev.NodeID == "flaky" {
					got = append(got, ev.Status)
				}
			}
			if got := strings.Join(got, " "); got != "running running retrying running succeeded completed" {
				t.Errorf("events of the run and of flaky: %s", got)
			}
		})
		t.Run("not while another branch is at work", func(t *testing.T) {
			release := make(chan struct{})
			s.script.on("work", func(context.Context, engine.Input) (engine.Output, error) { <-release; return engine.Output{}, nil })
			s.define("branches", `[{"id":"never","type":"step","next":"end"},{"id":"work","type":"step","next":"end"},{"id":"end","type":"step"}]`)
			id := s.execute("branches")
			eventually(t, "one branch waits", func() bool {
				r, err := s.Result(t.Context(), id)
				return err == nil && r.NodeResults["never"].Status == db.StageRetrying
			})
			s.run("flaky") // takes longer than a look for what waits
			if run, err := store.Run(t.Context(), id); err != nil || !run.WakeAt.IsZero() {
				t.Errorf("it rests until %v, %v", run.WakeAt, err)
			}
			close(release)
			if run := s.rests(id); time.Until(run.WakeAt) < 50*time.Minute {
				t.Errorf("it rests until %v", run.WakeAt)
			}
		})
		t.Run("and are cancelled there, and continued", func(t *testing.T) {
			s.define("never", `[{"id":"never","type":"step"}]`)
			id := s.execute("never")
			s.rests(id)
			if _, err := s.Cancel(t.Context(), id, "enough", ""); err != nil {
				t.Fatal(err)
			}
			run, err := store.Run(t.Context(), id)
			if err != nil || run.Status != db.RunCancelled || !run.WakeAt.IsZero() {
				t.Errorf("it is %s and rests until %v, %v", run.Status, run.WakeAt, err)
			}
			if _, err := s.Retry(t.Context(), id, ""); err != nil {
				t.Fatal(err)
			}
			if r := s.wait(id); r.Status != db.RunCompleted || r.NodeResults["never"].Attempt != 2 {
				t.Errorf("%s after attempt %d", r.Status, r.NodeResults["never"].Attempt)
			}
		})
		t.Run("also when another run waits for them", func(t *testing.T) {
			s.define("child", `[{"id":"flaky","type":"effect"}]`)
			s.define("parent", `[{"id":"call","type":"pipeline","config":{"definition":"child"}}]`)
			if r := s.run("parent"); r.Status != db.RunCompleted {
				t.Errorf("the run is %s: %v", r.Status, r.NodeResults["call"].Errors)
			}
		})
	})
}

// A run that waits for another one rests too, and goes on when that has ended, however it ends.
func TestParentsRest(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), restless)
		s.script.on("never", later(time.Hour))
		letGo := s.hold("held")
		s.define("held", `[{"id":"held","type":"step"}]`)
		s.define("never", `[{"id":"never","type":"step"}]`)
		s.define("above_held", `[{"id":"sub","type":"pipeline","config":{"definition":"held"}},{"id":"after","type":"step"}]`)
		s.define("above_never", `[{"id":"sub","type":"pipeline","config":{"definition":"never"}}]`)
		s.define("top", `[{"id":"sub","type":"pipeline","config":{"definition":"above_never"},"required":false},{"id":"after","type":"step"}]`)
		t.Run("in one attempt, and goes on at once", func(t *testing.T) {
			id := s.execute("above_held")
			if run := s.rests(id); run.Status != db.RunRunning || run.WaitsFor != "" || time.Until(run.WakeAt) < time.Minute {
				t.Errorf("it is %s, waits for the channel %q and rests until %s", run.Status, run.WaitsFor, run.WakeAt)
			}
			child := s.childOf(t, id)
			if r, err := s.Result(t.Context(), id); err != nil || r.WaitingFor == nil || *r.WaitingFor != "sub (pipeline): the run "+child.ID+" to end" {
				t.Errorf("it waits for %v, %v", r.WaitingFor, err)
			}
			letGo()
			r := s.wait(id)
			if got := s.statuses(r); got != "completed: after=succeeded sub=succeeded" || r.NodeResults["sub"].Attempt != 1 {
				t.Errorf("%s after attempt %d", got, r.NodeResults["sub"].Attempt)
			}
			events, err := store.Events(t.Context(), id, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ev := range events {
				got = append(got, ev.NodeID+" "+ev.Status)
			}
			if got := strings.Join(got, ", "); got != " running, sub running, sub succeeded, after running, after succeeded,  completed" {
				t.Errorf("events: %s", got)
			}
		})
		t.Run("several above each other leave nothing in memory, and hear of a cancel", func(t *testing.T) {
			id := s.execute("top")
			s.rests(id)
			mid := s.childOf(t, id)
			s.rests(mid.ID)
			child := s.childOf(t, mid.ID)
			s.rests(child.ID)
			eventually(t, "none is in a process", func() bool { return s.Stats().Load == 0 })
			if _, err := s.Cancel(t.Context(), child.ID, "enough", ""); err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(s.wait(id)); got != "partial: after=succeeded sub=failed" {
				t.Error(got)
			}
		})
		t.Run("and its cancel ends those below", func(t *testing.T) {
			id := s.execute("above_never")
			s.rests(id)
			child := s.childOf(t, id)
			s.rests(child.ID)
			if _, err := s.Cancel(t.Context(), id, "enough", ""); err != nil {
				t.Fatal(err)
			}
			if r := s.wait(child.ID); r.Status != db.RunCancelled {
				t.Errorf("the run below is %s", r.Status)
			}
		})
		t.Run("to its end, also when another branch fails meanwhile", func(t *testing.T) {
			letGo, fail := s.hold("slow"), make(chan struct{})
			s.script.on("fails", func(context.Context, engine.Input) (engine.Output, error) {
				<-fail
				return engine.Output{}, fault.New(fault.Unprocessable, "no")
			})
			s.define("slow", `[{"id":"slow","type":"step"}]`)
			s.define("above_slow", `[{"id":"sub","type":"pipeline","config":{"definition":"slow"},"next":"end"},{"id":"fails","type":"step","next":"end"},{"id":"end","type":"step"}]`)
			id := s.execute("above_slow")
			eventually(t, "both branches are at work", func() bool {
				r, err := s.Result(t.Context(), id)
				return err == nil && r.NodeResults["fails"].Status == db.StageRunning && s.script.count("slow") == 1
			})
			close(fail)
			s.rests(id)
			letGo()
			if got := s.statuses(s.wait(id)); got != "failed: end=skipped fails=failed sub=succeeded" {
				t.Error(got)
			}
			stages, err := store.Stages(t.Context(), id)
			if err != nil || len(stages) != 3 {
				t.Errorf("%+v, %v", stages, err)
			}
		})
		t.Run("whether the other ends before, while or after it goes to rest", func(t *testing.T) {
			s.script.on("short", func(_ context.Context, in engine.Input) (engine.Output, error) {
				time.Sleep(time.Duration(in.Payload.(map[string]any)["i"].(int64)) * 200 * time.Microsecond)
				return engine.Output{}, nil
			})
			s.define("short", `[{"id":"short","type":"step"}]`)
			s.define("above_short", `[{"id":"sub","type":"pipeline","config":{"definition":"short"}}]`)
			var ids []string
			for i := range 40 {
				run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "above_short", Payload: fmt.Appendf(nil, `{"i":%d}`, i)})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, run.ID)
			}
			for _, id := range ids {
				if r := s.wait(id); r.Status != db.RunCompleted || r.NodeResults["sub"].Attempt != 1 {
					stages, err := store.Stages(t.Context(), id)
					t.Errorf("%s after attempt %d: %+v, %v", r.Status, r.NodeResults["sub"].Attempt, stages, err)
				}
			}
		})
	})
}

// What rests goes on in whichever process is alive, once.
func TestRestSurvives(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		sc := newScript()
		sc.on("flaky", later(3*time.Second))
		s := process(t, url, sc, restless)
		s.define("flaky", `[{"id":"first","type":"step"},{"id":"flaky","type":"effect"}]`)
		var ids []string
		for range 20 {
			ids = append(ids, s.execute("flaky"))
		}
		for _, id := range ids {
			s.rests(id)
		}
		s.stop()
		next := process(t, url, sc, restless)
		if strings.HasPrefix(url, "postgres") {
			process(t, url, sc, restless)
		}
		for _, id := range ids {
			if r := next.wait(id); r.Status != db.RunCompleted || r.NodeResults["flaky"].Attempt != 2 {
				t.Errorf("%s after attempt %d", r.Status, r.NodeResults["flaky"].Attempt)
			}
		}
		if sc.count("first") != len(ids) || sc.count("flaky") != 2*len(ids) {
			t.Errorf("of %d runs: first ran %d times, flaky %d", len(ids), sc.count("first"), sc.count("flaky"))
		}
	})
}

// TestCrowd has more messages for a channel that is away than wait for it in memory.
func TestCrowd(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		var away atomic.Bool
		away.Store(true)
		answer := func(context.Context, int, notify.Message) error {
			if away.Load() {
				return errAway
			}
			return nil
		}
		p := newPost()
		p.answer("away", answer)
		p.answer("other", answer)
		s := telling(t, store, hub, p, func(o *engine.Options) { o.RestAfter, o.Crowd = 100*time.Millisecond, 4 }, "away", "other")
		s.define("away", `[{"id":"first","type":"step"},{"id":"page","type":"page","config":{"channel":"away"}}]`)
		s.define("both", `[{"id":"first","type":"step","next":["page","mail"]},{"id":"page","type":"page","config":{"channel":"away"}},{"id":"mail","type":"page","config":{"channel":"other"}}]`)
		const runs = 30
		var ids []string
		for i := range runs {
			ids = append(ids, s.execute([]string{"away", "both"}[i%2]))
		}
		resting := func() (n int) {
			for _, id := range ids {
				run, err := store.Run(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if run.WaitsFor != "" {
					n++
				}
			}
			return n
		}
		eventually(t, "most of them rest", func() bool { return resting() > runs/3 })
		t.Run("say what they wait for, and are counted", func(t *testing.T) {
			for _, id := range ids {
				run, err := store.Run(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if run.WaitsFor == "" {
					continue
				}
				if r, err := s.Result(t.Context(), id); err != nil || r.WaitingFor != nil && !strings.Contains(*r.WaitingFor, "The channel ") && !strings.Contains(*r.WaitingFor, "attempt ") {
					t.Errorf("it waits for %v, %v", *r.WaitingFor, err)
				}
			}
			status, err := s.ChannelStatuses(t.Context())
			if err != nil || status["away"].Waiting+status["other"].Waiting < resting() {
				t.Errorf("statuses %+v, %v", status, err)
			}
		})
		cancelled := ids[runs-1]
		if _, err := s.Cancel(t.Context(), cancelled, "enough", ""); err != nil {
			t.Fatal(err)
		}
		away.Store(false)
		for _, id := range ids[:runs-1] {
			eventually(t, "it has ended", func() bool {
				run, err := store.Run(t.Context(), id)
				return err == nil && run.Status == db.RunCompleted
			})
			m, a := s.ledger(id)
			for node := range m {
				sent := 0
				for _, attempt := range a[node] {
					if attempt.Outcome == db.AttemptSent {
						sent++
					}
				}
				if m[node].Status != db.NotificationSent || sent != 1 {
					t.Errorf("message %+v was sent %d times", m[node], sent)
				}
			}
		}
		if r := s.wait(cancelled); r.Status != db.RunCancelled {
			t.Errorf("the cancelled run is %s", r.Status)
		}
		if n := s.script.count("first"); n != runs {
			t.Errorf("the first nodes of %d runs ran %d times", runs, n)
		}
	})
}

// A message that never gets its turn ends with its time, wherever it waits.
func TestCrowdEnds(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		p := newPost()
		p.answer("away", func(context.Context, int, notify.Message) error { return errAway })
		s := telling(t, store, hub, p, func(o *engine.Options) {
			o.RestAfter, o.Crowd, o.NotifyRetryFor = 10*time.Millisecond, 2, 6*time.Second
		}, "away")
		s.define("away", `[{"id":"page","type":"page","config":{"channel":"away"}}]`)
		var ids []string
		for range 25 {
			ids = append(ids, s.execute("away"))
		}
		rested := 0
		for _, id := range ids {
			r := s.wait(id)
			m, _ := s.ledger(id)
			if r.Status != db.RunFailed || m["page"].Status != db.NotificationDead || m["page"].Attempts == 0 {
				t.Errorf("%s, message %+v", r.Status, m["page"])
			}
			if run, err := store.Run(t.Context(), id); err == nil && run.Epoch > 1 {
				rested++
			}
		}
		if rested == 0 {
			t.Errorf("none of %d runs has rested", len(ids))
		}
	})
}
