package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/drivers"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

// caller is a node type that runs the definition in its configuration.
type caller struct {
	Definition string `json:"definition"`
	Version    int    `json:"version,omitempty"`
	NoWait     bool   `json:"no_wait,omitempty"`
}

func (c caller) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	payload, err := json.Marshal(in.Payload)
	if err != nil {
		return engine.Output{}, err
	}
	r, err := in.Services.SubRun(ctx, engine.SubRun{Definition: c.Definition, Version: c.Version, Payload: payload, Wait: !c.NoWait})
	if err != nil {
		return engine.Output{}, err
	}
	if r.Status == db.RunFailed || r.Status == db.RunCancelled {
		return engine.Output{}, fault.New(fault.Unprocessable, "%s", r.Error)
	}
	out := map[string]any{"run_id": r.RunID, "status": string(r.Status), "version": r.Version}
	for _, final := range r.Final {
		out[final.NodeID] = final.Output
	}
	return engine.Output{Data: out}, nil
}

func callerType() engine.NodeType {
	call := func(config json.RawMessage) (c caller) {
		_ = json.Unmarshal(config, &c)
		return c
	}
	return engine.NodeType{
		Type: definition.Type{
			Name: "pipeline", Title: "Pipeline", Schema: drivers.SchemaOf[caller](), SideEffects: true, Waits: true,
			Call: func(config json.RawMessage) definition.Call {
				c := call(config)
				return definition.Call{Definition: c.Definition, Version: c.Version}
			},
			Check: func(config json.RawMessage, c *definition.Checker) {
				cfg := call(config)
				c.Call("/definition", definition.Call{Definition: cfg.Definition, Version: cfg.Version})
			},
		},
		Build: func(config json.RawMessage) (engine.Node, error) { return call(config), nil },
	}
}

func (s *stack) childOf(t *testing.T, id string) *db.Run {
	t.Helper()
	children, err := s.store.Runs(t.Context(), db.RunFilter{ParentRunID: id, Page: db.Page{First: 10}})
	if err != nil || len(children.Items) != 1 {
		t.Fatalf("%d children, %v", len(children.Items), err)
	}
	return &children.Items[0]
}

func TestSubRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		const calls = `[{"id":"first","type":"step"},{"id":"sub","type":"pipeline","config":{"definition":%q}},{"id":"after","type":"step","when":"nodes.sub.output.leaf.node == 'leaf'"}]`
		s.define("leaf", `[{"id":"start","type":"step"},{"id":"leaf","type":"step"}]`)
		s.define("top", fmt.Sprintf(calls, "leaf"))
		t.Run("is a run of its own, whose results the next node sees", func(t *testing.T) {
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "top", Payload: json.RawMessage(`{"x":1}`), Environment: "test", Actor: "me"})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(s.wait(run.ID)); got != "completed: after=succeeded first=succeeded sub=succeeded" {
				t.Fatal(got)
			}
			child := s.childOf(t, run.ID)
			if child.Trigger != db.TriggerPipeline || child.TraceID != run.TraceID || child.Environment != "test" || child.CreatedBy != "me" || child.ID[:8] != run.ID[:8] || child.ID[14] != '7' {
				t.Errorf("%+v", child)
			}
			if x := s.script.last("leaf").Payload.(map[string]any)["x"]; x != int64(1) {
				t.Errorf("payload %v", s.script.last("leaf").Payload)
			}
		})
		t.Run("its failure fails the node, and continuing the one continues the other", func(t *testing.T) {
			s.script.on("leaf", failing(fault.New(fault.Unprocessable, "no")))
			r := s.run("top")
			if got := s.statuses(r); got != "failed: after=skipped first=succeeded sub=failed" || r.NodeResults["sub"].Attempt != 1 {
				t.Fatal(got)
			}
			s.script.on("leaf", nil)
			starts := s.script.count("start")
			if _, err := s.Retry(t.Context(), r.RunID, "test"); err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(s.wait(r.RunID)); got != "completed: after=succeeded first=succeeded sub=succeeded" {
				t.Fatal(got)
			}
			if child := s.wait(s.childOf(t, r.RunID).ID); child.Status != db.RunCompleted || s.script.count("start") != starts {
				t.Errorf("child %s; its first node ran %d times more", child.Status, s.script.count("start")-starts)
			}
		})
		t.Run("is cancelled with the run that waits for it", func(t *testing.T) {
			began := make(chan struct{})
			s.script.on("leaf", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
				close(began)
				<-ctx.Done()
				return engine.Output{}, ctx.Err()
			})
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "top"})
			if err != nil {
				t.Fatal(err)
			}
			<-began
			child := s.childOf(t, run.ID)
			if r, err := s.Result(t.Context(), run.ID); err != nil || r.WaitingFor == nil || *r.WaitingFor != "sub (pipeline): the run "+child.ID+" to end" {
				t.Errorf("waits for %v, %v", r.WaitingFor, err)
			}
			if _, err := s.Cancel(t.Context(), run.ID, "enough", "me"); err != nil {
				t.Fatal(err)
			}
			if r := s.wait(child.ID); r.Status != db.RunCancelled || *r.Error != "Cancelled: the run that waits for it was cancelled" {
				t.Errorf("%s: %v", r.Status, r.Error)
			}
			s.script.on("leaf", nil)
		})
		t.Run("nobody needs to wait", func(t *testing.T) {
			s.define("loose", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf","no_wait":true}}]`)
			r := s.run("loose")
			if got := s.statuses(r); got != "completed: sub=succeeded" {
				t.Fatal(got)
			}
			if child := s.wait(s.childOf(t, r.RunID).ID); child.Status != db.RunCompleted {
				t.Error(child.Status)
			}
		})
		t.Run("a pinned version is run", func(t *testing.T) {
			s.define("leaf", `[{"id":"leaf","type":"step"}]`)
			s.define("pinned", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf","version":1}}]`)
			r := s.run("pinned")
			if child := s.wait(s.childOf(t, r.RunID).ID); child.DefinitionVersion != 1 || len(child.NodeResults) != 2 {
				t.Errorf("version %d with %d nodes", child.DefinitionVersion, len(child.NodeResults))
			}
		})
		save := func(name, config string, active *bool) error {
			in := engine.DefinitionInput{Name: name, IsActive: active}
			if config != "" {
				in.Config = json.RawMessage(`{"version":"1.0","nodes":` + config + `}`)
			}
			_, _, _, err := s.SaveDefinition(t.Context(), in)
			return err
		}
		refused := func(t *testing.T, err error, code fault.Code, words string) {
			t.Helper()
			if f := fault.Of(err); err == nil || f.Code != code || !strings.Contains(f.Message, words) {
				t.Errorf("got %v, want %s: %s", err, code, words)
			}
		}
		t.Run("circles are refused when they are closed, however long", func(t *testing.T) {
			s.define("middle", fmt.Sprintf(calls, "top"))
			s.define("upper", fmt.Sprintf(calls, "middle"))
			refused(t, save("leaf", fmt.Sprintf(calls, "leaf"), nil), fault.Unprocessable, "circle: leaf → leaf ")
			refused(t, save("leaf", fmt.Sprintf(calls, "upper"), nil), fault.Unprocessable, "circle: leaf → upper → middle → top → leaf ")
			refused(t, save("x", fmt.Sprintf(calls, "gone"), nil), fault.Unprocessable, `There is no pipeline definition "gone".`)
		})
		t.Run("what an active definition runs stays", func(t *testing.T) {
			refused(t, s.DeleteDefinition(t.Context(), "top", nil), fault.Conflict, `"top" is run by middle.`)
			refused(t, save("top", "", new(false)), fault.Conflict, `"top" is run by middle.`)
			for _, name := range []string{"upper", "middle"} {
				if err := save(name, "", new(false)); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, save("x", fmt.Sprintf(calls, "middle"), nil), fault.Unprocessable, `"middle" is not active`)
			if err := s.DeleteDefinition(t.Context(), "upper", nil); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestSubRunDepth(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("d9", `[{"id":"leaf","type":"step"}]`)
		for i := 8; i > 0; i-- {
			s.define(fmt.Sprintf("d%d", i), fmt.Sprintf(`[{"id":"sub","type":"pipeline","config":{"definition":"d%d"}}]`, i+1))
		}
		if r := s.run("d2"); r.Status != db.RunCompleted {
			t.Errorf("eight deep: %s, %v", r.Status, *r.Error)
		}
		if r := s.run("d1"); r.Status != db.RunFailed || !strings.Contains(*r.Error, "At most 8 runs may start each other: d1 → d2 → d3 → d4 → d5 → d6 → d7 → d8 → d9.") {
			t.Errorf("nine deep: %s, %v", r.Status, r.Error)
		}
	})
}

// TestSubRunsWithOneWorker: runs that wait do not keep those they wait for from being worked.
func TestSubRunsWithOneWorker(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), func(o *engine.Options) { o.Workers, o.Backlog = 1, 4 })
		s.define("leaf", `[{"id":"leaf","type":"step"}]`)
		s.define("top", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf"}}]`)
		var ids []string
		for range 4 {
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "top"})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, run.ID)
		}
		for _, id := range ids {
			if r := s.wait(id); r.Status != db.RunCompleted {
				t.Errorf("%s: %v", r.Status, r.Error)
			}
		}
	})
}

// TestSubRunSurvivesARestart: both runs go on, and the one that waited waits on in the same attempt.
func TestSubRunSurvivesARestart(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		sc := newScript()
		s := process(t, url, sc)
		began, release := make(chan struct{}, 2), make(chan struct{})
		sc.on("leaf", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			began <- struct{}{}
			select {
			case <-release:
				return engine.Output{}, nil
			case <-ctx.Done():
				return engine.Output{}, ctx.Err()
			}
		})
		s.define("leaf", `[{"id":"leaf","type":"step"}]`)
		s.define("top", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf"}},{"id":"after","type":"step"}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "top"})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		before, err := s.store.Stages(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		s.stop()
		close(release)
		next := process(t, url, sc)
		r := next.wait(run.ID)
		if got := next.statuses(r); got != "completed: after=succeeded sub=succeeded" || r.NodeResults["sub"].Attempt != 1 {
			t.Errorf("%s, attempt %d", got, r.NodeResults["sub"].Attempt)
		}
		after, err := next.store.Stages(t.Context(), run.ID)
		if err != nil || !after[0].StartedAt.Equal(before[0].StartedAt) {
			t.Errorf("the attempt began at %s, now at %s (%v)", before[0].StartedAt, after[0].StartedAt, err)
		}
		next.childOf(t, run.ID)
	})
}

// TestSubRunOutlivesItsCanceller: the process that cancels a run dies before it comes to the runs that this one waits for.
func TestSubRunOutlivesItsCanceller(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		sc := newScript()
		s := process(t, url, sc, func(o *engine.Options) { o.Tidy = time.Hour }) // it leaves the rest to the next
		sc.on("leaf", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			<-ctx.Done()
			return engine.Output{}, ctx.Err()
		})
		s.define("leaf", `[{"id":"leaf","type":"step"}]`)
		s.define("top", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf"}}]`)
		s.define("loose", `[{"id":"sub","type":"pipeline","config":{"definition":"leaf","no_wait":true},"next":"leaf"},{"id":"leaf","type":"step"}]`)
		begin := func(name string) (parent, child string) {
			t.Helper()
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: name})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the sub-run has begun", func() bool {
				children, err := s.store.Runs(t.Context(), db.RunFilter{ParentRunID: run.ID})
				if err != nil || len(children.Items) == 0 || children.Items[0].Status != db.RunRunning {
					return false
				}
				child = children.Items[0].ID
				stages, err := s.store.Stages(t.Context(), run.ID)
				return err == nil && (name == "top" || stages[0].Status == db.StageSucceeded)
			})
			return run.ID, child
		}
		parent, lost := begin("top")
		other, continued := begin("top")
		third, loose := begin("loose")
		for _, id := range []string{parent, other, third} {
			if _, err := s.store.CancelRun(t.Context(), id, "Cancelled", time.Now().UTC().Truncate(time.Microsecond)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Cancel(t.Context(), continued, "by hand", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Retry(t.Context(), continued, "me"); err != nil {
			t.Fatal(err)
		}
		s.stop()
		next := process(t, url, sc, func(o *engine.Options) { o.Tidy = 20 * time.Millisecond })
		if r := next.wait(lost); r.Status != db.RunCancelled || *r.Error != "Cancelled: the run that waits for it was cancelled" {
			t.Errorf("%s: %v", r.Status, r.Error)
		}
		for what, id := range map[string]string{"that a person has continued": continued, "that nothing waits for": loose} {
			if run, err := next.store.Run(t.Context(), id); err != nil || run.Status.Terminal() {
				t.Errorf("a run %s: %+v, %v", what, run, err)
			}
		}
	})
}
