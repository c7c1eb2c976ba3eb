package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/db"
	"penstock/engine"
)

// seen is what tests select of an event.
type seen struct {
	Typename string `json:"__typename"`
	Sequence int
	Cursor   string
	Status   string
	Text     string
	Message  string
	Run      struct {
		Status string
		Stages []struct{ NodeID, Status string }
	}
	Stage struct {
		Status string
		Output json.RawMessage
	}
}

const followAll = `subscription($r: ID!, $a: String) { runProgress(runId: $r, after: $a) { __typename sequence cursor
	... on RunStatusChanged { status run { status stages { nodeId status } } }
	... on StageStatusChanged { nodeId attempt status message stage { status output } }
	... on StageOutput { kind text }
	... on RunFinished { status run { status stages { nodeId status } } } } }`

// read takes the events of an operation until it completes or n have come.
func (c *client) read(id string, n int) (events []seen) {
	c.t.Helper()
	for len(events) < n {
		m, err := c.receive()
		if err != nil {
			c.t.Fatal(err)
		}
		if m.Type == "complete" {
			return events
		}
		var p struct {
			Data   struct{ RunProgress seen }
			Errors []any
		}
		if err := json.Unmarshal(m.Payload, &p); err != nil || m.Type != "next" || m.ID != id || p.Errors != nil {
			c.t.Fatalf("%s %s %s (%v)", m.Type, m.ID, m.Payload, err)
		}
		events = append(events, p.Data.RunProgress)
	}
	return events
}

func wantGapFree(t *testing.T, events []seen) {
	t.Helper()
	for i := 1; i < len(events); i++ {
		if events[i].Sequence != events[i-1].Sequence+1 {
			t.Errorf("after %d came %d", events[i-1].Sequence, events[i].Sequence)
		}
	}
}

func names(events []seen) string {
	var list []string
	for _, e := range events {
		list = append(list, e.Typename+":"+e.Status+e.Text)
	}
	return strings.Join(list, " ")
}

func TestRunProgress(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.define("talks", `[{"id":"g","type":"gate"},{"id":"t","type":"talk"}]`)
	vars := func(run string, after any) map[string]any { return map[string]any{"r": run, "a": after} }
	const all = 1 << 20

	t.Run("live, from the run as it is to its end", func(t *testing.T) {
		run := s.begin("talks")
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, nil))
		first := c.read("1", 1)
		if first[0].Typename != "RunStatusChanged" || first[0].Run.Status == "" {
			t.Errorf("first event %+v", first[0])
		}
		s.gate("g") <- struct{}{}
		events := append(first, c.read("1", all)...)
		wantGapFree(t, events)
		last := events[len(events)-1]
		if last.Typename != "RunFinished" || last.Status != "COMPLETED" || last.Run.Status != "COMPLETED" || len(last.Run.Stages) != 2 {
			t.Errorf("last event %+v", last)
		}
		text := ""
		for _, e := range events {
			if e.Typename == "StageOutput" {
				text += "|" + e.Text
			}
		}
		if text != "|about to talk|hello |world" {
			t.Errorf("text %q in %s", text, names(events))
		}
	})
	t.Run("resumes after any cursor without a gap", func(t *testing.T) {
		run := s.begin("talks")
		s.gate("g") <- struct{}{}
		s.finish(run)
		c := s.connect("read")
		c.subscribe("all", followAll, vars(run, ""))
		whole := c.read("all", all)
		wantGapFree(t, whole)
		if whole[0].Sequence != 1 || whole[len(whole)-1].Typename != "RunFinished" {
			t.Errorf("from the start: %s", names(whole))
		}
		for i, e := range whole {
			id := fmt.Sprint(i)
			c.subscribe(id, followAll, vars(run, e.Cursor))
			if rest := c.read(id, all); names(rest) != names(whole[i+1:]) {
				t.Errorf("after %d: %s, want %s", e.Sequence, names(rest), names(whole[i+1:]))
			}
		}
	})
	t.Run("a cursor beyond the end of an ended run gets the end", func(t *testing.T) {
		run := s.begin("talks")
		s.gate("g") <- struct{}{}
		s.finish(run)
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, progressAt(run, 1<<40, time.Now()).Cursor()))
		if events := c.read("1", all); names(events) != "RunFinished:COMPLETED" {
			t.Errorf("%s", names(events))
		}
	})
	t.Run("a run that has ended is shown and finished", func(t *testing.T) {
		run := s.begin("talks")
		s.gate("g") <- struct{}{}
		s.finish(run)
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, nil))
		events := c.read("1", all)
		wantGapFree(t, events)
		if names(events) != "RunStatusChanged:COMPLETED RunFinished:COMPLETED" {
			t.Errorf("%s", names(events))
		}
	})
	t.Run("a run that was continued finishes once", func(t *testing.T) {
		run := s.begin("talks")
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, ""))
		if _, err := s.engine.Cancel(t.Context(), run, "", "test"); err != nil {
			t.Fatal(err)
		}
		if events := c.read("1", all); events[len(events)-1].Status != "CANCELLED" {
			t.Errorf("%s", names(events))
		}
		if _, err := s.engine.Retry(t.Context(), run, "test"); err != nil {
			t.Fatal(err)
		}
		c.subscribe("2", followAll, vars(run, ""))
		var events []seen // until the stage runs again: if it did before, that attempt may still wait for what is meant for this one
		for again := false; !again; again = strings.Contains(names(events), "RunStatusChanged:PENDING") && strings.HasSuffix(names(events), "StageStatusChanged:RUNNING") {
			events = append(events, c.read("2", 1)...)
		}
		s.gate("g") <- struct{}{}
		events = append(events, c.read("2", all)...)
		wantGapFree(t, events)
		finished := 0
		for _, e := range events {
			if e.Typename == "RunFinished" {
				finished++
			}
		}
		if finished != 1 || !strings.Contains(names(events), "RunStatusChanged:CANCELLED") {
			t.Errorf("%s", names(events))
		}
	})
	t.Run("objects are read when the event is sent, not once", func(t *testing.T) {
		run := s.begin("talks")
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, nil))
		before := c.read("1", 1)
		s.gate("g") <- struct{}{}
		events := c.read("1", all)
		if before[0].Run.Status == "COMPLETED" || events[len(events)-1].Run.Status != "COMPLETED" {
			t.Errorf("first %+v, last %+v", before[0], events[len(events)-1])
		}
		for _, e := range events {
			if e.Typename == "StageStatusChanged" && e.Status == "SUCCEEDED" && e.Stage.Status != "SUCCEEDED" {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("what cannot be followed is an error", func(t *testing.T) {
		run := s.begin("talks")
		s.gate("g") <- struct{}{}
		c := s.connect("read")
		other := progressAt("another", 1, time.Now()).Cursor()
		for name, v := range map[string]struct {
			vars map[string]any
			code string
		}{
			"unknown run":      {vars("nope", nil), codeNotFound},
			"unknown run, all": {vars("nope", ""), codeNotFound},
			"forged cursor":    {vars(run, "nope"), codeBadUserInput},
			"other's cursor":   {vars(run, other), codeBadUserInput},
		} {
			c.subscribe(name, followAll, v.vars)
			if m := c.want("error", name); !strings.Contains(string(m.Payload), v.code) {
				t.Errorf("%s: %s", name, m.Payload)
			}
		}
		s.finish(run) // or it takes what the next run's gate waits for
	})
	t.Run("complete from the client ends it", func(t *testing.T) {
		run := s.begin("talks")
		c := s.connect("read")
		c.subscribe("1", followAll, vars(run, nil))
		c.read("1", 1)
		c.send(`{"id":"1","type":"complete"}`)
		c.send(`{"type":"ping"}`)
		for {
			m, err := c.receive()
			if err != nil || m.Type == "complete" || m.Type == "error" {
				t.Fatalf("%s %s (%v)", m.Type, m.Payload, err)
			}
			if m.Type == "pong" {
				break
			}
		}
		s.gate("g") <- struct{}{}
		s.finish(run)
		c.send(`{"type":"ping"}`)
		c.want("pong", "")
	})
}

// TestFollow checks what a real engine is too quick or too healthy for.
func TestFollow(t *testing.T) {
	t.Parallel()
	logs := func(n int) iter.Seq2[*db.RunEvent, error] {
		return func(yield func(*db.RunEvent, error) bool) {
			for i := range n {
				if !yield(&db.RunEvent{RunID: "r", Sequence: int64(i + 1), Kind: engine.EventLog}, nil) {
					return
				}
			}
		}
	}
	sequences := func(events <-chan RunEvent) (list []int64, last RunEvent) {
		for ev := range events {
			last = ev
			if out, ok := ev.(StageOutput); ok {
				list = append(list, out.Sequence)
			}
		}
		return list, last
	}
	t.Run("a long backlog is not an overflow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			list, last := sequences(follow(t.Context(), "r", 0, nil, logs(10*eventQueue), time.Second))
			if len(list) != 10*eventQueue || !slices.IsSorted(list) {
				t.Errorf("%d events, then %T", len(list), last)
			}
		})
	})
	t.Run("who leaves the queue full is told where to go on, after what is in the queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events := follow(t.Context(), "r", 0, nil, logs(10*eventQueue), time.Second)
			time.Sleep(time.Minute)
			list, last := sequences(events)
			resync, ok := last.(ResyncRequired)
			if !ok || len(list) != eventQueue || resync.Sequence != eventQueue || resync.After() != progressAt("r", eventQueue, time.Time{}).Cursor() {
				t.Errorf("%d events, then %+v", len(list), last)
			}
		})
	})
	t.Run("events that cannot be read are no end of the run", func(t *testing.T) {
		broken := func(yield func(*db.RunEvent, error) bool) {
			_ = yield(&db.RunEvent{RunID: "r", Sequence: 7, Kind: engine.EventLog}, nil) &&
				yield(&db.RunEvent{RunID: "r", Sequence: 8, Kind: engine.EventRun, Status: "failed"}, nil) &&
				yield(nil, errors.New("store is gone"))
		}
		synctest.Test(t, func(t *testing.T) {
			list, last := sequences(follow(t.Context(), "r", 6, nil, broken, time.Second))
			if resync, ok := last.(ResyncRequired); !ok || len(list) != 1 || resync.Sequence != 7 {
				t.Errorf("%v, then %+v", list, last)
			}
		})
	})
	t.Run("the end of the subscriber ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			events := follow(ctx, "r", 0, nil, logs(10*eventQueue), time.Hour)
			synctest.Wait() // the queue is full
			cancel()
			if list, _ := sequences(events); len(list) < eventQueue {
				t.Errorf("%d events", len(list))
			}
		})
	})
}
