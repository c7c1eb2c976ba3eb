package engine

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/fault"
)

// counts counts per word.
type counts struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *counts) add(word string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[word] += n
}

func (c *counts) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Stats are figures of this process since its start.
type Stats struct {
	Version     string
	StartedAt   time.Time
	Load        int                  // runs in this process that have not ended
	Stages      int                  // stages that are being worked
	Workers     int                  // that may be worked at the same time
	Subscribers int                  // that follow a run live
	Deliveries  map[string]int64     // by outcome: accepted, no_alerts, rejected, unavailable
	Decisions   map[string]int64     // by outcome
	Expired     map[string]int64     // rows that retention deleted, by table
	Sources     map[string]db.Source // as they were some seconds ago
	Heartbeats  map[string]int64     // by outcome: sent, failed, withheld
	LastBeat    time.Time            // when the last was sent; zero if none was
	IntakeLag   *db.Histogram        // seconds from a delivery's arrival until its alerts were taken in
	LeftOut     int64                // alerts that senders said they left out of what they sent
}

// Stats returns the figures as they are now.
func (e *Engine) Stats() Stats {
	s := Stats{
		Version: e.o.Version, StartedAt: e.startedAt,
		Load: int(e.load.Load()), Stages: len(e.slots), Workers: cap(e.slots), Subscribers: e.hub.subscribers(),
		LeftOut: e.leftOut.Load(), Deliveries: e.received.all(), Decisions: e.decided.all(), Expired: e.expired.all(), IntakeLag: e.intakeLag,
		Sources: e.senders.all(), Heartbeats: e.heart.outcomes.all(),
	}
	if at := e.heart.lastSent.Load(); at != 0 {
		s.LastBeat = time.Unix(at, 0).UTC()
	}
	return s
}

const (
	deliveryAccepted    = "accepted"
	deliveryNoAlerts    = "no_alerts"
	deliveryRejected    = "rejected"    // a person must fix something
	deliveryUnavailable = "unavailable" // the sender is to try again
)

// countDelivery counts how a delivery was answered.
func (e *Engine) countDelivery(err error) {
	outcome := deliveryAccepted
	switch {
	case err == nil:
	case errors.Is(err, alerts.ErrNoAlerts):
		outcome = deliveryNoAlerts
	case fault.Is(err, fault.Unavailable):
		outcome = deliveryUnavailable
	default:
		outcome = deliveryRejected
	}
	e.received.add(outcome, 1)
}

// observeIntake measures how long a delivery waited. Its id says when it came; one of Penstock's own does not.
func (e *Engine) observeIntake(deliveryID string, now time.Time) {
	if id, err := uuid.Parse(deliveryID); err == nil && id.Version() == 7 {
		e.intakeLag.Observe(max(now.Sub(time.Unix(id.Time().UnixTime())).Seconds(), 0))
	}
}

// Status is how the whole installation is.
type Status struct {
	Database  string // sqlite or postgres
	Executors int    // processes that work
	Backlog   db.Backlog
	Size      db.Size
}

// stuckAfter is how long a run may be pending before nobody seems to work.
const stuckAfter = time.Minute

// lateAfter is how long a run may be under way before somebody should look at it: longer than a node may take.
const lateAfter = 10 * time.Minute

// LateRun is a run that has been under way for longer than it should.
type LateRun struct {
	db.Run
	WaitingFor   string
	WaitingSince time.Time
}

// LateRuns returns runs that nobody has started for a minute, and runs that have not ended after ten, the oldest
// of each first, at most limit of each.
func (e *Engine) LateRuns(ctx context.Context, limit int) ([]LateRun, error) {
	at := now()
	runs, err := e.store.LateRuns(ctx, db.RunPending, at.Add(-stuckAfter), limit)
	if err != nil {
		return nil, err
	}
	working, err := e.store.LateRuns(ctx, db.RunRunning, at.Add(-lateAfter), limit)
	if err != nil {
		return nil, err
	}
	runs = append(runs, working...)
	results, err := e.Results(ctx, runs)
	late := make([]LateRun, len(results))
	for i, r := range results {
		late[i] = LateRun{Run: runs[i], WaitingFor: *r.WaitingFor, WaitingSince: *r.WaitingSince}
	}
	return late, err
}

// Status asks the store how the installation is.
func (e *Engine) Status(ctx context.Context) (s Status, err error) {
	s.Database = e.store.Dialect()
	if s.Executors, err = e.store.CountExecutors(ctx); err != nil {
		return s, err
	}
	if s.Backlog, err = e.store.Backlog(ctx, time.Now().Add(-stuckAfter)); err != nil {
		return s, err
	}
	s.Size, err = e.store.Size(ctx)
	return s, err
}
