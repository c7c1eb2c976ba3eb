package db

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"penstock/fault"
)

// RunFilter selects runs; the zero value is all.
type RunFilter struct {
	IDs            []string    // any of them
	Status         []RunStatus // any of them
	Source         string
	Environment    string
	DefinitionID   string
	DefinitionName string
	Version        int // of the definition, 0 for any
	IncidentID     string
	DeliveryID     string
	ParentRunID    string
	RerunOfRunID   string
	TraceID        string
	Trigger        Trigger
	CreatedAfter   time.Time // inclusive
	CreatedBefore  time.Time // exclusive
	Search         string    // in run id, trace id, definition name, source and error; a whole id is looked up as run id and trace id only
	Columns        []string  // that are read besides id and created_at; nil: all but the payload
	Page
}

func (f RunFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if len(f.Status) > 0 {
		q.Where("r.status IN (?)", bun.List(f.Status))
	}
	if len(f.IDs) > 0 {
		q.Where("r.id IN (?)", bun.List(f.IDs))
	}
	equals(q, "source", f.Source)
	equals(q, "environment", f.Environment)
	equals(q, "definition_id", f.DefinitionID)
	equals(q, "definition_name", f.DefinitionName)
	equals(q, "incident_id", f.IncidentID)
	equals(q, "delivery_id", f.DeliveryID)
	equals(q, "parent_run_id", f.ParentRunID)
	equals(q, "rerun_of_run_id", f.RerunOfRunID)
	equals(q, "trace_id", f.TraceID)
	equals(q, "trigger_type", f.Trigger)
	if f.Version != 0 {
		q.Where("r.definition_version = ?", f.Version)
	}
	if !f.CreatedAfter.IsZero() {
		q.Where("r.created_at >= ?", f.CreatedAfter)
	}
	if !f.CreatedBefore.IsZero() {
		q.Where("r.created_at < ?", f.CreatedBefore)
	}
	if !f.hasID(q) {
		contains(q, f.Search, "id", "trace_id", "definition_name", "source", "error")
	}
	return q
}

// hasID looks a search for a whole id up as such.
func (f RunFilter) hasID(q *bun.SelectQuery) bool {
	id, ok := wholeID(f.Search)
	if ok {
		q.Where("(r.id = ? OR r.trace_id = ?)", strings.ToLower(id), id)
	}
	return ok
}

// indexed applies what an index finds in the order of the list.
func (f RunFilter) indexed(q *bun.SelectQuery) {
	switch {
	case f.hasID(q):
	case f.TraceID != "":
		equals(q, "trace_id", f.TraceID)
	case f.IncidentID != "":
		equals(q, "incident_id", f.IncidentID)
	case f.DefinitionID != "":
		equals(q, "definition_id", f.DefinitionID)
	case len(f.Status) == 1:
		equals(q, "status", f.Status[0])
	}
	if !f.CreatedAfter.IsZero() {
		q.Where("r.created_at >= ?", f.CreatedAfter)
	}
	if !f.CreatedBefore.IsZero() {
		q.Where("r.created_at < ?", f.CreatedBefore)
	}
}

// Matches reports whether [Store.Runs] would list the run.
func (f RunFilter) Matches(r *Run) bool {
	return (len(f.Status) == 0 || slices.Contains(f.Status, r.Status)) &&
		same(f.Source, r.Source) && same(f.Environment, r.Environment) &&
		same(f.DefinitionID, r.DefinitionID) && same(f.DefinitionName, r.DefinitionName) &&
		(f.Version == 0 || f.Version == r.DefinitionVersion) &&
		same(f.IncidentID, r.IncidentID) && same(f.DeliveryID, r.DeliveryID) && same(f.ParentRunID, r.ParentRunID) && same(f.RerunOfRunID, r.RerunOfRunID) &&
		same(f.TraceID, r.TraceID) && same(f.Trigger, r.Trigger) &&
		(f.CreatedAfter.IsZero() || !r.CreatedAt.Before(f.CreatedAfter)) &&
		(f.CreatedBefore.IsZero() || r.CreatedAt.Before(f.CreatedBefore)) &&
		f.finds(r)
}

func (f RunFilter) finds(r *Run) bool {
	if id, ok := wholeID(f.Search); ok {
		return strings.ToLower(id) == r.ID || id == r.TraceID
	}
	return holds(f.Search, r.ID, r.TraceID, r.DefinitionName, r.Source, r.Error)
}

// wholeID reports whether text is an id like those of runs.
func wholeID(text string) (string, bool) {
	text = strings.TrimSpace(text)
	_, err := uuid.Parse(text)
	return text, err == nil
}

// Run returns a run by its id.
func (s *Store) Run(ctx context.Context, id string) (*Run, error) {
	r := new(Run)
	if err := s.read.NewSelect().Model(r).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read run", "There is no run %s.", id)
	}
	return r, nil
}

// RunsByID returns runs by their ids, without their payloads.
func (s *Store) RunsByID(ctx context.Context, ids []string) (map[string]*Run, error) {
	var rs []Run
	err := s.read.NewSelect().Model(&rs).ExcludeColumn("payload").Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return byID(rs, func(r *Run) string { return r.ID }), wrap(err, "read runs")
}

// Runs lists runs, the newest first. Payload is left out: it can be large.
func (s *Store) Runs(ctx context.Context, f RunFilter) (Connection[Run], error) {
	key := func(r *Run) (time.Time, string) { return r.CreatedAt, r.ID }
	if len(f.Status) > 1 && f.Within == 0 {
		return merged(f.Status, f.Page, func(status RunStatus) (Connection[Run], error) {
			f.Status = []RunStatus{status}
			return s.Runs(ctx, f)
		}, key)
	}
	var rs []Run
	q := f.apply(s.read.NewSelect().Model(&rs))
	if f.Columns == nil {
		q.ExcludeColumn("payload")
	} else {
		q.Column(slices.Compact(slices.Sorted(slices.Values(append([]string{"id", "created_at"}, f.Columns...))))...)
	}
	f.narrow = f.indexed
	return list(ctx, q, &rs, f.Page, "created_at", key)
}

// CountRuns counts what [Store.Runs] lists on all pages.
func (s *Store) CountRuns(ctx context.Context, f RunFilter) (int, error) {
	f.narrow = f.indexed
	return count[Run](ctx, f.apply(s.read.NewSelect().Model((*Run)(nil))), f.Page, "created_at")
}

// RunByIdempotencyKey returns the run of a definition that was started with the key.
func (s *Store) RunByIdempotencyKey(ctx context.Context, definitionID, key string) (*Run, error) {
	r := new(Run)
	err := s.read.NewSelect().Model(r).Where("definition_id = ?", definitionID).Where("idempotency_key = ?", key).Scan(ctx)
	if err != nil {
		return nil, found(err, "read run", "There is no run with the idempotency key %q.", key)
	}
	return r, nil
}

// Stages returns the stage executions of a run by position and attempt.
func (s *Store) Stages(ctx context.Context, runID string) ([]StageExecution, error) {
	byRun, err := s.StagesByRun(ctx, []string{runID})
	return byRun[runID], err
}

// StagesByRun returns the stage executions of several runs, each by position and attempt.
func (s *Store) StagesByRun(ctx context.Context, runIDs []string) (map[string][]StageExecution, error) {
	return s.stagesByRun(ctx, runIDs)
}

// StageSummariesByRun is StagesByRun without the outputs, which can be large.
func (s *Store) StageSummariesByRun(ctx context.Context, runIDs []string) (map[string][]StageExecution, error) {
	return s.stagesByRun(ctx, runIDs, "output")
}

func (s *Store) stagesByRun(ctx context.Context, runIDs []string, without ...string) (map[string][]StageExecution, error) {
	stages := make([]StageExecution, 0, 4*len(runIDs))
	err := s.read.NewSelect().Model(&stages).ExcludeColumn(without...).Where("run_id IN (?)", bun.List(runIDs)).
		Order("run_id", "position", "attempt").Scan(ctx)
	byRun := make(map[string][]StageExecution, len(runIDs))
	for from := 0; from < len(stages); {
		to, id := from, stages[from].RunID
		for to < len(stages) && stages[to].RunID == id {
			to++
		}
		byRun[id], from = stages[from:to:to], to
	}
	return byRun, wrap(err, "read stages")
}

// StageStatesByRun returns how far several runs are at their nodes: the status of the newest attempt, by run and node.
func (s *Store) StageStatesByRun(ctx context.Context, runIDs []string) (map[string]map[string]StageStatus, error) {
	var stages []StageExecution
	err := s.read.NewSelect().Model(&stages).Column("run_id", "node_id", "status").Where("run_id IN (?)", bun.List(runIDs)).
		Order("run_id", "attempt").Scan(ctx)
	states := make(map[string]map[string]StageStatus, len(runIDs))
	for _, st := range stages {
		if states[st.RunID] == nil {
			states[st.RunID] = map[string]StageStatus{}
		}
		states[st.RunID][st.NodeID] = st.Status
	}
	return states, wrap(err, "read states of stages")
}

// Events returns the events of a run after a sequence number, at most limit.
func (s *Store) Events(ctx context.Context, runID string, after int64, limit int) ([]*RunEvent, error) {
	var events []*RunEvent
	err := s.read.NewSelect().Model(&events).Where("run_id = ?", runID).Where("seq > ?", after).
		Order("seq").Limit(int64(limit)).Scan(ctx)
	return events, wrap(err, "read events")
}

// RunEnded reports whether a run has ended and has no event after a sequence number.
func (s *Store) RunEnded(ctx context.Context, runID string, seq int64) (ended bool, err error) {
	later := s.read.NewSelect().Model((*RunEvent)(nil)).Column("seq").Where("run_id = r.id").Where("seq > ?", seq)
	err = s.read.NewSelect().Model((*Run)(nil)).Where("id = ?", runID).
		ColumnExpr("status NOT IN (?) AND NOT EXISTS (?)", bun.List([]RunStatus{RunPending, RunRunning}), later).Scan(ctx, &ended)
	return ended, found(err, "read run", "There is no run %s.", runID)
}

// RoutedTo returns which definitions the routing has started for incidents since a moment, by incident id.
func (tx *Tx) RoutedTo(ctx context.Context, since map[string]time.Time) (map[string][]string, error) {
	if len(since) == 0 {
		return nil, nil
	}
	var rows []struct{ IncidentID, DefinitionName string }
	q := tx.idb.NewSelect().Model((*Run)(nil)).Distinct().Column("incident_id", "definition_name").Where("trigger_type = ?", TriggerAlert).
		WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
			for id, at := range since {
				q.WhereOr("incident_id = ? AND created_at >= ?", id, at)
			}
			return q
		})
	err := q.Scan(tx.ctx(ctx), &rows)
	names := make(map[string][]string, len(since))
	for _, r := range rows {
		names[r.IncidentID] = append(names[r.IncidentID], r.DefinitionName)
	}
	return names, wrap(err, "read who worked incidents")
}

// PendingRuns returns the runs (id and epoch only) that were accepted before olderThan and have not begun, the oldest first.
func (s *Store) PendingRuns(ctx context.Context, olderThan time.Time, limit int) ([]Run, error) {
	var runs []Run
	err := s.read.NewSelect().Model(&runs).Column("id", "epoch").Where("status = ?", RunPending).
		Where("created_at < ?", olderThan).Order("created_at", "id").Limit(int64(limit)).Scan(ctx)
	return runs, wrap(err, "read pending runs")
}

// OutlivedRuns returns runs that have not ended although the run that started them was cancelled (id and parent's id
// only); those that a person has continued since are left out.
func (s *Store) OutlivedRuns(ctx context.Context, limit int) ([]Run, error) {
	var runs []Run
	err := s.read.NewSelect().Model(&runs).Column("r.id", "r.parent_run_id").Join("JOIN runs AS p ON p.id = r.parent_run_id").
		Where("r.status IN (?, ?)", RunPending, RunRunning).Where("p.status = ?", RunCancelled).
		Where("NOT EXISTS (SELECT 1 FROM run_events AS e WHERE e.run_id = r.id AND e.kind = 'run' AND e.status = ? AND e.at >= p.finished_at)", RunPending).
		Limit(int64(limit)).Scan(ctx)
	return runs, wrap(err, "read runs that outlived their parent")
}

// LateRuns returns the runs of a status that were accepted before a moment, the oldest first, without their
// payloads.
func (s *Store) LateRuns(ctx context.Context, status RunStatus, before time.Time, limit int) ([]Run, error) {
	var runs []Run
	err := s.read.NewSelect().Model(&runs).ExcludeColumn("payload").Where("status = ?", status).
		Where("created_at < ?", before).Order("created_at", "id").Limit(int64(limit)).Scan(ctx)
	return runs, wrap(err, "read late runs")
}

// UnfinishedCount counts the runs that have not ended.
func (s *Store) UnfinishedCount(ctx context.Context) (pending, running int, err error) {
	var rows []struct {
		Status RunStatus
		N      int
	}
	err = s.read.NewSelect().Model((*Run)(nil)).Column("status").ColumnExpr("count(*) AS n").
		Where("status IN (?, ?)", RunPending, RunRunning).Group("status").Scan(ctx, &rows)
	for _, r := range rows {
		if r.Status == RunPending {
			pending = r.N
		} else {
			running = r.N
		}
	}
	return pending, running, wrap(err, "count unfinished runs")
}

// CancelRun ends a run. Its epoch is raised, so that what is still under way for it is refused; its unfinished
// stages are cancelled, and the events say so. A cancelled run is returned as it is; one that has ended
// otherwise is fault.Conflict.
func (s *Store) CancelRun(ctx context.Context, runID, reason string, now time.Time) (*Run, error) {
	run := new(Run)
	err := s.inWriter(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		if err := tx.forUpdate(tx.idb.NewSelect().Model(run).Where("id = ?", runID)).Scan(ctx); err != nil {
			return found(err, "cancel run", "There is no run %s.", runID)
		}
		if run.Status == RunCancelled {
			return nil
		}
		if run.Status.Terminal() {
			return fault.New(fault.Conflict, "Run %s has ended: it is %s.", runID, run.Status)
		}
		run.Status, run.Error, run.FinishedAt = RunCancelled, reason, now
		run.Epoch++
		run.WakeAt, run.WaitsFor = time.Time{}, ""
		if _, err := tx.idb.NewUpdate().Model(run).Column("status", "error", "finished_at", "epoch", "wake_at", "waits_for").WherePK().Exec(ctx); err != nil {
			return wrap(err, "cancel run")
		}
		if parent := run.AwaitedBy(); parent != "" {
			if _, err := wakeRuns(tx.idb, []string{parent}).Exec(ctx); err != nil {
				return wrap(err, "cancel run")
			}
		}
		var stages []StageExecution
		if err := tx.idb.NewUpdate().Model(&stages).Set("status = ?", StageCancelled).Set("finished_at = ?", now).
			Where("run_id = ?", runID).Where("status IN (?, ?, ?)", StagePending, StageRunning, StageRetrying).
			Returning("*").Scan(ctx); err != nil {
			return wrap(err, "cancel stages")
		}
		if _, err := tx.idb.NewUpdate().Model((*NotificationMessage)(nil)).Set("status = ?", NotificationCancelled).
			Set("reason = ?", reason).Set("updated_at = ?", now).Set("ended_at = ?", now).
			Where("run_id = ?", runID).Where("status = ?", NotificationPending).Exec(ctx); err != nil {
			return wrap(err, "cancel notifications")
		}
		sequence, err := lastSequence(ctx, tx.idb, runID)
		if err != nil {
			return err
		}
		var events []*RunEvent
		for _, st := range stages {
			sequence++
			events = append(events, &RunEvent{RunID: runID, Sequence: sequence, Kind: "stage", NodeID: st.NodeID, Attempt: st.Attempt, Status: string(StageCancelled), At: now})
		}
		events = append(events, &RunEvent{RunID: runID, Sequence: sequence + 1, Kind: "run", Status: string(RunCancelled), Text: reason, At: now})
		return wrap(tx.exec(tx.base, tx.addEvents(events, false)...), "cancel run")
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// AddRuns stores new runs.
func (tx *Tx) AddRuns(ctx context.Context, runs []Run) error {
	if len(runs) == 0 {
		return nil
	}
	_, err := tx.idb.NewInsert().Model(&runs).Exec(tx.ctx(ctx))
	if isUnique(err) {
		return fault.Wrap(ErrDuplicate, fault.Conflict, "A run with this idempotency key exists.")
	}
	return wrap(err, "add runs")
}
