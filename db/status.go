package db

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Backlog is the work that is not done.
type Backlog struct {
	Pending  int  // runs that nobody has started
	Running  int  // runs that have begun and not ended; Retrying of them
	Retrying int  // runs that wait for the next attempt of a stage
	Stuck    int  // runs that have been pending for longer than they should
	Oldest   *Run // the run that has been under way for longest: id, definition, status and time only
}

// Backlog counts the work that is not done. Runs that have been pending since before stuckBefore are stuck.
func (s *Store) Backlog(ctx context.Context, stuckBefore time.Time) (b Backlog, err error) {
	if b.Pending, b.Running, err = s.UnfinishedCount(ctx); err != nil || b.Pending+b.Running == 0 {
		return b, err
	}
	err = s.read.NewRaw(`SELECT
		(SELECT count(*) FROM runs AS r WHERE r.status = ? AND r.created_at < ?),
		(SELECT count(*) FROM runs AS r WHERE r.status = ? AND EXISTS
			(SELECT 1 FROM stage_executions AS se WHERE se.run_id = r.id AND se.status = ?))`,
		RunPending, stuckBefore, RunRunning, StageRetrying).Scan(ctx, &b.Stuck, &b.Retrying)
	if err != nil {
		return b, wrap(err, "count unfinished runs")
	}
	for _, status := range []RunStatus{RunPending, RunRunning} { // each is one look into the index
		run := new(Run)
		err := s.read.NewSelect().Model(run).Column("id", "definition_name", "status", "created_at").
			Where("status = ?", status).Order("created_at", "id").Limit(1).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return b, wrap(err, "find the oldest run")
		}
		if b.Oldest == nil || run.CreatedAt.Before(b.Oldest.CreatedAt) {
			b.Oldest = run
		}
	}
	return b, nil
}

// CountExecutors counts the processes that work on this store. On SQLite it is one.
func (s *Store) CountExecutors(ctx context.Context) (n int, err error) {
	if s.isSQLite() {
		return 1, nil
	}
	err = s.read.NewRaw("SELECT count(*) FROM executors").Scan(ctx, &n)
	return n, wrap(err, "count executors")
}

// TryWrite returns after a commit that changes nothing of value: proof that the store can be written. On PostgreSQL
// it takes the locks that intake and runs take, so that a lock of somebody else's is noticed; SQLite has but one.
//
// Whoever asks is answered when ctx ends, even while the database keeps the write waiting; those who ask at the same
// moment share one.
func (s *Store) TryWrite(ctx context.Context) error {
	tried := s.tries.DoChan("write", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, s.tryWrite(ctx)
	})
	select {
	case r := <-tried:
		return r.Err
	case <-ctx.Done():
		return wrap(ctx.Err(), "write to the database")
	}
}

func (s *Store) tryWrite(ctx context.Context) error {
	return s.InTx(ctx, func(tx *Tx) error {
		if !s.isSQLite() {
			_, err := tx.idb.NewRaw("LOCK TABLE deliveries, alerts, incidents, decisions, runs, stage_executions, run_events, notification_messages, notification_attempts IN ROW EXCLUSIVE MODE").Exec(tx.ctx(ctx))
			if err != nil {
				return wrap(err, "write to the database")
			}
		}
		_, err := tx.idb.NewInsert().Model(&metaRow{Key: "ping", Value: time.Now().UTC().Format(time.RFC3339)}).
			On("CONFLICT (key) DO UPDATE").Set("value = EXCLUDED.value").Exec(tx.ctx(ctx))
		return wrap(err, "write to the database")
	})
}
