package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

type runStart struct {
	id  string
	now time.Time
	run *Run
}

// StartRun begins or resumes a run: its epoch is raised, so that writes of an earlier start are refused, and a
// pending run becomes running. Several callers share a commit. A run that has ended is fault.Conflict.
func (s *Store) StartRun(ctx context.Context, id string) (*Run, error) {
	start := &runStart{id: id, now: time.Now()}
	if err := s.starts.do(ctx, &task{start: start}); err != nil {
		return nil, wrap(err, "start run "+id)
	}
	return start.run, nil
}

// writeStarts raises the epochs of several runs. Runs are locked in the order of their ids, as in fence.
func (tx *Tx) writeStarts(ts []*task) error {
	ids := make([]string, len(ts))
	for i, t := range ts {
		ids[i] = t.start.id
	}
	lock := tx.forUpdate(tx.idb.NewSelect().Model((*Run)(nil)).Column("id").
		Where("id IN (?)", bun.List(ids)).Where("status IN (?, ?)", RunPending, RunRunning).Order("id"))
	var runs []Run
	if err := tx.idb.NewUpdate().Model(&runs).With("locked", lock).
		Set("epoch = epoch + 1").Set("status = ?", RunRunning).Set("started_at = COALESCE(started_at, ?)", ts[0].start.now).
		Set("wake_at = NULL").Set("waits_for = NULL").
		Where("id IN (SELECT id FROM locked)").Returning("*").Scan(tx.base); err != nil {
		return err
	}
	started := make(map[string]*Run, len(runs))
	for i := range runs {
		started[runs[i].ID] = &runs[i]
	}
	for _, t := range ts {
		if t.start.run = started[t.start.id]; t.start.run == nil {
			t.err = tx.whyNotStarted(t.start.id)
		} else {
			t.err = nil
		}
	}
	return nil
}

func (tx *Tx) whyNotStarted(id string) error {
	var status RunStatus
	err := tx.idb.NewSelect().Model((*Run)(nil)).Column("status").Where("id = ?", id).Scan(tx.base, &status)
	if err != nil {
		return found(err, "start run", "There is no run %s.", id)
	}
	return fault.New(fault.Conflict, "Run %s has ended: it is %s.", id, status)
}
