package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// LastSequence returns the number of the run's newest event, 0 if it has none.
func (s *Store) LastSequence(ctx context.Context, runID string) (int64, error) {
	return lastSequence(ctx, s.read, runID)
}

func lastSequence(ctx context.Context, from bun.IDB, runID string) (int64, error) {
	var last int64
	err := from.NewSelect().Model((*RunEvent)(nil)).ColumnExpr("COALESCE(MAX(seq), 0)").Where("run_id = ?", runID).Scan(ctx, &last)
	return last, wrap(err, "read last event")
}

// LastSequences is LastSequence of many runs. Those without an event are left out.
func (s *Store) LastSequences(ctx context.Context, runIDs []string) (map[string]int64, error) {
	var rows []struct {
		RunID string
		Last  int64
	}
	err := s.read.NewSelect().Model((*RunEvent)(nil)).Column("run_id").ColumnExpr("MAX(seq) AS last").
		Where("run_id IN (?)", bun.List(runIDs)).Group("run_id").Scan(ctx, &rows)
	last := make(map[string]int64, len(rows))
	for _, row := range rows {
		last[row.RunID] = row.Last
	}
	return last, wrap(err, "read last events")
}

// RetryRun makes a failed or cancelled run pending again: its epoch is raised, stages are stored (the attempts
// that are asked for), and an event with text says so. Any other run is fault.Conflict.
func (s *Store) RetryRun(ctx context.Context, runID string, stages []StageExecution, text string, now time.Time) (*Run, error) {
	run := new(Run)
	err := s.inWriter(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		if err := tx.forUpdate(tx.idb.NewSelect().Model(run).Where("id = ?", runID)).Scan(ctx); err != nil {
			return found(err, "retry run", "There is no run %s.", runID)
		}
		if run.Status != RunFailed && run.Status != RunCancelled {
			return fault.New(fault.Conflict, "Only a failed or cancelled run can be continued; this one is %s.", run.Status)
		}
		run.Status, run.Error, run.FinishedAt = RunPending, "", time.Time{}
		run.Epoch++
		if _, err := tx.idb.NewUpdate().Model(run).Column("status", "error", "finished_at", "epoch").WherePK().Exec(ctx); err != nil {
			return wrap(err, "retry run")
		}
		if len(stages) > 0 {
			if _, err := tx.idb.NewInsert().Model(&stages).Exec(ctx); err != nil {
				return wrap(err, "ask for stages")
			}
		}
		sequence, err := lastSequence(ctx, tx.idb, runID)
		if err != nil {
			return err
		}
		event := &RunEvent{RunID: runID, Sequence: sequence + 1, Kind: "run", Status: string(RunPending), Text: text, At: now}
		return wrap(tx.exec(tx.base, tx.addEvents([]*RunEvent{event}, false)...), "retry run")
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}
