package engine

import (
	"cmp"
	"context"
	"errors"
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

// lazily is how long a write may wait for further ones of its run. Fast stages then share a commit;
// a person who watches does not notice.
const lazily = 5 * time.Millisecond

// write notes what has happened, with its events numbered in order; it is stored a moment later, or
// at once by [progress.flushed], which waits for it. The first write of a start carries the run's new
// status. A dry run keeps it for its answer, and stores nothing.
func (p *progress) write(w db.RunWrite, events ...db.RunEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dry != nil {
		p.dry.note(w, events)
		return
	}
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
	if p.queued == nil {
		p.queued = &db.RunWrite{RunID: p.run.ID, Epoch: p.run.Epoch}
		time.AfterFunc(lazily, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.push()
		})
	}
	p.queued.Stages = append(p.queued.Stages, w.Stages...)
	p.queued.Events = append(p.queued.Events, w.Events...)
	p.queued.Messages = append(p.queued.Messages, w.Messages...)
	p.queued.Attempts = append(p.queued.Attempts, w.Attempts...)
	p.queued.Channels = append(p.queued.Channels, w.Channels...)
	p.queued.Run = merged(p.queued.Run, w.Run)
	p.queued.Rest, p.queued.Wakes = w.Rest, cmp.Or(w.Wakes, p.queued.Wakes)
}

// push hands what is queued to the store. The caller holds mu.
func (p *progress) push() {
	if p.queued != nil {
		p.last, p.queued = p.e.store.WriteRun(*p.queued), nil
		go p.owned(p.last)
	}
}

// owned interrupts what is running if the write is refused because the run is no longer ours: it was cancelled before
// anybody here could be told, or another process has taken it over.
func (p *progress) owned(write *db.Commit) {
	err := write.Wait(p.e.life)
	if !errors.Is(err, db.ErrFenced) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = err
	if p.interrupt != nil {
		p.interrupt(err)
	}
}

// merged is one change of a run followed by another.
func merged(first, second *db.RunChange) *db.RunChange {
	if first == nil || second == nil {
		return cmp.Or(first, second)
	}
	m := *second
	m.IncidentID, m.Change = cmp.Or(m.IncidentID, first.IncidentID), cmp.Or(m.Change, first.Change)
	m.Source = cmp.Or(m.Source, first.Source)
	if m.StartedAt.IsZero() {
		m.StartedAt = first.StartedAt
	}
	if m.FinishedAt.IsZero() {
		m.FinishedAt = first.FinishedAt
	}
	return &m
}

// flushed waits until everything written so far is durable. Writes are stored in order, so the last
// one stands for all; an older one can have been refused only if the last one is too.
func (p *progress) flushed(ctx context.Context) error {
	p.mu.Lock()
	p.push()
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
