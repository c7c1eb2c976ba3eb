package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/fault"
)

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
	if awaits := errors.Is(o.err, errAwaits); awaits || p.plan.types[node.Type].Waits && db.IsDown(o.err) { // the attempt goes on
		st.attempt--
		st.since, st.awaits, st.notBefore = p.data.startedAt[node.ID], awaits, time.Now().Add(p.e.o.RestAfter)
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
