package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// notStarted begins the reason of a node that was skipped only because the run ended before it;
// a retry of the run works it.
const notStarted = "not started: "

// What a node's own conditions and edges decided; these begin the reasons. A retry of the run decides
// again if a node before it runs again.
const (
	branchNotTaken  = "the branch that leads here was not taken"
	skipIfErrors    = "skip_if_errors: "
	skipIfCondition = "skip_if_condition: "
	whenIsFalse     = "when is false: "
)

// Interrupted attempts do not count as failures, but a node that ends the process every time must
// not do so for ever.
const maxInterruptions = 10

// progress is a run while this process works it. Only the goroutine of [Engine.work] touches it,
// except write, which stages use for log lines.
type progress struct {
	e    *Engine
	run  *db.Run
	plan *plan
	data *runData
	dry  *dryRun // nil for a run that is real

	mu      sync.Mutex // guards seq, last and queued: events are numbered in the order they are queued
	seq     int64
	last    *db.Commit
	queued  *db.RunWrite // noted and not yet handed to the store
	lost    error        // first write that failed: we no longer own the run
	started bool         // the run's status running was queued
	once    func()       // gives the delivery's room back, may be nil
	results map[string]*nodeState
	gated   int      // nodes that wait for their channel
	order   int      // how many messages have asked for their channel
	rest    *db.Rest // how the run waits that this process gives back
	failure string   // set when a required node has finally failed
}

// nodeState is where a node is in this run.
type nodeState struct {
	attempt       int  // number of the newest row, 0 for none
	begun         bool // an attempt has started since the run began or was continued
	failures      int
	interruptions int
	instead       *db.StageExecution // what a rerun puts in place of running it
	since         time.Time          // start of an attempt that goes on from before a restart
	running       bool
	awaits        bool // its attempt waits for another run, and nobody looks
	notBefore     time.Time
	tried         time.Time // of the first attempt, or of the first since a retry of the run
	final         bool
	status        db.StageStatus
	passed        bool // edges from here are taken: not on an untaken branch and not not-started
	rescue        bool // follows an on_error: it runs although the run has failed
	branch        string
	output        map[string]any
	errors        []string

	// Of a [Notifier].
	pass    *pass // not nil: its channel takes its message now
	message *db.NotificationMessage
	asked   int       // its place in the order in which the run's messages asked for their channels
	place   string    // channel and destination, once they are known
	behind  string    // the node whose message to the same place comes first
	asking  time.Time // since when it is shown as waiting for its channel; zero if it is not
	crowd   string    // the channel, while too many wait for it
}

// work runs the plan to its end. It returns early, with the run unfinished, when the process stops
// or the run is no longer ours.
func (e *Engine) work(ctx context.Context, p *progress) (status db.RunStatus) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.live.Store(p.run.ID, &cancel)
	defer e.live.CompareAndDelete(p.run.ID, &cancel)
	defer func() {
		if errors.Is(context.Cause(ctx), errCancelled) {
			status = db.RunCancelled // as the store has it
		}
	}()

	outcomes := make(chan outcome, len(p.plan.Nodes))
	var stages sync.WaitGroup
	defer p.returnPasses()
	defer stages.Wait()
	running := 0
	for {
		if p.failed() != nil || ctx.Err() != nil {
			return p.run.Status
		}
		wake, waiting := p.launch(ctx, outcomes, &stages, &running)
		if running == 0 && !waiting {
			break
		}
		if running == 0 && p.onlyWaits() {
			return p.run.Status
		}
		var timer <-chan time.Time
		if waiting {
			timer = time.After(time.Until(wake))
		}
		// A run that only waits is no load: neither its retries nor a channel that is away keep deliveries out.
		load := int64(1)
		if running == p.gated {
			load = 0
		}
		e.load.Add(load - 1)
		var o *outcome
		stopping := false
		select {
		case got := <-outcomes:
			o = &got
		case <-timer:
		case <-ctx.Done():
		case <-e.stopping:
			stopping = true
		}
		e.load.Add(1 - load)
		if stopping {
			p.settleAll(ctx, outcomes, running)
			return p.run.Status
		}
		if o != nil {
			running--
			p.settle(*o)
		}
	}
	return p.finish(ctx)
}

// settleAll records what is running while the process stops; nothing new starts.
func (p *progress) settleAll(ctx context.Context, outcomes <-chan outcome, running int) {
	for range running {
		select {
		case o := <-outcomes:
			p.settle(o)
		case <-ctx.Done():
			return
		}
	}
	_ = p.flushed(ctx)
}

// launch decides every node that can be decided: skips it, starts it, or notes when its next attempt
// may start. It returns the earliest of those times.
func (p *progress) launch(ctx context.Context, outcomes chan<- outcome, stages *sync.WaitGroup, running *int) (wake time.Time, waiting bool) {
	for i := range p.plan.Nodes {
		node := &p.plan.Nodes[i]
		st := p.results[node.ID]
		ready, live := p.needs(node)
		if st.final || st.running {
			continue
		}
		notifier := p.plan.notifiers[node.ID]
		sending := notifier != nil && (st.begun || st.pass != nil || !st.asking.IsZero()) // is tried to its end, whatever else fails
		if p.failure != "" && st.begun && !st.rescue && !sending {
			p.giveUp(node, st)
			continue
		}
		if !ready {
			continue
		}
		if p.failure != "" && !st.rescue && !sending {
			p.skip(node, notStarted+p.failure, false)
			continue
		}
		if !live {
			p.skip(node, p.notTaken(node), false)
			continue
		}
		if st.instead != nil {
			p.skip(node, st.instead.SkipReason, true)
			continue
		}
		if wait := time.Until(st.notBefore); wait > 0 && !(st.awaits && *running > 0) { // who cannot rest looks on
			if !waiting || st.notBefore.Before(wake) {
				wake, waiting = st.notBefore, true
			}
			continue
		}
		if st.behind != "" && p.results[st.behind].precedes(st) {
			continue
		}
		now := time.Now().UTC()
		if !st.begun && st.pass == nil && st.asking.IsZero() {
			reason, err := p.skipReason(ctx, node, now)
			if err != nil {
				p.begin(node, st, now)
				p.settle(outcome{index: i, err: err})
				return p.launch(ctx, outcomes, stages, running) // it may have ended what was decided before it
			}
			if reason != "" {
				p.skip(node, reason, true)
				continue
			}
		}
		st.running = true
		*running++
		if notifier != nil && st.pass == nil && p.dry == nil {
			p.gated++
			if st.asked == 0 {
				p.order++
				st.asked = p.order
			}
			st.crowd = ""
			in, message, asking := p.input(node, st, now), st.message, st.asking
			stages.Go(func() { outcomes <- p.admit(ctx, i, notifier, in, message, asking) })
			continue
		}
		p.begin(node, st, now)
		in := p.input(node, st, now)
		stages.Go(func() { outcomes <- p.attempt(ctx, i, in) })
	}
	return wake, waiting
}

// needs reports whether all predecessors are final, and whether any edge from them is taken. It notes
// whether one of these comes from an on_error.
func (p *progress) needs(node *definition.PlanNode) (ready, live bool) {
	if len(node.Needs) == 0 {
		return true, true
	}
	rescue := false
	for _, edge := range node.Needs {
		from := p.results[edge.From]
		if !from.final {
			return false, false
		}
		if from.takes(edge) {
			live, rescue = true, rescue || edge.OnError || from.rescue
		}
	}
	p.results[node.ID].rescue = rescue
	return true, live
}

// takes reports whether a final node leads on by this edge.
func (st *nodeState) takes(edge definition.Edge) bool {
	if edge.OnError {
		return st.status == db.StageFailed
	}
	return st.passed && (edge.Outcome == "" || edge.Outcome == st.branch)
}

// notTaken is the reason why a node is skipped to which no edge leads.
func (p *progress) notTaken(node *definition.PlanNode) string {
	var why []string
	for _, edge := range node.Needs {
		text, from := "", p.results[edge.From]
		switch {
		case from.status == db.StageSkipped:
			text = edge.From + " was skipped"
		case edge.OnError:
			text = edge.From + " did not fail"
		case from.status == db.StageFailed:
			text = edge.From + " failed"
		default:
			text = fmt.Sprintf("%s chose %q", edge.From, from.branch)
			next := p.plan.Nodes[p.plan.ByID[edge.From]].Next
			if next != nil && next.When != nil && next.When[from.branch] == nil && from.branch != "false" && from.branch != "true" {
				text += ", for which its next has no key"
			}
		}
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	return branchNotTaken + ": " + strings.Join(why, ", ")
}

// skipReason evaluates the node's own conditions; "" means it runs.
func (p *progress) skipReason(ctx context.Context, node *definition.PlanNode, now time.Time) (string, error) {
	for _, id := range node.SkipIfErrors {
		if r := p.results[id]; r != nil && len(r.errors) > 0 {
			return skipIfErrors + id + " has errors", nil
		}
	}
	if node.RunIf == nil && node.SkipIf == nil {
		return "", nil
	}
	vars := p.vars(node, now)
	if node.SkipIf != nil {
		hit, err := boolean(ctx, node.SkipIf, vars)
		if err != nil {
			return "", fault.Wrap(err, fault.Unprocessable, "skip_if_condition cannot be evaluated. %s", fault.Of(err).Message)
		}
		if hit {
			return skipIfCondition + node.SkipIfCondition, nil
		}
	}
	if node.RunIf != nil {
		hit, err := boolean(ctx, node.RunIf, vars)
		if err != nil {
			return "", fault.Wrap(err, fault.Unprocessable, "when cannot be evaluated. %s", fault.Of(err).Message)
		}
		if !hit {
			return whenIsFalse + node.When, nil
		}
	}
	return "", nil
}

func boolean(ctx context.Context, program *expr.Program, vars expr.Vars) (bool, error) {
	v, err := program.Eval(ctx, vars)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fault.New(fault.Unprocessable, "The result is not true or false.")
	}
	return b, nil
}

// settle records an attempt's outcome and decides what follows: done, another attempt, or failed.
func (p *progress) settle(o outcome) {
	node := &p.plan.Nodes[o.index]
	st := p.results[node.ID]
	st.running = false
	if o.gated {
		p.gated--
		p.admitted(node, st, o)
		return
	}
	if errors.Is(o.err, errCancelled) || errors.Is(o.err, errStopping) || errors.Is(o.err, db.ErrFenced) {
		return // not ours to record: the canceller did, or the next process will run it again
	}
	if errors.Is(o.err, errAwaits) { // the attempt goes on
		st.attempt--
		st.since, st.awaits, st.notBefore = p.data.startedAt[node.ID], true, time.Now().Add(p.e.o.RestAfter)
		return
	}
	now := time.Now().UTC()
	row := p.row(node, st)
	row.StartedAt, row.FinishedAt, row.Output = p.data.startedAt[node.ID], now, o.raw
	if o.err == nil {
		st.final, st.passed, st.status = true, true, db.StageSucceeded
		st.branch, st.errors = o.output.Branch, o.output.Errors
		st.output = plainObject(o.raw)
		row.Status, row.Errors = db.StageSucceeded, o.output.Errors
		if o.taken != nil {
			p.data.batch = o.taken.parsed
			p.data.see(o.taken.result)
		}
		w := db.RunWrite{Stages: []db.StageExecution{row}}
		if o.output.IncidentID != "" || o.output.Change != "" {
			p.run.IncidentID, p.run.Change = o.output.IncidentID, o.output.Change
			w.Run = &db.RunChange{Status: db.RunRunning, IncidentID: o.output.IncidentID, Change: o.output.Change}
		}
		events := []db.RunEvent{event(EventStage, node.ID, st.attempt, string(db.StageSucceeded), "")}
		if o.output.SkipRest != "" && p.dry != nil {
			p.dry.add(node.ID, func(n *DryNode) {
				n.Notes = append(n.Notes, "A run would end here ("+o.output.SkipRest+"). The dry run goes on, to show what the other nodes do.")
			})
		} else if o.output.SkipRest != "" {
			// In the same write: a crash between the two would run what must be skipped.
			for i := range p.plan.Nodes {
				rest := &p.plan.Nodes[i]
				if st := p.results[rest.ID]; !st.begun && !st.final {
					row, ev := p.skipped(rest, o.output.SkipRest, true)
					w.Stages, events = append(w.Stages, row), append(events, ev)
				}
			}
		}
		p.write(w, events...)
		return
	}

	later, isLater := errors.AsType[notYet](o.err)
	if isLater {
		o.err = fault.Retry(fault.New(fault.Unavailable, "%s", later.reason), 0)
	} else if db.IsDown(o.err) { // our own store was away: not the node's failure, tried again until it is back
		o.err = fault.Retry(o.err, 0)
	} else {
		st.failures++
	}
	message := fault.Of(o.err).Message
	if fault.Of(o.err).Code == fault.Internal {
		p.e.log.Error("node failed", "run_id", p.run.ID, "node_id", node.ID, "attempt", st.attempt, "error", o.err)
	}
	row.Errors = []string{message}
	after, mayPass := fault.Retryable(o.err)
	next, more := p.nextAttempt(node, st, now, after)
	if isLater {
		next, more = now.Add(later.after), true
	}
	w := db.RunWrite{}
	if mayPass && more && (p.failure == "" || st.rescue || o.message != nil) {
		st.notBefore = next
		row.Status, row.NotBefore = db.StageRetrying, st.notBefore
		st.status = db.StageRetrying
		w.Stages = append(w.Stages, row)
		p.unsent(&w, st, o.message, db.NotificationPending, message, o.err)
		p.write(w, event(EventStage, node.ID, st.attempt, string(db.StageRetrying), message))
		return
	}
	st.final, st.status, st.errors = true, db.StageFailed, row.Errors
	st.output = plainObject(o.raw)
	row.Status = db.StageFailed
	if node.Required && p.failure == "" {
		p.failure = fmt.Sprintf("%s failed: %s", node.ID, message)
	}
	st.passed = !node.Required
	w.Stages = append(w.Stages, row)
	end := db.NotificationFailed
	if mayPass {
		end = db.NotificationDead
	}
	p.unsent(&w, st, o.message, end, message, o.err)
	p.write(w, event(EventStage, node.ID, st.attempt, string(db.StageFailed), message))
}

// nextAttempt says when a node that may work later is tried again, and whether it is. Nobody is waited
// for longer than messages are tried.
func (p *progress) nextAttempt(node *definition.PlanNode, st *nodeState, now time.Time, after time.Duration) (next time.Time, more bool) {
	window := p.e.o.NotifyRetryFor
	next = now.Add(min(backoff(max(st.failures, 1), after), window))
	if !node.KeepsTrying {
		return next, st.failures <= node.MaxRetries
	}
	end := st.tried.Add(window)
	if next.After(end) {
		next = end
	}
	return next, now.Before(end)
}

// begin records the start of the node's next attempt; the write is not waited for.
func (p *progress) begin(node *definition.PlanNode, st *nodeState, now time.Time) {
	w := db.RunWrite{}
	if row, ok := p.data.retrying[node.ID]; ok && row.Attempt == st.attempt {
		row.Status = db.StageFailed // its not_before stays as the sign that this was not final
		w.Stages = append(w.Stages, row)
	}
	if st.tried.IsZero() {
		st.tried = now
	}
	st.attempt++
	st.begun, st.status, st.asking, st.awaits = true, db.StageRunning, time.Time{}, false
	if !st.since.IsZero() { // it goes on, as it is stored
		p.data.startedAt[node.ID], st.since = st.since, time.Time{}
		return
	}
	row := p.row(node, st)
	row.Status, row.StartedAt = db.StageRunning, now
	p.data.startedAt[node.ID] = row.StartedAt
	w.Stages = append(w.Stages, row)
	p.write(w, event(EventStage, node.ID, st.attempt, string(db.StageRunning), ""))
}

// giveUp ends a node that waited for another attempt which will not come.
func (p *progress) giveUp(node *definition.PlanNode, st *nodeState) {
	st.final, st.status = true, db.StageFailed
	if row, ok := p.data.retrying[node.ID]; ok && row.Attempt == st.attempt {
		row.Status, row.NotBefore = db.StageFailed, time.Time{}
		p.write(db.RunWrite{Stages: []db.StageExecution{row}},
			event(EventStage, node.ID, st.attempt, string(db.StageFailed), "no further attempt: "+p.failure))
	}
}

// skip records a node that does not run. passed: what follows it runs all the same.
func (p *progress) skip(node *definition.PlanNode, reason string, passed bool) {
	row, ev := p.skipped(node, reason, passed)
	p.write(db.RunWrite{Stages: []db.StageExecution{row}}, ev)
}

func (p *progress) skipped(node *definition.PlanNode, reason string, passed bool) (db.StageExecution, db.RunEvent) {
	st := p.results[node.ID]
	st.attempt++
	st.final, st.passed, st.status = true, passed, db.StageSkipped
	row := p.row(node, st)
	row.Status, row.SkipReason, row.FinishedAt = db.StageSkipped, reason, time.Now().UTC()
	if st.instead != nil {
		row.Output, row.CopiedFrom, st.output = st.instead.Output, st.instead.CopiedFrom, plainObject(st.instead.Output)
	}
	return row, event(EventStage, node.ID, st.attempt, string(db.StageSkipped), reason)
}

// finish decides the run's status, records it and waits until it is durable.
func (p *progress) finish(ctx context.Context) db.RunStatus {
	status := db.RunCompleted
	for _, st := range p.results {
		if st.status == db.StageFailed {
			status = db.RunPartial
		}
	}
	if p.failure != "" {
		status = db.RunFailed
	}
	p.write(db.RunWrite{Run: &db.RunChange{Status: status, Error: p.failure, FinishedAt: time.Now().UTC()}, Wakes: p.run.AwaitedBy()},
		event(EventRun, "", 0, string(status), p.failure))
	if p.flushed(ctx) != nil {
		return p.run.Status
	}
	return status
}
