package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

func TestRerun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		again := func(in engine.RerunInput) (engine.RunResult, error) {
			in.Actor = "me"
			run, err := s.Rerun(t.Context(), in)
			if err != nil {
				return engine.RunResult{}, err
			}
			return s.wait(run.ID), nil
		}
		refused := func(t *testing.T, in engine.RerunInput, code fault.Code, field, words string) {
			t.Helper()
			_, err := again(in)
			if f := fault.Of(err); err == nil || f.Code != code || !strings.Contains(f.Message, words) || field != "" && f.Fields[field] == "" {
				t.Errorf("got %v (%v), want %s: %s", err, fault.Of(err).Fields, code, words)
			}
		}
		s.define("again", `[{"id":"a","type":"step","next":["b","side"]},{"id":"b","type":"step","next":"page"},{"id":"page","type":"effect","next":"end"},{"id":"end","type":"step"},{"id":"side","type":"step"}]`)
		s.script.on("page", func(_ context.Context, in engine.Input) (engine.Output, error) {
			return engine.Output{Data: map[string]any{"channel": "ops", "key": in.Key}}, nil
		})
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "again", Payload: json.RawMessage(`{"x":1}`), Environment: "test"})
		if err != nil {
			t.Fatal(err)
		}
		first := s.wait(run.ID)
		key := s.script.last("page").Key
		t.Run("what was sent must be decided about", func(t *testing.T) {
			refused(t, engine.RerunInput{RunID: run.ID, FromNode: "b"}, fault.Conflict, "already_sent", "page already sent 20")
			refused(t, engine.RerunInput{RunID: run.ID, FromNode: "b", AlreadySent: "maybe"}, fault.Invalid, "already_sent", `already_sent is "maybe"`)
		})
		t.Run("skip leaves it out, with the reason and the old output", func(t *testing.T) {
			a, b, page := s.script.count("a"), s.script.count("b"), s.script.count("page")
			r, err := again(engine.RerunInput{RunID: run.ID, FromNode: "b", AlreadySent: engine.AlreadySentSkip})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(r); got != "completed: a=succeeded b=succeeded end=succeeded page=skipped side=succeeded" {
				t.Error(got)
			}
			if s.script.count("a") != a || s.script.count("b") != b+1 || s.script.count("page") != page {
				t.Error("not exactly b and end ran")
			}
			if why := r.NodeResults["page"].SkipReason; !strings.HasPrefix(why, "already sent 20") || !strings.HasSuffix(why, " to ops by the run "+run.ID) || !strings.Contains(string(r.NodeResults["page"].Output), "ops") {
				t.Errorf("%q, %s", why, r.NodeResults["page"].Output)
			}
			if *r.RerunOfRunID != run.ID || *r.RerunFrom != "b" || r.Environment != "test" || r.DefinitionVersion != first.DefinitionVersion {
				t.Errorf("%+v", r)
			}
			if r.NodeResults["a"].CopiedFrom != run.ID || string(r.NodeResults["a"].Output) != string(first.NodeResults["a"].Output) || strings.Join(r.ExecutedNodes, " ") != "b end" {
				t.Errorf("a: %+v, executed %v", r.NodeResults["a"], r.ExecutedNodes)
			}
			if x := s.script.last("b").Payload.(map[string]any)["x"]; x != int64(1) {
				t.Errorf("payload %v", x)
			}
		})
		t.Run("what a rerun left out must be decided about again", func(t *testing.T) {
			r, err := again(engine.RerunInput{RunID: run.ID, FromNode: "b", AlreadySent: engine.AlreadySentSkip})
			if err != nil {
				t.Fatal(err)
			}
			page := s.script.count("page")
			refused(t, engine.RerunInput{RunID: r.RunID, FromNode: "b"}, fault.Conflict, "already_sent", "page already sent 20")
			next, err := again(engine.RerunInput{RunID: r.RunID, FromNode: "b", AlreadySent: engine.AlreadySentSkip})
			if err != nil {
				t.Fatal(err)
			}
			if got, why := s.statuses(next), next.NodeResults["page"].SkipReason; got != "completed: a=succeeded b=succeeded end=succeeded page=skipped side=succeeded" || why != r.NodeResults["page"].SkipReason || s.script.count("page") != page {
				t.Errorf("%s, %q", got, why)
			}
		})
		t.Run("send again is a new message", func(t *testing.T) {
			r, err := again(engine.RerunInput{RunID: run.ID, FromNode: "page", Input: json.RawMessage(`{"x":2}`), AlreadySent: engine.AlreadySendAgain})
			if err != nil {
				t.Fatal(err)
			}
			in := s.script.last("page")
			if r.NodeResults["page"].Status != db.StageSucceeded || in.Key == key || in.Payload.(map[string]any)["x"] != int64(2) {
				t.Errorf("%s, key %s, payload %v", r.NodeResults["page"].Status, in.Key, in.Payload)
			}
		})
		t.Run("what was to be skipped stays so when the rerun fails and is continued", func(t *testing.T) {
			s.script.on("b", failing(fault.New(fault.Unprocessable, "no")))
			page := s.script.count("page")
			r, err := again(engine.RerunInput{RunID: run.ID, FromNode: "b", AlreadySent: engine.AlreadySentSkip})
			if err != nil || r.Status != db.RunFailed {
				t.Fatal(r.Status, err)
			}
			s.script.on("b", nil)
			if _, err := s.Retry(t.Context(), r.RunID, "me"); err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(s.wait(r.RunID)); got != "completed: a=succeeded b=succeeded end=succeeded page=skipped side=succeeded" || s.script.count("page") != page {
				t.Errorf("%s; page ran %d times", got, s.script.count("page")-page)
			}
		})
		t.Run("only known nodes of ended runs", func(t *testing.T) {
			refused(t, engine.RerunInput{RunID: run.ID, FromNode: "zzz"}, fault.Invalid, "from_node", "Known: a, b, page, end, side.")
			refused(t, engine.RerunInput{RunID: run.ID}, fault.Invalid, "from_node", "from_node is missing")
			refused(t, engine.RerunInput{RunID: "zzz", FromNode: "a"}, fault.NotFound, "", "There is no run")
		})
		t.Run("a message that did not go out is the same message still, and failures before it stand", func(t *testing.T) {
			s.script.on("opt", failing(fault.New(fault.Unprocessable, "no")))
			s.script.on("tell", failing(fault.New(fault.Unprocessable, "no")))
			s.define("later", `[{"id":"opt","type":"step","required":false},{"id":"mid","type":"step"},{"id":"tell","type":"effect","on_error":"sorry"},{"id":"end","type":"step"},{"id":"sorry","type":"step"}]`)
			r := s.run("later")
			key := s.script.last("tell").Key
			s.script.on("tell", nil)
			refused(t, engine.RerunInput{RunID: r.RunID, FromNode: "end"}, fault.Conflict, "from_node", "tell stands before end")
			next, err := again(engine.RerunInput{RunID: r.RunID, FromNode: "tell"})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(next); got != "partial: end=succeeded mid=succeeded opt=failed sorry=skipped tell=succeeded" {
				t.Error(got)
			}
			if s.script.last("tell").Key != key {
				t.Errorf("key %s, want %s", s.script.last("tell").Key, key)
			}
			sorry, err := again(engine.RerunInput{RunID: r.RunID, FromNode: "sorry"})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.statuses(sorry); got != "failed: end=skipped mid=succeeded opt=failed sorry=succeeded tell=failed" {
				t.Error(got)
			}
			refused(t, engine.RerunInput{RunID: next.RunID, FromNode: "sorry"}, fault.Conflict, "from_node", "tell did not fail")
		})
		t.Run("a run that is at work is not run again", func(t *testing.T) {
			began, release := make(chan struct{}), make(chan struct{})
			s.script.on("hold", func(context.Context, engine.Input) (engine.Output, error) {
				close(began)
				<-release
				return engine.Output{}, nil
			})
			s.define("hold", `[{"id":"hold","type":"step"}]`)
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "hold"})
			if err != nil {
				t.Fatal(err)
			}
			<-began
			refused(t, engine.RerunInput{RunID: run.ID, FromNode: "hold"}, fault.Conflict, "", "it can be run again when it has ended")
			close(release)
			s.wait(run.ID)
		})
	})
}
