package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
	"penstock/fault"
)

// clock is a wall clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// newClock begins at half past a minute in which no test has a tick.
func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 11, 59, 30, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) options(o *engine.Options) { o.Clock = c.Now }

// at puts the clock to a time of the day, or of a later one.
func (c *clock) set(day int, at string) {
	t, err := time.Parse("2006-01-02 15:04:05", fmt.Sprintf("2026-11-%02d %s", day, at))
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// plan saves a definition with one node and schedules.
func (s *stack) plan(name, schedules string, change ...func(*engine.DefinitionInput)) {
	s.t.Helper()
	in := engine.DefinitionInput{Name: name, Config: json.RawMessage(fmt.Sprintf(
		`{"version":"1.0","triggers":{"schedule":[%s]},"nodes":[{"id":%q,"type":"step"}]}`, schedules, strings.ReplaceAll(name, "-", "_")))}
	for _, c := range change {
		c(&in)
	}
	if _, _, _, err := s.SaveDefinition(s.t.Context(), in); err != nil {
		s.t.Fatalf("plan %s: %v", name, err)
	}
}

func active(yes bool) func(*engine.DefinitionInput) {
	return func(in *engine.DefinitionInput) { in.IsActive = &yes }
}

// due starts what is due and returns the ticks of all runs of a definition so far, the oldest first.
func (s *stack) due(name string) string {
	s.t.Helper()
	if err := s.StartDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s.ticks(name)
}

func (s *stack) ticks(name string) string {
	s.t.Helper()
	var ticks []string
	for _, r := range s.scheduled(name) {
		ticks = append(ticks, r.ScheduledAt.UTC().Format("02T15:04"))
	}
	slices.Sort(ticks)
	return strings.Join(ticks, " ")
}

func (s *stack) scheduled(name string) []db.Run {
	s.t.Helper()
	runs, err := s.store.Runs(s.t.Context(), db.RunFilter{DefinitionName: name, Page: db.Page{First: 1000}})
	if err != nil {
		s.t.Fatal(err)
	}
	return runs.Items
}

func (s *stack) schedule(name string) db.Schedule {
	s.t.Helper()
	list, err := s.store.Schedules(s.t.Context(), db.ScheduleFilter{DefinitionName: name})
	if err != nil || len(list.Items) != 1 {
		s.t.Fatalf("%d schedules of %s, %v", len(list.Items), name, err)
	}
	return list.Items[0]
}

// ended waits for the end of every run of a definition.
func (s *stack) ended(name string) {
	s.t.Helper()
	for _, r := range s.scheduled(name) {
		s.wait(r.ID)
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func eachClock(t *testing.T, test func(t *testing.T, s *stack, c *clock)) {
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		c := newClock()
		test(t, start(t, store, hub, newScript(), c.options), c)
	})
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	eachClock(t, func(t *testing.T, s *stack, c *clock) {
		s.plan("check", `{"cron":"*/5 * * * *","time_zone":"Europe/Berlin","payload":{"host":"a","n":5},"environment":"test"}`)
		expect(t, "nothing is due before its time", s.due("check"), "")
		c.set(23, "12:00:00")
		expect(t, "it starts at its time", s.due("check"), "23T12:00")
		expect(t, "and once", s.due("check"), "23T12:00")
		s.ended("check")
		in := s.script.last("check")
		payload, err := json.Marshal(in.Payload)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "payload", string(payload),
			`{"host":"a","n":5,"schedule":{"cron":"*/5 * * * *","tick":"2026-11-23T13:00:00+01:00","time_zone":"Europe/Berlin"}}`)
		expect(t, "run", fmt.Sprint(in.Run.Trigger, " ", in.Run.Source, " ", in.Run.Environment), "schedule schedule test")
		r := s.wait(in.Run.ID)
		if r.ScheduledAt == nil || !r.ScheduledAt.Equal(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("scheduled at %v", r.ScheduledAt)
		}
		c.set(23, "12:05:14")
		expect(t, "the next one, some seconds late", s.due("check"), "23T12:00 23T12:05")
		row := s.schedule("check")
		if !row.LastTick.Equal(c.Now().Add(-14*time.Second)) || row.LastRunID == in.Run.ID || row.Skipped != 0 {
			t.Errorf("%+v", row)
		}

		_, err = s.Execute(t.Context(), engine.ExecuteInput{Definition: "check", IdempotencyKey: "schedule:*/5 * * * * Europe/Berlin@2026-11-23T12:10:00Z"})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("a caller takes the key of a tick: %v", err)
		}

		s.plan("twice", `{"cron":"0 13 * * *","payload":{"a":1}},{"cron":"0  13 * * *","payload":{"a":2}}`)
		c.set(23, "13:00:01")
		expect(t, "two schedules at the same time", s.due("twice"), "23T13:00 23T13:00")
	})
}

func TestScheduleOfBrokenDefinition(t *testing.T) {
	t.Parallel()
	eachClock(t, func(t *testing.T, s *stack, c *clock) {
		s.plan("gone", `{"cron":"@hourly"}`)
		// A later release may refuse what this one has stored.
		if _, _, err := s.store.SaveDefinition(t.Context(), db.DefinitionSave{Name: "gone", Config: json.RawMessage(`{"version":"1.0","nodes":[{"id":"x","type":"no-such"}]}`)}); err != nil {
			t.Fatal(err)
		}
		c.set(23, "12:00:00")
		expect(t, "it has a run", s.due("gone"), "23T12:00")
		s.ended("gone")
		if r := s.scheduled("gone")[0]; r.Status != db.RunFailed || !strings.Contains(r.Error, "no-such") {
			t.Errorf("%s: %s", r.Status, r.Error)
		}
	})
}

// hold makes the node of a definition wait until it is let go.
func (s *stack) hold(node string) (letGo func()) {
	gate := make(chan struct{})
	s.script.on(node, func(ctx context.Context, _ engine.Input) (engine.Output, error) {
		select {
		case <-gate:
			return engine.Output{}, nil
		case <-ctx.Done():
			return engine.Output{}, ctx.Err()
		}
	})
	return sync.OnceFunc(func() { close(gate) })
}

func TestScheduleOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ overlap, while, after, reason string }{
		{"skip", "23T12:00", "23T12:00", "The run before had not ended."},
		{"queue", "23T12:00", "23T12:00 23T12:05", "The run before had not ended, and another one was waiting for that."},
		{"cancel", "23T12:00 23T12:05 23T12:10", "23T12:00 23T12:05 23T12:10", ""},
	} {
		t.Run(c.overlap, func(t *testing.T) {
			t.Parallel()
			eachClock(t, func(t *testing.T, s *stack, clock *clock) {
				letGo := s.hold("slow")
				s.plan("slow", fmt.Sprintf(`{"cron":"*/5 * * * *","time_zone":"Europe/Berlin","overlap":%q}`, c.overlap))
				for _, at := range []string{"12:00:00", "12:05:00", "12:10:00"} {
					clock.set(23, at)
					s.due("slow")
				}
				expect(t, "while the first goes on", s.ticks("slow"), c.while)
				first := s.scheduled("slow")
				letGo()
				s.ended("slow")
				expect(t, "after it has ended", s.due("slow"), c.after)
				s.ended("slow")
				row := s.schedule("slow")
				expect(t, "reason", row.SkipReason, c.reason)
				if c.overlap == "cancel" {
					if r := s.wait(first[2].ID); r.Status != db.RunCancelled || *r.Error != "Cancelled by its schedule: the time 2026-11-23T13:05:00+01:00 has come" {
						t.Errorf("the first run: %s, %v", r.Status, *r.Error)
					}
				} else if !row.SkippedTick.Equal(clock.Now()) {
					t.Errorf("the last one left out is %s", row.SkippedTick)
				}
				clock.set(23, "12:15:00")
				expect(t, "then it goes on as usual", s.due("slow"), c.after+" 23T12:15")
			})
		})
	}
}

// TestScheduleOutage stops the process before three ticks and starts another one after them.
func TestScheduleOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		catchUp, back, want string
		skipped             int
	}{
		{`"none"`, "12:13:00", "23T12:00", 2},
		{`"one"`, "12:13:00", "23T12:00 23T12:10", 1},
		{`"all"`, "12:13:00", "23T12:00 23T12:05 23T12:10", 0},
		{`"none"`, "12:15:10", "23T12:00 23T12:15", 2},
		{`"one"`, "12:15:10", "23T12:00 23T12:15", 2},
		{`"all"`, "12:15:10", "23T12:00 23T12:05 23T12:10 23T12:15", 0},
		{`"one","catch_up_window_seconds":120`, "12:13:00", "23T12:00", 2},
		{`"all","catch_up_window_seconds":400`, "12:13:00", "23T12:00 23T12:10", 1},
	} {
		t.Run(strings.ReplaceAll(c.catchUp, `"`, "")+" "+c.back, func(t *testing.T) {
			t.Parallel()
			dbtest.EachURL(t, func(t *testing.T, url string) {
				clock, sc := newClock(), newScript()
				s := process(t, url, sc, clock.options)
				s.plan("out", fmt.Sprintf(`{"cron":"*/5 * * * *","catch_up":%s}`, c.catchUp))
				clock.set(23, "12:00:00")
				expect(t, "before", s.due("out"), "23T12:00")
				s.ended("out")
				s.stop()
				clock.set(23, c.back)
				s = process(t, url, sc, clock.options)
				for range strings.Fields(c.want) { // all of them come one after another
					s.due("out")
					s.ended("out")
				}
				expect(t, "after", s.due("out"), c.want)
				if row := s.schedule("out"); row.Skipped != c.skipped || !row.NextTick.After(clock.Now()) {
					t.Errorf("%d skipped, want %d; next %s", row.Skipped, c.skipped, row.NextTick)
				}
			})
		})
	}
}

func TestScheduleOneAfterAnother(t *testing.T) {
	t.Parallel()
	eachClock(t, func(t *testing.T, s *stack, c *clock) {
		next := make(chan struct{}) // lets one run end; the process itself starts what is due at any moment
		s.script.on("all", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			select {
			case next <- struct{}{}:
				return engine.Output{}, nil
			case <-ctx.Done():
				return engine.Output{}, ctx.Err()
			}
		})
		s.plan("all", `{"cron":"*/5 * * * *","catch_up":"all"}`)
		c.set(23, "12:12:00")
		expect(t, "the first one missed", s.due("all"), "23T12:00")
		first := s.scheduled("all")[0]
		expect(t, "the others wait for it", s.due("all"), "23T12:00")
		<-next
		s.wait(first.ID)
		expect(t, "then comes the next", s.due("all"), "23T12:00 23T12:05")
		expect(t, "and only that", s.due("all"), "23T12:00 23T12:05")
	})
}

// TestScheduleClock: nobody is flooded when the clock jumps, and nothing comes twice when it is put back.
func TestScheduleClock(t *testing.T) {
	t.Parallel()
	eachClock(t, func(t *testing.T, s *stack, c *clock) {
		s.plan("jump", `{"cron":"*/5 * * * *"}`)
		c.set(23, "12:00:00")
		s.due("jump")
		s.ended("jump")
		c.set(28, "12:02:00")
		expect(t, "five days later", s.due("jump"), "23T12:00 28T12:00")
		s.ended("jump")
		c.set(23, "12:01:00")
		expect(t, "back again", s.due("jump"), "23T12:00 28T12:00")
		c.set(23, "12:05:00")
		expect(t, "it goes on", s.due("jump"), "23T12:00 23T12:05 28T12:00")
		s.ended("jump")
		c.set(23, "11:49:00")
		s.due("jump")
		c.set(23, "12:00:01")
		expect(t, "what has had its run", s.due("jump"), "23T12:00 23T12:05 28T12:00")
		c.set(23, "12:10:00")
		expect(t, "and what has not", s.due("jump"), "23T12:00 23T12:05 23T12:10 28T12:00")
		s.ended("jump")
		c.set(28, "12:00:00")
		expect(t, "the time that was reached too early", s.due("jump"), "23T12:00 23T12:05 23T12:10 28T12:00")
	})
}

func TestScheduleSaves(t *testing.T) {
	t.Parallel()
	eachClock(t, func(t *testing.T, s *stack, c *clock) {
		hourly := `{"cron":"@hourly","catch_up":"all"}`
		s.plan("saved", hourly, active(false))
		c.set(23, "12:30:00")
		expect(t, "a definition that is not active has no ticks", s.due("saved"), "")
		s.plan("saved", hourly, active(true))
		expect(t, "activation catches nothing up", s.due("saved"), "")
		c.set(23, "13:00:00")
		expect(t, "then it runs", s.due("saved"), "23T13:00")
		s.ended("saved")

		c.set(23, "14:30:00")
		s.plan("saved", `{"cron":"@hourly","catch_up":"all","payload":{"a":1}}`)
		expect(t, "a save that leaves the times alone loses no tick", s.due("saved"), "23T13:00 23T14:00")
		s.ended("saved")
		expect(t, "its payload holds", string(s.schedule("saved").Payload), `{"a":1}`)

		c.set(23, "15:30:00")
		s.plan("saved", `{"cron":"0 * * * *","catch_up":"all"}`)
		expect(t, "another expression begins anew", s.due("saved"), "23T13:00 23T14:00")
		c.set(23, "16:30:00")
		s.plan("saved", `{"cron":"0 * * * *","catch_up":"all","time_zone":"Asia/Kolkata"}`)
		expect(t, "another zone too", s.due("saved"), "23T13:00 23T14:00")
		if next := s.schedule("saved").NextTick; !next.Equal(c.Now().Add(time.Hour)) {
			t.Errorf("next at %s", next)
		}

		if _, _, _, err := s.SaveDefinition(t.Context(), engine.DefinitionInput{Name: "saved", IsActive: new(false)}); err != nil {
			t.Fatal(err)
		}
		c.set(23, "20:00:00")
		expect(t, "deactivated", s.due("saved"), "23T13:00 23T14:00")
		if _, _, _, err := s.SaveDefinition(t.Context(), engine.DefinitionInput{Name: "saved", IsActive: new(true)}); err != nil {
			t.Fatal(err)
		}
		expect(t, "activated", s.due("saved"), "23T13:00 23T14:00")
		if err := s.DeleteDefinition(t.Context(), "saved", nil); err != nil {
			t.Fatal(err)
		}
		c.set(24, "20:00:00")
		expect(t, "deleted", s.due("saved"), "23T13:00 23T14:00")
	})
}

// TestScheduleProcesses has two processes on one PostgreSQL that both look at every tick, of which one stops.
func TestScheduleProcesses(t *testing.T) {
	t.Parallel()
	url, sc, c := dbtest.Postgres(t), newScript(), newClock()
	a, b := process(t, url, sc, c.options), process(t, url, sc, c.options)
	for i := range 5 {
		a.plan(fmt.Sprintf("p%d", i), `{"cron":"* * * * *"}`)
	}
	both := []*stack{a, b}
	c.set(23, "12:00:00")
	for minute := range 20 {
		if minute == 10 {
			a.stop()
			both = both[1:]
		}
		var wait sync.WaitGroup
		for _, s := range both {
			wait.Go(func() {
				for range 3 {
					if err := s.StartDue(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		for i := range 5 {
			b.ended(fmt.Sprintf("p%d", i))
		}
		c.mu.Lock()
		c.at = c.at.Add(time.Minute)
		c.mu.Unlock()
	}
	for i := range 5 {
		runs := b.scheduled(fmt.Sprintf("p%d", i))
		seen := map[time.Time]bool{}
		for _, r := range runs {
			seen[r.ScheduledAt] = true
		}
		if len(runs) != 20 || len(seen) != 20 {
			t.Errorf("p%d: %d runs of %d ticks, want 20", i, len(runs), len(seen))
		}
	}
}

// TestScheduleByItself: nobody calls the engine, and ten minutes pass.
func TestScheduleByItself(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		s := process(t, url, newScript())
		s.plan("minutely", `{"cron":"* * * * *"}`)
		time.Sleep(10 * time.Minute)
		s.ended("minutely")
		runs := s.scheduled("minutely")
		if len(runs) != 10 {
			t.Errorf("%d runs in ten minutes", len(runs))
		}
		for _, r := range runs {
			if late := r.CreatedAt.Sub(r.ScheduledAt); late < 0 || late > time.Second {
				t.Errorf("started %s after its time", late)
			}
		}
		s.stop()
	})
}
