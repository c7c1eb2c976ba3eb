package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/fault"
)

const (
	// workflowVersion is pinned: a new binary works on the old one's runs. Stage rows, not the order of
	// the workflow's steps, are the checkpoint, so it never has to change with the interpreter.
	workflowVersion = "engine-1"
	workflowName    = "run"

	sweepEvery    = 500 * time.Millisecond
	startPatience = 30 * time.Second // a run handed over longer ago is handed over again, or works elsewhere
	takeoverEvery = 500 * time.Millisecond
)

// Engine accepts deliveries and works runs. Make one with [New], then keep [Engine.Run] running.
type Engine struct {
	o     Options
	store *db.Store
	hub   *Hub
	log   *slog.Logger
	dbos  dbos.Context
	id    string // executor id: unique per process start on PostgreSQL, "local" on SQLite

	catalog  definition.Catalog // node types, compiled; channels are added when it is asked for
	compiled compiled

	slots    chan struct{} // stages that are being worked
	room     chan struct{} // deliveries whose runs began less than a second ago: paces the senders
	fresh    sync.Map      // run id → *progress: accepted here, not yet picked up by its workflow
	live     sync.Map      // run id → context.CancelCauseFunc
	intakes  chan *intakeJob
	routing  sync.Map // delivery id → true, while its intake is under way here
	starting sync.Map // workflow id → when it was handed to the workflow engine, until it is picked up here

	reading    sync.Mutex // one delivery is read back at a time
	deliveries *lru.Cache[string, keptDelivery]
	load       atomic.Int64 // runs in this process: accepted and not ended; those that only wait are left out
	launched   atomic.Bool
	startedAt  time.Time
	received   counts // deliveries by how they were answered
	heart      heart
	troubles   troubles
	senders    senders
	pulse      chan chan struct{} // through takeAllIn, to see that it works
	worked     atomic.Int64       // attempts of stages that have ended
	decided    counts             // decisions by outcome
	leftOut    atomic.Int64       // alerts that senders said they left out
	expired    counts             // rows that retention deleted, by table
	intakeLag  *db.Histogram
	stopping   chan struct{}   // closed when no new stage may start
	life       context.Context // ends when background work has to end
	end        context.CancelFunc
	gates      gates
	troubled   chan struct{} // capacity 1: wakes watchChannels; the state of a channel has changed
	wg         sync.WaitGroup
}

// New opens an engine on a migrated store, with the workflow library's own tables. It starts
// nothing: [Engine.Run] does.
func New(ctx context.Context, o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Workers <= 0 {
		o.Workers = 256
	}
	if o.Backlog <= 0 {
		o.Backlog = 2000
	}
	if o.NotifyRetryFor <= 0 {
		o.NotifyRetryFor = 24 * time.Hour
	}
	if o.RestAfter <= 0 {
		o.RestAfter = 5 * time.Second
	}
	if o.Crowd <= 0 {
		o.Crowd = 512
	}
	if o.Drain <= 0 {
		o.Drain = 12 * time.Second
	}
	if o.SourcesEvery <= 0 {
		o.SourcesEvery = sourcesEvery
	}
	if o.Heartbeat.Every <= 0 {
		o.Heartbeat.Every = time.Minute
	}
	if o.Tidy <= 0 {
		o.Tidy = 10 * time.Second
	}
	e := &Engine{
		o: o, store: o.Store, hub: o.Hub, log: o.Log, id: "local",
		slots:    make(chan struct{}, o.Workers),
		room:     make(chan struct{}, 64),
		intakes:  make(chan *intakeJob, intakeBatch),
		pulse:    make(chan chan struct{}),
		stopping: make(chan struct{}), startedAt: now(),
		troubled:  make(chan struct{}, 1),
		intakeLag: db.NewHistogram(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60),
	}
	for _, outcome := range []string{deliveryAccepted, deliveryNoAlerts, deliveryRejected, deliveryUnavailable} {
		e.received.add(outcome, 0) // so that the first of a kind is seen as a rise
	}
	for _, outcome := range []db.DecisionOutcome{db.DecisionStarted, db.DecisionNoRoute, db.DecisionRepeat, db.DecisionNothingToResolve} {
		e.decided.add(string(outcome), 0)
	}
	for _, outcome := range []string{beatSent, beatFailed, beatWithheld} {
		e.heart.outcomes.add(outcome, 0)
	}
	e.life, e.end = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if e.deliveries, err = lru.New[string, keptDelivery](16); err != nil {
		return nil, err
	}
	types := make([]definition.Type, len(o.Types))
	for i, t := range o.Types {
		types[i] = t.Type
	}
	e.catalog = definition.NewCatalog(types...)
	e.compiled.forget()
	config := dbos.Config{
		AppName:                      "penstock",
		ApplicationVersion:           workflowVersion,
		Logger:                       quiet(o.Log),
		SchedulerPollingInterval:     2 * time.Second,
		NotificationCoalesceInterval: 100 * time.Millisecond,
	}
	if pool := o.Store.Pool(); pool != nil {
		e.id = uuid.NewString()
		config.SystemDBPool = pool
	} else {
		config.SQLiteSystemDB = o.Store.SQLiteDB()
	}
	config.ExecutorID = e.id
	// Two processes that migrate at the same moment break each other: one at a time.
	err = o.Store.WithAdvisoryLock(ctx, "penstock engine migration", func() error {
		dc, err := dbos.NewContext(context.WithoutCancel(ctx), config)
		e.dbos = dc
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open workflow engine: %w", err)
	}
	dbos.RegisterWorkflow(e.dbos, e.workflow, dbos.WithWorkflowName(workflowName), dbos.WithMaxRecoveryAttempts(1_000_000))
	return e, nil
}

// Run works until ctx ends, then lets running stages finish for a few seconds and gives the rest up
// to the next process. It leaves no goroutine behind. It closes the database's pool, which the
// workflow library shares: stop the doors first, close the store after.
func (e *Engine) Run(ctx context.Context) error {
	err := e.store.WithAdvisoryLock(ctx, "penstock engine migration", func() error { return e.dbos.Launch() })
	if err != nil {
		return fmt.Errorf("launch workflow engine: %w", err)
	}
	e.launched.Store(true)
	e.wg.Go(func() { e.sweep(e.life) })
	e.wg.Go(func() { e.keepHouse(e.life) })
	e.wg.Go(func() { e.takeAllIn(e.life) })
	e.wg.Go(func() { e.followSchedules(e.life) })
	e.wg.Go(func() { e.hub.lists.run(e.life, e) })
	e.wg.Go(func() { e.lookAfterEvents(e.life) })
	e.wg.Go(func() { e.watchChannels(e.life) })
	if e.store.Pool() != nil {
		e.wg.Go(func() { e.listen(e.life) })
	}
	<-ctx.Done()

	e.launched.Store(false)
	close(e.stopping)
	e.drain()
	e.end()
	e.dbos.Shutdown(e.dbos, 5*time.Second)
	e.wg.Wait()
	return nil
}

// drain waits until no stage is being worked, at most Options.Drain, then interrupts what is left:
// those runs go on in the next process.
func (e *Engine) drain() {
	deadline := time.After(e.o.Drain)
	for range cap(e.slots) {
		select {
		case e.slots <- struct{}{}:
		case <-deadline:
			e.log.Warn("stopping with stages still running; they run again after the start")
			e.live.Range(func(_, cancel any) bool { (*cancel.(*context.CancelCauseFunc))(errStopping); return true })
			return
		}
	}
}

// Ready is nil once runs are accepted and worked: the engine is up and the store answers.
func (e *Engine) Ready(ctx context.Context) error {
	if !e.launched.Load() {
		return fault.New(fault.Unavailable, "The engine is starting or stopping.")
	}
	return e.store.Ping(ctx)
}

// workflow is the one workflow function: it works a run to its end or until the process stops.
func (e *Engine) workflow(ctx dbos.Context, runID string) (string, error) {
	e.load.Add(1)
	defer e.load.Add(-1)
	if id, err := dbos.GetWorkflowID(ctx); err == nil {
		e.starting.Delete(id)
	}
	p, err := e.pickUp(ctx, runID)
	if err == nil {
		defer p.release()
		status := e.work(ctx, p)
		if p.rest != nil && e.giveBack(ctx, p) {
			return "rests", nil
		}
		if status.Terminal() || errors.Is(p.failed(), db.ErrFenced) || e.refused(ctx, p) {
			return string(status), nil
		}
		// Not ended and still ours: the process is stopping, or its disk has refused a write. Returning an outcome
		// now would be recorded as the workflow's end, so wait for the shutdown, which leaves it to the next process.
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "ended", nil // cancelled, deleted, or cannot be worked: pickUp has recorded it
}

// startSoon hands pending runs that were just committed to the workflow engine, without making the
// caller wait. The same run and epoch twice is one workflow.
func (e *Engine) startSoon(runs ...db.Run) {
	e.hub.lists.nudge()
	if !e.launched.Load() {
		return // the sweeper of the next start finds them
	}
	e.load.Add(int64(len(runs)))
	for _, r := range runs {
		e.starting.Store(workflowID(r), time.Now())
	}
	e.wg.Go(func() {
		for _, r := range runs {
			_, err := dbos.RunWorkflow(e.dbos, e.workflow, r.ID, dbos.WithWorkflowID(workflowID(r)))
			e.load.Add(-1)
			if err != nil {
				if p, ok := e.fresh.LoadAndDelete(r.ID); ok {
					p.(*progress).release()
				}
				e.starting.Delete(workflowID(r))
				e.log.Error("start run", "run_id", r.ID, "error", err)
			}
		}
	})
}

// workflowID names one start of a run.
func workflowID(r db.Run) string { return fmt.Sprintf("%s:%d", r.ID, r.Epoch) }

var (
	errStopping  = errors.New("the process is stopping")
	errAwaits    = errors.New("another run is waited for")
	errCancelled = errors.New("cancelled by a person")
)

// quiet lets the workflow library's warnings and errors through, not its chatter.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(levelHandler{log.Handler(), slog.LevelWarn}).With("component", "dbos")
}

type levelHandler struct {
	slog.Handler
	level slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}
func (h levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(a), h.level}
}
func (h levelHandler) WithGroup(n string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(n), h.level}
}
