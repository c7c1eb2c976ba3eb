package engine_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

var (
	seed  = flag.Uint64("seed", 0, "of TestRandomRuns; 0 picks one, which a failure prints")
	cases = flag.Int("cases", 30, "random definitions per store in TestRandomRuns")
)

// randomNode is a node of a random definition: how it is written, and what it does.
type randomNode struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	Next       any      `json:"next,omitempty"`
	OnError    []string `json:"on_error,omitempty"`
	Required   bool     `json:"required"`
	MaxRetries int      `json:"max_retries"`
	branch     string   // of a fork
	fails      int      // attempts that fail before one succeeds, −1: all
	mayPass    bool     // its failures are worth another attempt
	work       time.Duration
}

// randomDefinition has nodes of every kind, with edges that lead forward only.
func randomDefinition(r *rand.Rand, prefix string) []*randomNode {
	nodes := make([]*randomNode, 2+r.IntN(8))
	for i := range nodes {
		n := &randomNode{ID: fmt.Sprintf("%s_%d", prefix, i), Type: "step", Required: r.IntN(3) > 0, work: time.Duration(r.IntN(20)) * time.Millisecond}
		switch r.IntN(6) {
		case 0:
			n.fails = -1
		case 1:
			n.fails, n.mayPass, n.MaxRetries = -1, true, r.IntN(2)
		case 2:
			n.fails, n.mayPass, n.MaxRetries = 1, true, 1
		}
		nodes[i] = n
	}
	some := func(from int, chance int) (ids []string) {
		for to := from + 1; to < len(nodes); to++ {
			if r.IntN(chance) == 0 {
				ids = append(ids, nodes[to].ID)
			}
		}
		return ids
	}
	for i, n := range nodes[:len(nodes)-1] {
		switch r.IntN(4) {
		case 0:
			n.Type, n.branch = "fork", []string{"a", "b"}[r.IntN(2)]
			n.Next = map[string][]string{"a": append(some(i, 4), nodes[i+1].ID), "b": {nodes[len(nodes)-1].ID}}
			n.Next.(map[string][]string)["a"] = unique(n.Next.(map[string][]string)["a"])
		default:
			if next := some(i, 3); next != nil {
				n.Next = next
			}
		}
		n.OnError = some(i, 5)
	}
	if nodes[0].Next == nil {
		nodes[0].Next = []string{nodes[1].ID} // else the list is the order
	}
	return nodes
}

func unique(ids []string) []string { slices.Sort(ids); return slices.Compact(ids) }

// does is the behaviour of a node until healed is closed, after which everything succeeds.
func (n *randomNode) does(healed <-chan struct{}) func(context.Context, engine.Input) (engine.Output, error) {
	failed := 0
	return func(ctx context.Context, in engine.Input) (engine.Output, error) {
		select {
		case <-time.After(n.work):
		case <-ctx.Done():
			return engine.Output{}, ctx.Err()
		}
		select {
		case <-healed:
		default:
			if n.fails < 0 || failed < n.fails {
				failed++
				err := error(fault.New(fault.Unprocessable, "planned"))
				if n.mayPass {
					err = fault.Retry(err, 0)
				}
				return engine.Output{}, err
			}
		}
		return engine.Output{Data: map[string]any{"branch": n.branch}, Branch: n.branch}, nil
	}
}

// randomRun is one case: a definition, its run, and what was done to it.
type randomRun struct {
	name    string
	nodes   []*randomNode
	healed  chan struct{}
	id      string
	cancel  bool
	retried bool
	kept    map[string]bool // nodes that had succeeded before the run was continued
}

// TestRandomRuns works random graphs with random failures through crashes, cancels and retries. Every
// run must end in a state that the diagram of the package allows and that follows from its edges, and
// every finished stage must have been finished once.
func TestRandomRuns(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		first := *seed
		if first == 0 {
			first = rand.Uint64()
		}
		t.Logf("again with -run %s -seed %d", t.Name(), first)
		r := rand.New(rand.NewPCG(first, 7))
		sc := newScript()
		s := process(t, url, sc, restless)
		var runs []*randomRun
		for i := range *cases {
			c := &randomRun{name: fmt.Sprintf("random-%d", i), healed: make(chan struct{}), cancel: r.IntN(5) == 0}
			c.nodes = randomDefinition(r, fmt.Sprintf("c%d", i))
			for _, n := range c.nodes {
				sc.on(n.ID, n.does(c.healed))
			}
			document, err := json.Marshal(c.nodes)
			if err != nil {
				t.Fatal(err)
			}
			s.define(c.name, string(document))
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: c.name})
			if err != nil {
				t.Fatal(err)
			}
			c.id = run.ID
			runs = append(runs, c)
		}
		const crashes = 3 // the process stops wherever it is, and another one goes on
		for i := range crashes + 1 {
			for _, c := range runs {
				if c.cancel && r.IntN(3) == 0 {
					if _, err := s.Cancel(t.Context(), c.id, "", "test"); err != nil && !fault.Is(err, fault.Conflict) {
						t.Fatal(err)
					}
				}
			}
			if i < crashes {
				s.stop()
				s = process(t, url, sc, restless)
			}
		}
		for _, c := range runs {
			c.check(t, s)
		}
		for _, c := range runs {
			run, err := s.store.Run(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			if run.Status != db.RunFailed && run.Status != db.RunCancelled {
				continue
			}
			stages, err := s.store.Stages(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			c.retried, c.kept = true, map[string]bool{}
			for _, st := range stages {
				c.kept[st.NodeID] = st.Status == db.StageSucceeded
			}
			close(c.healed)
			if _, err := s.Retry(t.Context(), c.id, "test"); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range runs {
			if c.retried {
				c.check(t, s)
			}
		}
		eventually(t, "no run is under way", func() bool { return s.Stats().Load == 0 })
	})
}

// check compares the run with the rules.
func (c *randomRun) check(t *testing.T, s *stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	result, err := s.Wait(ctx, c.id)
	if err != nil {
		t.Fatal(err)
	}
	stages, err := s.store.Stages(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	document, _ := json.Marshal(c.nodes)
	catalog, err := s.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, issues := definition.Check(fmt.Appendf(nil, `{"version":"1.0","nodes":%s}`, document), catalog)
	if plan == nil {
		t.Fatalf("%s: %v", document, issues)
	}
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	c.checkRows(result.Status, stages, s.script, complain)
	if result.Status != db.RunCancelled {
		c.checkGraph(result.Status, plan, stages, complain)
	}
	c.checkEvents(t, s, result.Status, complain)
	if len(wrong) > 0 {
		t.Errorf("%s is %s (cancelled %v, continued %v):\n%s\ndefinition %s", c.name, result.Status, c.cancel, c.retried, strings.Join(wrong, "\n"), document)
		for _, st := range stages {
			t.Logf("  %s #%d %s %s %v", st.NodeID, st.Attempt, st.Status, st.SkipReason, st.Errors)
		}
	}
}

// checkRows: the attempts of a node follow each other, only the last is final, and nothing ran after
// a success.
func (c *randomRun) checkRows(status db.RunStatus, stages []db.StageExecution, sc *script, complain func(string, ...any)) {
	if !status.Terminal() {
		complain("the run has not ended")
	}
	for i, st := range stages {
		last := i+1 == len(stages) || stages[i+1].NodeID != st.NodeID
		if next := i == 0 || stages[i-1].NodeID != st.NodeID; next && st.Attempt != 1 || !next && st.Attempt != stages[i-1].Attempt+1 {
			complain("%s: attempt %d is out of order", st.NodeID, st.Attempt)
		}
		ended := []db.StageStatus{db.StageFailed}
		if last {
			ended = []db.StageStatus{db.StageSucceeded, db.StageFailed, db.StageSkipped}
		}
		if status == db.RunCancelled || c.retried && !last {
			ended = append(ended, db.StageCancelled, db.StageSkipped)
		}
		if !slices.Contains(ended, st.Status) {
			complain("%s: attempt %d is %s", st.NodeID, st.Attempt, st.Status)
		}
		if st.Status == db.StageSucceeded && sc.count(st.NodeID) > 0 && sc.last(st.NodeID).Attempt > st.Attempt {
			complain("%s ran in attempt %d after it had succeeded in %d", st.NodeID, sc.last(st.NodeID).Attempt, st.Attempt)
		}
	}
}

// checkGraph: what each node did follows from what the nodes before it did.
func (c *randomRun) checkGraph(status db.RunStatus, plan *definition.Plan, stages []db.StageExecution, complain func(string, ...any)) {
	newest := map[string]db.StageExecution{}
	for _, st := range stages {
		newest[st.NodeID] = st
	}
	want, broken := db.RunCompleted, false
	for _, n := range plan.Nodes {
		if newest[n.ID].Status == db.StageFailed {
			if want == db.RunCompleted {
				want = db.RunPartial
			}
			broken = broken || n.Required
		}
	}
	if broken {
		want = db.RunFailed
	}
	if status != want {
		complain("the run is %s, its nodes say %s", status, want)
	}
	behaviour := map[string]*randomNode{}
	for _, n := range c.nodes {
		behaviour[n.ID] = n
	}
	rescue := map[string]bool{} // follows an on_error
	passed := map[string]bool{} // leads on by its plain edges
	for _, n := range plan.Nodes {
		st, does := newest[n.ID], behaviour[n.ID]
		live := len(n.Needs) == 0
		for _, e := range n.Needs {
			if e.OnError && newest[e.From].Status == db.StageFailed ||
				!e.OnError && passed[e.From] && (e.Outcome == "" || newest[e.From].Status == db.StageSucceeded && e.Outcome == behaviour[e.From].branch) {
				live = true
				rescue[n.ID] = rescue[n.ID] || e.OnError || rescue[e.From]
			}
		}
		ran := st.Status == db.StageSucceeded || st.Status == db.StageFailed
		passed[n.ID] = st.Status == db.StageSucceeded || st.Status == db.StageFailed && !n.Required
		switch {
		case c.kept[n.ID]: // by what was so before the run was continued
		case ran && !live:
			complain("%s ran although nothing led to it", n.ID)
		case !ran && live && !broken:
			complain("%s did not run although something led to it: %s", n.ID, st.SkipReason)
		case !ran && live && rescue[n.ID]:
			complain("%s did not run although an on_error led to it: %s", n.ID, st.SkipReason)
		case !ran && !strings.Contains(st.SkipReason, "not taken: ") && !strings.HasPrefix(st.SkipReason, "not started: "):
			complain("%s was skipped for %q", n.ID, st.SkipReason)
		}
		fails := (does.fails < 0 || does.fails > does.MaxRetries) && !c.retried
		switch {
		case st.Status == db.StageSucceeded && fails && !c.kept[n.ID]:
			complain("%s succeeded, it was to fail", n.ID)
		case st.Status == db.StageFailed && !fails && (!broken || rescue[n.ID]):
			complain("%s failed, it was to succeed: %v", n.ID, st.Errors)
		}
	}
}

// checkEvents: they have no gap, and the last one is the run's end.
func (c *randomRun) checkEvents(t *testing.T, s *stack, status db.RunStatus, complain func(string, ...any)) {
	t.Helper()
	events, err := s.store.Events(t.Context(), c.id, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for i, ev := range events {
		if ev.Sequence != int64(i+1) {
			complain("event %d stands at %d", ev.Sequence, i+1)
			return
		}
	}
	if last := events[len(events)-1]; last.Kind != engine.EventRun || last.Status != string(status) {
		complain("the last event is %s %s", last.Kind, last.Status)
	}
}
