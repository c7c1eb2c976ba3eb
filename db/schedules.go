package db

import (
	"cmp"
	"context"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// ScheduleFilter selects schedules; the zero value is all.
type ScheduleFilter struct {
	DefinitionName string
	Page
}

func (f ScheduleFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	equals(q, "definition_name", f.DefinitionName)
	return q
}

// Schedule returns a schedule by its id.
func (s *Store) Schedule(ctx context.Context, id string) (*Schedule, error) {
	sch := new(Schedule)
	if err := s.read.NewSelect().Model(sch).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read schedule", "There is no schedule %s.", id)
	}
	return sch, nil
}

// Schedules lists the schedules of the definitions that exist, the newest first.
func (s *Store) Schedules(ctx context.Context, f ScheduleFilter) (Connection[Schedule], error) {
	var schedules []Schedule
	q := f.apply(s.read.NewSelect().Model(&schedules))
	return list(ctx, q, &schedules, f.Page, "created_at", func(s *Schedule) (time.Time, string) { return s.CreatedAt, s.ID })
}

// CountSchedules counts what [Store.Schedules] lists on all pages.
func (s *Store) CountSchedules(ctx context.Context, f ScheduleFilter) (int, error) {
	n, err := f.apply(s.read.NewSelect().Model((*Schedule)(nil))).Count(ctx)
	return int(n), wrap(err, "count schedules")
}

// SchedulesByDefinition returns the schedules of several definitions, each in the order of the document.
func (s *Store) SchedulesByDefinition(ctx context.Context, definitionIDs []string) (map[string][]Schedule, error) {
	var schedules []Schedule
	err := s.read.NewSelect().Model(&schedules).Where("definition_id IN (?)", bun.List(definitionIDs)).
		Order("definition_id", "position").Scan(ctx)
	byDefinition := make(map[string][]Schedule, len(definitionIDs))
	for _, sch := range schedules {
		byDefinition[sch.DefinitionID] = append(byDefinition[sch.DefinitionID], sch)
	}
	return byDefinition, wrap(err, "read schedules")
}

// DueSchedules returns the schedules that have something to do: a tick that has come, a tick that waits, or a
// handled tick that lies after future, because the clock was put back.
func (s *Store) DueSchedules(ctx context.Context, now, future time.Time) ([]Schedule, error) {
	var schedules []Schedule
	err := s.read.NewSelect().Model(&schedules).Where("next_tick <= ?", now).WhereOr("queued_tick IS NOT NULL").
		WhereOr("handled_until > ?", future).Order("next_tick").Scan(ctx)
	return schedules, wrap(err, "read due schedules")
}

// MoveSchedule stores how far a schedule has got and the run of its tick, in one transaction. The run is left
// out, and started false, if its idempotency key says that the tick has had its run. If somebody else has changed
// the schedule since it was read, nothing is stored: fault.Conflict.
func (s *Store) MoveSchedule(ctx context.Context, to Schedule, run *Run) (started bool, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		if run != nil {
			res, err := tx.idb.NewInsert().Model(run).
				On("CONFLICT (definition_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING").Exec(ctx)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if started = n > 0; started {
				to.LastRunID, to.LastTick = run.ID, run.ScheduledAt
			}
		}
		to.Revision++
		res, err := tx.idb.NewUpdate().Model(&to).WherePK().Where("revision = ?", to.Revision-1).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, error(fault.New(fault.Conflict, "The schedule was changed by somebody else.")))
		}
		return nil
	})
	return started && err == nil, wrap(err, "move schedule")
}

// saveSchedules makes the rows of a definition those of its configuration. An entry that was there keeps its
// place in time; one of a definition that is not active has none.
func (tx *Tx) saveSchedules(ctx context.Context, d *PipelineDefinition, entries []Schedule) error {
	var stored []Schedule
	if err := tx.forUpdate(tx.idb.NewSelect().Model(&stored).Where("definition_id = ?", d.ID)).Scan(ctx); err != nil {
		return wrap(err, "read schedules")
	}
	byEntry := make(map[string]Schedule, len(stored))
	for _, sch := range stored {
		byEntry[sch.Entry] = sch
	}
	keep := []string{""}
	for i := range entries {
		e := &entries[i]
		e.ID, e.DefinitionID, e.DefinitionName, e.CreatedAt = newID(), d.ID, d.Name, d.UpdatedAt
		if was, ok := byEntry[e.Entry]; ok {
			e.ID, e.Revision, e.CreatedAt = was.ID, was.Revision+1, was.CreatedAt
			e.LastTick, e.LastRunID = was.LastTick, was.LastRunID
			e.Skipped, e.SkippedTick, e.SkipReason = was.Skipped, was.SkippedTick, was.SkipReason
			if !was.NextTick.IsZero() {
				e.HandledUntil, e.NextTick, e.QueuedTick = was.HandledUntil, was.NextTick, was.QueuedTick
			}
		}
		if !d.IsActive {
			e.HandledUntil, e.NextTick, e.QueuedTick = time.Time{}, time.Time{}, time.Time{}
		}
		keep = append(keep, e.ID)
	}
	_, err := tx.idb.NewDelete().Model((*Schedule)(nil)).Where("definition_id = ?", d.ID).Where("id NOT IN (?)", bun.List(keep)).Exec(ctx)
	if err == nil && len(entries) > 0 {
		_, err = tx.idb.NewInsert().Model(&entries).On("CONFLICT (id) DO UPDATE").Exec(ctx)
	}
	return wrap(err, "write schedules")
}
