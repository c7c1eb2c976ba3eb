package db

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// RunWrite is what changes about a run in one step. It is stored completely, or not at all when the run's epoch has changed.
type RunWrite struct {
	RunID  string
	Epoch  int
	Stages []StageExecution // replace the rows of the same node and attempt
	Events []RunEvent
	Run    *RunChange // nil: the run's own row stays
	Rest   *Rest      // nil: it is worked on
	Wakes  string     // the run that waits for this one to end, and goes on now; "" for none

	Messages []NotificationMessage // replace the rows of the same id
	Attempts []NotificationAttempt // replace the rows of the same message and number
	Channels []ChannelState        // see [Store.SetChannelState]
}

// RunChange changes a run's row. Zero fields keep what is there, except Status, which is required, and Error.
type RunChange struct {
	Status     RunStatus
	Error      string
	IncidentID string
	Change     string
	Source     string
	StartedAt  time.Time
	FinishedAt time.Time
}

// Commit is a run write on its way to the disk.
type Commit struct {
	writer *writer
	task   *task
}

// WriteRun queues w behind all earlier writes and returns. While the database is away it waits in memory and
// is tried again, in order, until [Store.Close].
func (s *Store) WriteRun(w RunWrite) *Commit {
	c := &Commit{s.runs, &task{run: &w, done: make(chan struct{})}}
	select {
	case s.runs.runs <- c.task:
	case <-s.runs.stopped:
	}
	return c
}

// Wait returns nil after the commit, or [ErrFenced] if nothing was stored because the run has a newer epoch.
func (c *Commit) Wait(ctx context.Context) error {
	select {
	case <-c.task.done:
		return wrap(c.task.err, "write run "+c.task.run.RunID)
	case <-ctx.Done():
		return ctx.Err()
	case <-c.writer.stopped:
	}
	select {
	case <-c.task.done: // answered before the writer stopped
		return wrap(c.task.err, "write run "+c.task.run.RunID)
	default:
		return wrap(ErrClosed, "write run "+c.task.run.RunID)
	}
}

// writeRuns writes the stages, events and changes of several runs, leaving out those whose epoch has changed.
func (tx *Tx) writeRuns(ts []*task) error {
	epochs, fence, err := tx.fence(ts)
	if err != nil {
		return err
	}
	type stageKey struct {
		run, node string
		attempt   int
	}
	stageAt := map[stageKey]int{}
	var stages []*StageExecution
	var events []*RunEvent
	var changes []*changedRun
	changeOf := map[string]*changedRun{}
	var resting []*restingRun
	var woken []string
	again := false
	for _, t := range ts {
		t.err = nil
		if epoch, ok := epochs[t.run.RunID]; !ok || epoch != t.run.Epoch {
			t.err = ErrFenced
			continue
		}
		again = again || t.again
		for i := range t.run.Stages {
			st := &t.run.Stages[i]
			key := stageKey{st.RunID, st.NodeID, st.Attempt}
			if at, ok := stageAt[key]; ok {
				stages[at] = st // an upsert may not meet a row twice
				continue
			}
			stageAt[key] = len(stages)
			stages = append(stages, st)
		}
		for i := range t.run.Events {
			events = append(events, &t.run.Events[i])
		}
		if t.run.Run != nil {
			c := changeOf[t.run.RunID]
			if c == nil {
				c = &changedRun{ID: t.run.RunID}
				changeOf[c.ID] = c
				changes = append(changes, c)
			}
			c.apply(t.run.Run)
		}
		if t.run.Wakes != "" {
			woken = append(woken, t.run.Wakes)
		}
		if r := t.run.Rest; r != nil {
			resting = append(resting, &restingRun{ID: t.run.RunID, WakeAt: r.Until, WaitsFor: r.Channel})
		}
	}
	var queries []schema.QueryAppender
	if len(resting) > 0 {
		queries = append(queries, tx.restRuns(resting))
	}
	if len(stages) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&stages).On("CONFLICT (run_id, node_id, attempt) DO UPDATE"))
	}
	if len(changes) > 0 {
		queries = append(queries, tx.changeRuns(changes))
	}
	if len(woken) > 0 {
		queries = append(queries, wakeRuns(tx.store.write, woken))
	}
	queries = append(queries, tx.writeNotifications(ts)...)
	if len(queries)+len(events) == 0 {
		return nil
	}
	queries = append(fence, append(queries, tx.addEvents(events, again)...)...)
	err = tx.exec(tx.base, queries...)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == divisionByZero {
		return errFence
	}
	return err
}

const divisionByZero = "22012"

// fence makes sure that only writes of the current epochs are stored. Inside a transaction it locks and reads
// the epochs. Where all goes in one text, it takes the epochs that the writes expect and returns a statement
// that locks the runs and fails unless they are right.
func (tx *Tx) fence(ts []*task) (epochs map[string]int, check []schema.QueryAppender, err error) {
	if !tx.implicit {
		epochs, err = tx.lockEpochs(ts)
		return epochs, nil, err
	}
	epochs = make(map[string]int, len(ts))
	for _, t := range ts {
		if epoch, ok := epochs[t.run.RunID]; ok && epoch != t.run.Epoch {
			return nil, nil, errFence
		}
		epochs[t.run.RunID] = t.run.Epoch
	}
	var pairs []bun.TupleValues
	for id, epoch := range epochs {
		pairs = append(pairs, bun.Tuple([]any{id, epoch}))
	}
	held := tx.forUpdate(tx.store.write.NewSelect().Model((*Run)(nil)).Column("id").
		Where("(id, epoch) IN (VALUES ?)", bun.List(pairs)).Order("id"))
	return epochs, []schema.QueryAppender{
		tx.store.write.NewSelect().ColumnExpr("1 / (count(*) = ?)::int", len(pairs)).TableExpr("(?) AS held", held),
	}, nil
}

// lockEpochs reads the epochs of the runs and keeps them as they are until the commit.
func (tx *Tx) lockEpochs(ts []*task) (map[string]int, error) {
	ids := make([]string, len(ts))
	for i, t := range ts {
		ids[i] = t.run.RunID
	}
	var rows []struct {
		ID    string
		Epoch int
	}
	if err := tx.forUpdate(tx.idb.NewSelect().Model((*Run)(nil)).Column("id", "epoch").
		Where("id IN (?)", bun.List(ids)).Order("id")).Scan(tx.base, &rows); err != nil {
		return nil, err
	}
	epochs := make(map[string]int, len(rows))
	for _, r := range rows {
		epochs[r.ID] = r.Epoch
	}
	return epochs, nil
}

// changedRun is the part of a run's row that [RunChange] can set.
type changedRun struct {
	bun.BaseModel `bun:"table:runs"`

	ID         string    `bun:"id,pk"`
	Status     RunStatus `bun:"status"`
	Error      string    `bun:"error"`
	IncidentID string    `bun:"incident_id,nullzero"`
	Change     string    `bun:"change,nullzero"`
	Source     string    `bun:"source,nullzero"`
	StartedAt  time.Time `bun:"started_at,type:timestamptz,nullzero"`
	FinishedAt time.Time `bun:"finished_at,type:timestamptz,nullzero"`
}

func (r *changedRun) apply(c *RunChange) {
	r.Status, r.Error = c.Status, c.Error
	r.IncidentID = cmp.Or(c.IncidentID, r.IncidentID)
	r.Change = cmp.Or(c.Change, r.Change)
	r.Source = cmp.Or(c.Source, r.Source)
	r.StartedAt = cmp.Or(c.StartedAt, r.StartedAt)
	r.FinishedAt = cmp.Or(c.FinishedAt, r.FinishedAt)
}

func (tx *Tx) changeRuns(changes []*changedRun) schema.QueryAppender {
	return tx.store.write.NewUpdate().Model((*Run)(nil)).With("c", tx.store.write.NewValues(&changes)).TableExpr("c").
		Set("status = c.status").Set("error = c.error").
		Set("incident_id = COALESCE(c.incident_id, r.incident_id)").
		Set("change = COALESCE(c.change, r.change)").
		Set("source = COALESCE(c.source, r.source)").
		Set("started_at = COALESCE(c.started_at, r.started_at)").
		Set("finished_at = COALESCE(c.finished_at, r.finished_at)").
		Where("r.id = c.id")
}
