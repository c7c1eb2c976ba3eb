package engine

import (
	"context"
	"time"

	"penstock/db"
	"penstock/engine/definition"
)

func (p *progress) row(node *definition.PlanNode, st *nodeState) db.StageExecution {
	return db.StageExecution{RunID: p.run.ID, NodeID: node.ID, Attempt: st.attempt, NodeType: node.Type, Position: node.Position}
}

func event(kind, nodeID string, attempt int, status, text string) db.RunEvent {
	return db.RunEvent{Kind: kind, NodeID: nodeID, Attempt: attempt, Status: status, Text: text}
}

// write queues a write with the events numbered in order. The first one of a start carries the
// run's new status. It does not wait: [progress.flushed] does.
func (p *progress) write(w db.RunWrite, events ...db.RunEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.RunID, w.Epoch = p.run.ID, p.run.Epoch
	now := time.Now().UTC()
	if !p.started {
		p.started = true
		events = append([]db.RunEvent{event(EventRun, "", 0, string(db.RunRunning), "")}, events...)
		if w.Run == nil {
			w.Run = &db.RunChange{Status: db.RunRunning}
		}
		w.Run.StartedAt = p.run.StartedAt
	}
	for _, ev := range events {
		p.seq++
		ev.RunID, ev.Sequence, ev.At = p.run.ID, p.seq, now
		w.Events = append(w.Events, ev)
	}
	for _, row := range w.Stages {
		if row.Status == db.StageRetrying {
			p.data.retrying[row.NodeID] = row
		}
	}
	p.last = p.e.store.WriteRun(w)
}

// flushed waits until everything written so far is durable. Writes are stored in order, so the last
// one stands for all; an older one can have been refused only if the last one is too.
func (p *progress) flushed(ctx context.Context) error {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last == nil {
		return nil
	}
	err := last.Wait(ctx)
	if err != nil {
		p.mu.Lock()
		p.lost = err
		p.mu.Unlock()
	}
	return err
}

func (p *progress) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}
