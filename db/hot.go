package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"penstock/fault"
)

// EventChannel is the PostgreSQL channel on which the run ids and newest sequence numbers of committed events
// are notified: a JSON list of "<run id>:<sequence>".
const EventChannel = "penstock_events"

const notifyLimit = 7800 // bytes; PostgreSQL refuses 8000

// Acceptance is a delivery with the runs that it named. Either may be missing.
type Acceptance struct {
	Delivery *Delivery
	Runs     []Run
}

// RunWrite is what changes about a run in one step. It is stored completely, or not at all when the run's epoch has changed.
type RunWrite struct {
	RunID  string
	Epoch  int
	Stages []StageExecution // replace the rows of the same node and attempt
	Events []RunEvent
	Run    *RunChange // nil: the run's own row stays
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

type runStart struct {
	id  string
	now time.Time
	run *Run
}

// Accept stores a delivery and its runs; nil means that they are on disk. Several callers share a commit.
// A run whose idempotency key is taken refuses the whole acceptance with [ErrDuplicate].
// When the database does not answer within two seconds the outcome is unknown: fault.Unavailable.
func (s *Store) Accept(ctx context.Context, a Acceptance) error {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	err := s.accepts.do(ctx, &task{accept: &a})
	if isUnique(err) {
		err = errors.Join(ErrDuplicate, err)
	}
	if errors.Is(err, ErrDuplicate) {
		return fault.Wrap(err, fault.Conflict, "A run with this idempotency key exists.")
	}
	return wrap(err, "accept")
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

// StartRun begins or resumes a run: its epoch is raised, so that writes of an earlier start are refused, and a
// pending run becomes running. Several callers share a commit. A run that has ended is fault.Conflict.
func (s *Store) StartRun(ctx context.Context, id string) (*Run, error) {
	start := &runStart{id: id, now: time.Now()}
	if err := s.starts.do(ctx, &task{start: start}); err != nil {
		return nil, wrap(err, "start run "+id)
	}
	return start.run, nil
}

// exec renders queries into one text, which both databases take in one round trip.
func (tx *Tx) exec(queries ...schema.QueryAppender) error {
	var b []byte
	for _, q := range queries {
		var err error
		if b, err = q.AppendQuery(tx.store.write.QueryGen(), b); err != nil {
			return err
		}
		b = append(b, ";\n"...)
	}
	if len(b) == 0 {
		return nil
	}
	_, err := tx.idb.ExecContext(tx.base, string(b))
	return err
}

// writeAcceptances writes the deliveries and runs of several acceptances. Those with a taken key are left out.
func (tx *Tx) writeAcceptances(ts []*task) error {
	if err := tx.refuseDuplicates(ts); err != nil {
		return err
	}
	var deliveries []*Delivery
	var runs []*Run
	for _, t := range ts {
		if t.err != nil {
			continue
		}
		if t.accept.Delivery != nil {
			deliveries = append(deliveries, t.accept.Delivery)
		}
		for i := range t.accept.Runs {
			runs = append(runs, &t.accept.Runs[i])
		}
	}
	var queries []schema.QueryAppender
	if len(deliveries) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&deliveries))
	}
	if len(runs) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&runs))
	}
	return tx.exec(queries...)
}

// refuseDuplicates marks the tasks with a key that is stored or comes twice, so that the rest need not be
// tried one by one. A key that another process takes at the same moment is caught by the unique index.
func (tx *Tx) refuseDuplicates(ts []*task) error {
	type key struct{ DefinitionID, IdempotencyKey string }
	var keys []key
	for _, t := range ts {
		for _, r := range t.accept.Runs {
			if r.IdempotencyKey != "" {
				keys = append(keys, key{r.DefinitionID, r.IdempotencyKey})
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	values := make([]bun.TupleValues, len(keys))
	for i, k := range keys {
		values[i] = bun.Tuple([]string{k.DefinitionID, k.IdempotencyKey})
	}
	var stored []key
	if err := tx.idb.NewSelect().Model((*Run)(nil)).Column("definition_id", "idempotency_key").
		Where("(definition_id, idempotency_key) IN (VALUES ?)", bun.List(values)).Scan(tx.base, &stored); err != nil {
		return err
	}
	seen := map[key]bool{}
	for _, k := range stored {
		seen[k] = true
	}
	for _, t := range ts {
		t.err = nil
		for _, r := range t.accept.Runs {
			if k := (key{r.DefinitionID, r.IdempotencyKey}); k.IdempotencyKey != "" && seen[k] {
				t.err = ErrDuplicate
			}
		}
		if t.err == nil {
			for _, r := range t.accept.Runs {
				seen[key{r.DefinitionID, r.IdempotencyKey}] = true
			}
		}
	}
	return nil
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
	}
	var queries []schema.QueryAppender
	if len(stages) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&stages).On("CONFLICT (run_id, node_id, attempt) DO UPDATE"))
	}
	if len(changes) > 0 {
		queries = append(queries, tx.changeRuns(changes))
	}
	if len(stages)+len(events)+len(changes) == 0 {
		return nil
	}
	queries = append(fence, append(queries, tx.addEvents(events, again)...)...)
	err = tx.exec(queries...)
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

// addEvents returns what stores events and, on PostgreSQL, tells the other processes. They are published after
// the commit. With again an earlier attempt may have stored them.
func (tx *Tx) addEvents(events []*RunEvent, again bool) []schema.QueryAppender {
	if len(events) == 0 {
		return nil
	}
	insert := tx.store.write.NewInsert().Model(&events)
	if again {
		insert.On("CONFLICT (run_id, seq) DO NOTHING")
	}
	queries := []schema.QueryAppender{insert}
	last := map[string]int64{}
	for _, e := range events {
		tx.events = append(tx.events, *e)
		last[e.RunID] = max(last[e.RunID], e.Sequence)
	}
	if !tx.store.isSQLite() { // on SQLite there is no other process
		for _, payload := range notifications(last) {
			queries = append(queries, tx.store.write.NewSelect().ColumnExpr("pg_notify(?, ?)", EventChannel, payload))
		}
	}
	return queries
}

func notifications(last map[string]int64) (payloads []string) {
	var b strings.Builder
	for run, sequence := range last {
		item := fmt.Sprintf("%q", fmt.Sprintf("%s:%d", run, sequence))
		if b.Len() > 0 && b.Len()+len(item)+2 > notifyLimit {
			payloads = append(payloads, b.String()+"]")
			b.Reset()
		}
		if b.Len() == 0 {
			b.WriteByte('[')
		} else {
			b.WriteByte(',')
		}
		b.WriteString(item)
	}
	return append(payloads, b.String()+"]")
}
