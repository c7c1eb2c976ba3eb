package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/db/seal"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/alertmanager"
	"penstock/drivers/alerts/generic"
	"penstock/drivers/alerts/grafana"
	"penstock/drivers/notify"
	"penstock/drivers/notify/pagerduty"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

// script is a node type whose behaviour a test decides per node id: it counts its attempts.
type script struct {
	mu    sync.Mutex
	calls map[string][]engine.Input
	do    map[string]func(context.Context, engine.Input) (engine.Output, error)
}

func newScript() *script {
	return &script{calls: map[string][]engine.Input{}, do: map[string]func(context.Context, engine.Input) (engine.Output, error){}}
}

func (s *script) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	s.mu.Lock()
	s.calls[in.NodeID] = append(s.calls[in.NodeID], in)
	do := s.do[in.NodeID]
	s.mu.Unlock()
	if do == nil {
		return engine.Output{Data: map[string]any{"node": in.NodeID}}, nil
	}
	return do(ctx, in)
}

func (s *script) on(id string, do func(context.Context, engine.Input) (engine.Output, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do[id] = do
}

func (s *script) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls[id])
}

func (s *script) last(id string) engine.Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id][len(s.calls[id])-1]
}

func (s *script) types() []engine.NodeType {
	kind := func(name string, branches, effects bool, node engine.Node) engine.NodeType {
		return engine.NodeType{
			Type:  definition.Type{Name: name, Title: name, Schema: json.RawMessage(`{"type":"object"}`), Branches: branches, SideEffects: effects},
			Build: func(json.RawMessage) (engine.Node, error) { return node, nil },
		}
	}
	return []engine.NodeType{kind("step", false, false, s), kind("effect", false, true, s), kind("fork", true, false, s), kind("ingest", false, false, ingest{}), callerType()}
}

// ingest is the smallest node that takes a delivery in.
type ingest struct{}

func (ingest) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	r, err := in.Services.Intake(ctx, in.Run, in.Payload, "")
	if err != nil {
		return engine.Output{}, err
	}
	out := engine.Output{Data: map[string]any{"incident_id": r.IncidentID, "changed": r.Changed}, IncidentID: r.IncidentID, Change: r.Change}
	if !r.Changed && in.Run.Trigger == db.TriggerWebhook {
		out.SkipRest = "repeat"
	}
	return out, nil
}

// stack is a running engine on a store.
type stack struct {
	*engine.Engine
	t      testing.TB
	store  *db.Store
	script *script
	stop   func()
}

func start(t testing.TB, store *db.Store, hub *engine.Hub, sc *script, change ...func(*engine.Options)) *stack {
	t.Helper()
	sealer, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{
		Store: store, Hub: hub, Sealer: sealer, Types: sc.types(),
		Sources: drivers.NewRegistry(alertmanager.Kind(), grafana.Kind(), generic.Kind()),
		Drain:   50 * time.Millisecond,
		Notify:  drivers.NewRegistry(pagerduty.Kind(notify.Deps{})), AI: drivers.NewRegistry[ai.Provider](),
	}
	for _, f := range change {
		f(&o)
	}
	e, err := engine.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	s := &stack{Engine: e, t: t, store: store, script: sc}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	t.Cleanup(s.stop)
	for e.Ready(t.Context()) != nil {
		time.Sleep(5 * time.Millisecond) // the engine has no signal for "up" but readiness
	}
	return s
}

func eachStore(t *testing.T, test func(t *testing.T, store *db.Store, hub *engine.Hub)) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		test(t, dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish}), hub)
	})
}

func each(t *testing.T, test func(t *testing.T, s *stack)) {
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) { test(t, start(t, store, hub, newScript())) })
}

func (s *stack) define(name, nodes string) {
	s.t.Helper()
	config := json.RawMessage(fmt.Sprintf(`{"version":"1.0","nodes":%s}`, nodes))
	if _, _, _, err := s.SaveDefinition(s.t.Context(), engine.DefinitionInput{Name: name, Config: config, Actor: "test"}); err != nil {
		s.t.Fatalf("define %s: %v", name, err)
	}
}

func (s *stack) run(name string) engine.RunResult {
	s.t.Helper()
	run, err := s.Execute(s.t.Context(), engine.ExecuteInput{Definition: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.wait(run.ID)
}

func (s *stack) wait(id string) engine.RunResult {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	r, err := s.Wait(ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	if !r.Status.Terminal() {
		s.t.Fatalf("run is %s and waits for %s", r.Status, *r.WaitingFor)
	}
	return r
}

func (s *stack) statuses(r engine.RunResult) string {
	var list []string
	for id, n := range r.NodeResults {
		list = append(list, id+"="+string(n.Status))
	}
	slices.Sort(list)
	return string(r.Status) + ": " + strings.Join(list, " ")
}

func failing(err error) func(context.Context, engine.Input) (engine.Output, error) {
	return func(context.Context, engine.Input) (engine.Output, error) { return engine.Output{}, err }
}

func TestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		final := failing(fault.New(fault.Unprocessable, "no"))
		s.script.on("bad", final)
		s.script.on("left", func(context.Context, engine.Input) (engine.Output, error) {
			return engine.Output{Data: map[string]any{"branch": "a"}, Branch: "a"}, nil
		})
		cases := []struct{ name, nodes, want string }{
			{"without next nodes run in list order",
				`[{"id":"one","type":"step"},{"id":"two","type":"step"}]`,
				"completed: one=succeeded two=succeeded"},
			{"a join waits for both branches",
				`[{"id":"a","type":"step","next":["b","c"]},{"id":"b","type":"step","next":"d"},{"id":"c","type":"step","next":"d"},{"id":"d","type":"step"}]`,
				"completed: a=succeeded b=succeeded c=succeeded d=succeeded"},
			{"a node whose branch is not taken is skipped, a join behind it runs",
				`[{"id":"left","type":"fork","next":{"a":"x","b":"y"}},{"id":"x","type":"step","next":"end"},{"id":"y","type":"step","next":["end","only"]},{"id":"end","type":"step"},{"id":"only","type":"step"}]`,
				"completed: end=succeeded left=succeeded only=skipped x=succeeded y=skipped"},
			{"a required failure ends the run and what follows is not started",
				`[{"id":"bad","type":"step"},{"id":"two","type":"step"}]`,
				"failed: bad=failed two=skipped"},
			{"an optional failure makes the run partial",
				`[{"id":"bad","type":"step","required":false},{"id":"two","type":"step"}]`,
				"partial: bad=failed two=succeeded"},
			{"skip_if_errors looks at the named node",
				`[{"id":"bad","type":"step","required":false},{"id":"two","type":"step","skip_if_errors":["bad"]},{"id":"three","type":"step"}]`,
				"partial: bad=failed three=succeeded two=skipped"},
			{"skip_if_condition has its short form",
				`[{"id":"bad","type":"step","required":false},{"id":"two","type":"step","skip_if_condition":"bad.has_errors"}]`,
				"partial: bad=failed two=skipped"},
			{"an untaken branch is skipped by name, and what follows it too",
				`[{"id":"left","type":"fork","next":{"a":"x","b":"y"}},{"id":"x","type":"step"},{"id":"y","type":"step","next":"z"},{"id":"z","type":"step"}]`,
				"completed: left=succeeded x=succeeded y=skipped z=skipped"},
			{"on_error runs only after a failure",
				`[{"id":"one","type":"step","on_error":"sorry"},{"id":"sorry","type":"step"},{"id":"two","type":"step"}]`,
				"completed: one=succeeded sorry=skipped two=succeeded"},
			{"a required failure ends the run, but its on_error and what follows that run",
				`[{"id":"bad","type":"step","on_error":"sorry","next":"two"},{"id":"two","type":"step"},{"id":"sorry","type":"step","next":"after"},{"id":"after","type":"step"}]`,
				"failed: after=succeeded bad=failed sorry=succeeded two=skipped"},
			{"an optional failure goes on and runs its on_error",
				`[{"id":"bad","type":"step","required":false,"on_error":"sorry"},{"id":"two","type":"step"},{"id":"sorry","type":"step","when":"nodes.bad.errors[0] == 'no'"}]`,
				"partial: bad=failed sorry=succeeded two=succeeded"},
			{"a join of next and on_error runs once, either way",
				`[{"id":"one","type":"step","next":"join"},{"id":"bad","type":"step","required":false,"on_error":"join"},{"id":"join","type":"step"}]`,
				"partial: bad=failed join=succeeded one=succeeded"},
			{"a join behind a required failure waits for its other side, then runs",
				`[{"id":"one","type":"step","next":"join"},{"id":"bad","type":"step","on_error":"join"},{"id":"join","type":"step","next":"end"},{"id":"end","type":"step"}]`,
				"failed: bad=failed end=succeeded join=succeeded one=succeeded"},
			{"a failing on_error has an on_error of its own",
				`[{"id":"bad","type":"step","on_error":"left"},{"id":"left","type":"effect","on_error":"sorry","when":"1/0 == 1"},{"id":"sorry","type":"step"}]`,
				"failed: bad=failed left=failed sorry=succeeded"},
			{"an on_error node that fails behind an optional node fails the run",
				`[{"id":"one","type":"step","when":"1/0 == 1","required":false,"on_error":"bad"},{"id":"bad","type":"step"},{"id":"two","type":"step","skip_if_errors":["one"]}]`,
				"failed: bad=failed one=failed two=skipped"},
			{"when decides",
				`[{"id":"one","type":"step"},{"id":"two","type":"step","when":"nodes.one.output.node == 'other'"},{"id":"three","type":"step","when":"nodes.one.output.node == 'one'"}]`,
				"completed: one=succeeded three=succeeded two=skipped"},
			{"when that cannot be evaluated fails the node",
				`[{"id":"one","type":"step"},{"id":"two","type":"step","when":"nodes.one.output.missing > 3"}]`,
				"failed: one=succeeded two=failed"},
		}
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				name := fmt.Sprintf("order-%d", i)
				s.define(name, c.nodes)
				if got := s.statuses(s.run(name)); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		}
		t.Run("an outcome that next does not name is the reason", func(t *testing.T) {
			s.define("stray", `[{"id":"left","type":"fork","next":{"b":"y"}},{"id":"y","type":"step","next":"z"},{"id":"z","type":"step"}]`)
			r := s.run("stray")
			if got := r.NodeResults["y"].SkipReason + "; " + r.NodeResults["z"].SkipReason; got !=
				`the branch that leads here was not taken: left chose "a", for which its next has no key; the branch that leads here was not taken: y was skipped` {
				t.Error(got)
			}
		})
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("two", `[{"id":"one","type":"step"},{"id":"two","type":"effect"}]`)
		r := s.run("two")
		read := func(after int64) (got []string) {
			next := after
			for ev, err := range s.Watch(t.Context(), r.RunID, after) {
				if err != nil {
					t.Fatal(err)
				}
				next++
				if ev.Sequence != next {
					t.Fatalf("sequence %d after %d", ev.Sequence, next-1)
				}
				got = append(got, strings.Trim(ev.NodeID+" "+ev.Status, " "))
			}
			return got
		}
		want := "running, one running, one succeeded, two running, two succeeded, completed"
		if got := strings.Join(read(0), ", "); got != want {
			t.Errorf("got %s", got)
		}
		if got := strings.Join(read(4), ", "); got != "two succeeded, completed" {
			t.Errorf("after 4: %s", got)
		}
		if got := read(6); len(got) != 0 {
			t.Errorf("after the end: %v", got)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		t.Run("an error that may pass is tried again, every attempt has a row", func(t *testing.T) {
			s.script.on("flaky", func(_ context.Context, in engine.Input) (engine.Output, error) {
				if in.Attempt == 1 {
					return engine.Output{}, fault.Retry(fault.New(fault.Unavailable, "503"), 0)
				}
				return engine.Output{Data: map[string]any{"key": in.Key}}, nil
			})
			s.define("flaky", `[{"id":"flaky","type":"effect"}]`)
			r := s.run("flaky")
			stages, err := s.store.Stages(t.Context(), r.RunID)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != db.RunCompleted || len(stages) != 2 || stages[0].Status != db.StageFailed || stages[1].Status != db.StageSucceeded {
				t.Fatalf("%s, stages %+v", r.Status, stages)
			}
			if wait := stages[1].StartedAt.Sub(stages[0].FinishedAt); wait < time.Second || wait > 3*time.Second {
				t.Errorf("waited %s, want 1 to 2 s", wait)
			}
		})
		t.Run("a receiver that is away is not our store that is away: retries end", func(t *testing.T) {
			s.script.on("away", failing(fault.Retry(fault.Wrap(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, fault.Unavailable, "The target cannot be reached."), 0)))
			s.define("away", `[{"id":"away","type":"effect","max_retries":1}]`)
			if r := s.run("away"); r.Status != db.RunFailed || r.NodeResults["away"].Attempt != 2 {
				t.Errorf("%s after attempt %d", r.Status, r.NodeResults["away"].Attempt)
			}
		})
		t.Run("a failed run continues at the failed node", func(t *testing.T) {
			broken := true
			s.script.on("mend", func(context.Context, engine.Input) (engine.Output, error) {
				if broken {
					return engine.Output{}, errors.New("cause")
				}
				return engine.Output{}, nil
			})
			s.define("mend", `[{"id":"first","type":"step"},{"id":"mend","type":"step"},{"id":"last","type":"step"}]`)
			r := s.run("mend")
			if got := s.statuses(r); got != "failed: first=succeeded last=skipped mend=failed" {
				t.Fatal(got)
			}
			if *r.Error != "mend failed: internal error" {
				t.Errorf("error text %q", *r.Error)
			}
			broken = false
			before := s.script.count("first")
			if _, err := s.Retry(t.Context(), r.RunID, "test"); err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(s.wait(r.RunID)); got != "completed: first=succeeded last=succeeded mend=succeeded" {
				t.Error(got)
			}
			if s.script.count("first") != before {
				t.Error("a finished node ran again")
			}
		})
		t.Run("what was skipped because of a failure is decided again", func(t *testing.T) {
			s.script.on("opt", failing(fault.New(fault.Unprocessable, "no")))
			s.script.on("need", failing(fault.New(fault.Unprocessable, "no")))
			s.define("decide", `[{"id":"opt","type":"step","required":false,"on_error":"sorry"},{"id":"quiet","type":"step","skip_if_errors":["opt"]},
				{"id":"need","type":"step","on_error":"help"},{"id":"never","type":"step","when":"false"},{"id":"sorry","type":"step"},{"id":"help","type":"step"}]`)
			r := s.run("decide")
			if got := s.statuses(r); got != "failed: help=succeeded need=failed never=skipped opt=failed quiet=skipped sorry=succeeded" {
				t.Fatal(got)
			}
			s.script.on("opt", nil)
			s.script.on("need", nil)
			before := s.script.count("help")
			if _, err := s.Retry(t.Context(), r.RunID, "test"); err != nil {
				t.Fatal(err)
			}
			r = s.wait(r.RunID)
			if got := s.statuses(r); got != "completed: help=succeeded need=succeeded never=skipped opt=succeeded quiet=succeeded sorry=succeeded" {
				t.Error(got)
			}
			if why := r.NodeResults["never"].SkipReason; why != "when is false: false" || s.script.count("help") != before {
				t.Errorf("never was skipped by %q; help ran %d times", why, s.script.count("help")-before+1)
			}
			if _, err := s.Retry(t.Context(), r.RunID, "test"); !fault.Is(err, fault.Conflict) {
				t.Errorf("retry of a completed run: %v", err)
			}
		})
		t.Run("the timeout is per attempt", func(t *testing.T) {
			s.script.on("slow", func(ctx context.Context, in engine.Input) (engine.Output, error) {
				if in.Attempt == 1 {
					<-ctx.Done()
					return engine.Output{}, ctx.Err()
				}
				return engine.Output{}, nil
			})
			s.define("slow", `[{"id":"slow","type":"step","timeout_seconds":1}]`)
			r := s.run("slow")
			if r.Status != db.RunCompleted || r.NodeResults["slow"].Attempt != 2 {
				t.Errorf("%s after attempt %d", r.Status, r.NodeResults["slow"].Attempt)
			}
		})
	})
}

// TestPoison has a node that panics every time, beside a good one and with one worker.
func TestPoison(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		sc := newScript()
		sc.on("panics", func(context.Context, engine.Input) (engine.Output, error) { panic("secret detail") })
		s := start(t, store, hub, sc, func(o *engine.Options) { o.Workers = 1 })
		s.define("poison", `[{"id":"panics","type":"effect"}]`)
		s.define("good", `[{"id":"works","type":"effect"}]`)
		var poisoned engine.RunResult
		for range 10 {
			poisoned = s.run("poison")
			if r := poisoned; r.Status != db.RunFailed || strings.Contains(*r.Error, "secret") || r.NodeResults["panics"].Attempt != 1 {
				t.Errorf("poison: %s after attempt %d: %s", r.Status, r.NodeResults["panics"].Attempt, *r.Error)
			}
			if r := s.run("good"); r.Status != db.RunCompleted {
				t.Errorf("beside poison: %s", r.Status)
			}
		}
		sc.on("panics", func(context.Context, engine.Input) (engine.Output, error) { return engine.Output{}, nil })
		if _, err := s.Retry(t.Context(), poisoned.RunID, "test"); err != nil {
			t.Fatal(err)
		}
		if r := s.wait(poisoned.RunID); r.Status != db.RunCompleted {
			t.Errorf("continued once it is mended: %s", r.Status)
		}
	})
}

// TestCancelThatNobodyHeard: a run that was cancelled before its process could be told is interrupted by its next write.
func TestCancelThatNobodyHeard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		goOn, ended := make(chan struct{}), make(chan error, 1)
		s.script.on("hang", func(ctx context.Context, in engine.Input) (engine.Output, error) {
			<-goOn
			in.Log("this is written")
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return engine.Output{}, ctx.Err()
		})
		s.define("unheard", `[{"id":"hang","type":"step","timeout_seconds":60}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "unheard"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.CancelRun(t.Context(), run.ID, "Cancelled", time.Now().UTC()); err != nil {
			t.Fatal(err)
		}
		close(goOn)
		select {
		case err := <-ended:
			if !errors.Is(err, db.ErrFenced) {
				t.Errorf("ended by %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it runs on")
		}
		eventually(t, "it has left the memory", func() bool { return s.Stats().Load == 0 })
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		started := make(chan struct{})
		ended := make(chan error, 1)
		s.script.on("hang", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return engine.Output{}, ctx.Err()
		})
		s.define("hang", `[{"id":"hang","type":"step"},{"id":"after","type":"step"}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "hang"})
		if err != nil {
			t.Fatal(err)
		}
		<-started
		for ev := range s.Watch(t.Context(), run.ID, 0) { // until it is on record that the stage runs
			if ev.NodeID == "hang" {
				break
			}
		}
		if _, err := s.Cancel(t.Context(), run.ID, "enough", "ada"); err != nil {
			t.Fatal(err)
		}
		select {
		case cause := <-ended:
			if errors.Is(cause, context.DeadlineExceeded) {
				t.Errorf("the running stage ended by itself: %v", cause)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("the running stage was not interrupted")
		}
		r := s.wait(run.ID)
		if r.Status != db.RunCancelled || *r.Error != "Cancelled by ada: enough" || r.NodeResults["hang"].Status != db.StageCancelled {
			t.Errorf("%+v", r)
		}
		eventually(t, "it has left the memory", func() bool { return s.Stats().Load == 0 })
		s.define("quick", `[{"id":"one","type":"step"}]`)
		if _, err := s.Cancel(t.Context(), s.run("quick").RunID, "", ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("cancel of an ended run: %v", err)
		}
	})
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	firing, err := os.ReadFile("testdata/alertmanager-firing.json")
	if err != nil {
		t.Fatal(err)
	}
	resolved := []byte(strings.NewReplacer(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2020-08-08T15:00:00Z").Replace(string(firing)))
	each(t, func(t *testing.T, s *stack) {
		s.define("named", `[{"id":"ingest","type":"ingest"},{"id":"tell","type":"effect"}]`)
		post := func(body []byte) []engine.RunResult {
			t.Helper()
			a, err := s.Receive(t.Context(), engine.Inbound{Definition: "named", Body: body, ContentType: "application/json"})
			if err != nil {
				t.Fatal(err)
			}
			results := []engine.RunResult{s.wait(*a.RunID)}
			children, err := s.store.Runs(t.Context(), db.RunFilter{ParentRunID: *a.RunID})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range children.Items {
				results = append(results, s.wait(c.ID))
			}
			return results
		}
		first := post(firing)
		if len(first) != 2 || *first[0].IncidentID == *first[1].IncidentID {
			t.Fatalf("a group with two hosts is two incidents, each with a run: %+v", first)
		}
		keys := map[string]bool{}
		for _, in := range s.script.calls["tell"] {
			keys[in.Key] = true
			if in.Incident["severity"] != "critical" || len(in.Alerts) != 1 {
				t.Errorf("the node sees %v and %d alerts", in.Incident, len(in.Alerts))
			}
		}
		if len(keys) != 2 {
			t.Errorf("keys %v", keys)
		}
		again := post(firing)
		if len(again) != 1 || again[0].NodeResults["tell"].SkipReason != "repeat" {
			t.Errorf("a repeat starts nothing: %+v", again)
		}
		if s.script.count("tell") != 2 {
			t.Errorf("told %d times", s.script.count("tell"))
		}
		over := post(resolved)
		if len(over) != 2 || s.script.last("tell").Incident["status"] != "resolved" {
			t.Errorf("resolve: %d runs, %v", len(over), s.script.last("tell").Incident)
		}
		back := post(firing)
		if len(back) != 2 || s.script.last("tell").Incident["occurrence"] != int64(2) {
			t.Errorf("reopen: %d runs, %v", len(back), s.script.last("tell").Incident)
		}
		t.Run("each occurrence is its own", func(t *testing.T) {
			alert := func(name, status string, hour int) string {
				ends := "0001-01-01T00:00:00Z"
				if status == "resolved" {
					ends = fmt.Sprintf("2026-01-02T%02d:30:00Z", hour)
				}
				return fmt.Sprintf(`{"status":%q,"labels":{"alertname":%q,"instance":"h1","severity":"warning"},"startsAt":"2026-01-02T%02d:00:00Z","endsAt":%q,"fingerprint":%q}`, status, name, hour, ends, name)
			}
			send := func(alerts ...string) engine.RunResult {
				t.Helper()
				r := post([]byte(`{"version":"4","groupKey":"k","status":"firing","receiver":"r","alerts":[` + strings.Join(alerts, ",") + `]}`))[0]
				if r.Status != db.RunCompleted {
					t.Fatalf("%s: %v", r.Status, r.Error)
				}
				return r
			}
			status := func(r engine.RunResult) db.IncidentStatus {
				t.Helper()
				inc, err := s.store.Incident(t.Context(), *r.IncidentID)
				if err != nil {
					t.Fatal(err)
				}
				return inc.Status
			}
			first := send(alert("Flap", "firing", 12))
			send(alert("Flap", "firing", 13)) // the resolve of 12:00 is late
			if r := send(alert("Flap", "resolved", 12)); status(first) != db.IncidentOpen || r.NodeResults["tell"].SkipReason != "repeat" {
				t.Errorf("the late resolve of an older occurrence ended the one that fires: %s", status(first))
			}
			if send(alert("Flap", "resolved", 11)); status(first) != db.IncidentOpen {
				t.Error("the resolve of an occurrence nobody has seen ended a later one")
			}
			if r := send(alert("Flap", "firing", 12), alert("New", "firing", 14)); *r.IncidentID == *first.IncidentID || r.NodeResults["tell"].Status != db.StageSucceeded {
				t.Error("old news beside a new alert hid it")
			}
			if send(alert("Flap", "resolved", 13)); status(first) != db.IncidentResolved {
				t.Errorf("resolved, but the incident is %s", status(first))
			}
			if send(alert("Flap", "firing", 12)); status(first) != db.IncidentResolved {
				t.Error("news of an occurrence that is over opened the incident again")
			}
		})
		t.Run("a body with many hosts is a run for each", func(t *testing.T) {
			const hosts = 300
			list := make([]string, hosts)
			for i := range list {
				list[i] = fmt.Sprintf(`{"status":"firing","labels":{"alertname":"Many","instance":"host%d"},"startsAt":"2026-01-02T03:04:05Z","fingerprint":"many%d"}`, i, i)
			}
			told := s.script.count("tell")
			a, err := s.Receive(t.Context(), engine.Inbound{Definition: "named", ContentType: "application/json",
				Body: []byte(`{"version":"4","groupKey":"k","status":"firing","receiver":"r","alerts":[` + strings.Join(list, ",") + `]}`)})
			if err != nil {
				t.Fatal(err)
			}
			s.wait(*a.RunID)
			children, err := s.store.Runs(t.Context(), db.RunFilter{ParentRunID: *a.RunID, Page: db.Page{First: 500}})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range children.Items {
				s.wait(c.ID)
			}
			if got := s.script.count("tell") - told; got != hosts || len(children.Items) != hosts-1 {
				t.Errorf("told %d times by %d further runs, want %d", got, len(children.Items), hosts)
			}
		})
		t.Run("a body without alerts is kept and refused", func(t *testing.T) {
			_, err := s.Receive(t.Context(), engine.Inbound{Definition: "named", Source: "alertmanager", Body: []byte(`{"version":"4","groupKey":"x","alerts":[]}`)})
			if !errors.Is(err, alerts.ErrNoAlerts) {
				t.Fatalf("got %v", err)
			}
		})
	})
}

// process is a stack with a store of its own, which it closes when it stops.
func process(t testing.TB, url string, sc *script, change ...func(*engine.Options)) *stack {
	t.Helper()
	hub := engine.NewHub()
	store, err := db.Open(t.Context(), db.Options{URL: url, OnCommit: hub.Publish, PoolSize: 8})
	if err == nil {
		_, err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, store, hub, sc, change...)
	stop := s.stop
	s.stop = sync.OnceFunc(func() { stop(); _ = store.Close() })
	t.Cleanup(s.stop)
	return s
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		sc := newScript()
		s := process(t, url, sc)
		began := make(chan struct{}, 2)
		release := make(chan struct{})
		sc.on("long", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			began <- struct{}{}
			select {
			case <-release:
				return engine.Output{}, nil
			case <-ctx.Done():
				return engine.Output{}, ctx.Err()
			}
		})
		s.define("long", `[{"id":"first","type":"step"},{"id":"long","type":"effect"},{"id":"last","type":"step"}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "long"})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		s.stop()
		close(release)
		next := process(t, url, sc)
		r := next.wait(run.ID)
		if got := next.statuses(r); got != "completed: first=succeeded last=succeeded long=succeeded" {
			t.Error(got)
		}
		if sc.count("first") != 1 || sc.count("long") != 2 || r.NodeResults["long"].Attempt != 2 {
			t.Errorf("first ran %d times, long %d, attempt %d", sc.count("first"), sc.count("long"), r.NodeResults["long"].Attempt)
		}
	})
}
