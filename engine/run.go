package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"penstock/db"
)

// notStarted begins the reason of a node that was skipped only because the run ended before it;
// a retry of the run works it.
const notStarted = "not started: "

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

	mu     sync.Mutex // guards seq, last and queued: events are numbered in the order they are queued
	seq    int64
	last   *db.Commit
	queued *db.RunWrite // noted and not yet handed to the store
	lost   error        // first write that failed: we no longer own the run

	interrupt context.CancelCauseFunc // ends what is running, nil before the work has begun; guarded by mu

	started bool   // the run's status running was queued
	once    func() // gives the delivery's room back, may be nil
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
	p.mu.Lock()
	p.interrupt = cancel
	p.mu.Unlock()
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
		if running == 0 && p.onlyWaits(wake) {
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
		sending := notifier != nil && (st.begun || st.pass != nil || !st.asking.IsZero())
		toItsEnd := st.rescue || sending || !st.since.IsZero() // whatever else fails
		if p.failure != "" && st.begun && !toItsEnd {
			p.giveUp(node, st)
			continue
		}
		if !ready {
			continue
		}
		if p.failure != "" && !toItsEnd {
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
		if wait := time.Until(st.notBefore); wait > 0 && (!st.awaits || *running == 0) { // who cannot rest looks on
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
