package db

import "context"

// AddRerun stores a new run together with what it takes over from an earlier one.
func (s *Store) AddRerun(ctx context.Context, run Run, stages []StageExecution) error {
	return s.inWriter(ctx, func(tx *Tx) error {
		if err := tx.AddRuns(ctx, []Run{run}); err != nil {
			return err
		}
		if len(stages) == 0 {
			return nil
		}
		_, err := tx.idb.NewInsert().Model(&stages).Exec(tx.ctx(ctx))
		return wrap(err, "take stages over")
	})
}
