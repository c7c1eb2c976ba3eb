package engine

import (
	"context"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"penstock/db"
)

const (
	// The steps of housekeeping are short and leave pauses: what comes in goes first.
	largestStep = 500 // rows
	longestStep = 20 * time.Millisecond
	stepPause   = 50 * time.Millisecond

	logWorthHurry = 64 << 20 // bytes of SQLite's log that are emptied although there is work
)

// keepHouse forgets what is old, so that neither the tables nor the file grow for ever.
func (e *Engine) keepHouse(ctx context.Context) {
	tick := time.NewTicker(e.o.Tidy)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.starting.Range(func(id, at any) bool {
			if time.Since(at.(time.Time)) > startPatience {
				e.starting.Delete(id)
			}
			return true
		})
		for _, chore := range []struct {
			what string
			do   func(context.Context) error
		}{{"cancel runs that nothing waits for any more", e.cancelOutlived}, {"remove ended workflows", e.forgetWorkflows}, {"remove old changes", e.forgetChanges},
			{"delete what has expired", e.expire}, {"shrink the database", e.shrink}} {
			e.note(chore.what, chore.do(ctx))
		}
	}
}

// pause waits between two steps; false when ctx has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(stepPause):
		return true
	}
}

// forgetWorkflows removes the workflow library's rows of runs that ended a while ago; ours are the record. All
// its tables are covered: what hangs on a workflow goes with it.
func (e *Engine) forgetWorkflows(ctx context.Context) error {
	for {
		done, err := dbos.ListWorkflows(e.dbos,
			dbos.WithFilterCompletedBefore(time.Now().Add(-time.Minute)),
			dbos.WithFilterLimit(largestStep), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
		if err != nil || len(done) == 0 {
			return err
		}
		ids := make([]string, len(done))
		for i, w := range done {
			ids[i] = w.ID
		}
		if err := dbos.DeleteWorkflows(e.dbos, ids); err != nil || len(ids) < largestStep || !pause(ctx) {
			return err
		}
	}
}

// changesKept is how long somebody who follows a list may have been away and still miss nothing.
const changesKept = 2 * time.Hour

func (e *Engine) forgetChanges(ctx context.Context) error {
	for {
		n, err := e.store.ForgetChanges(ctx, time.Now().Add(-changesKept), largestStep)
		if err != nil || n < largestStep || !pause(ctx) {
			return err
		}
	}
}

// expire runs one pass of retention.
func (e *Engine) expire(ctx context.Context) error {
	for {
		x, over, err := e.expiry(ctx, time.Now())
		if err != nil || x == (db.Expiry{}) {
			return err
		}
		limit, gone := largestStep, 0
		for pass := e.store.Expire(x); ; {
			step, err := pass.Step(ctx, limit)
			if err != nil {
				return err
			}
			for table, n := range step.Rows {
				e.expired.add(table, int64(n))
				gone += n
			}
			if step.Done {
				break
			}
			switch {
			case step.Took > longestStep:
				limit = max(limit/2, 20)
			case step.Took < longestStep/2:
				limit = min(limit*2, largestStep)
			}
			if !pause(ctx) {
				return nil
			}
		}
		if !over || gone == 0 { // too large a store is looked at again
			return nil
		}
	}
}

// expiry is what may go now. over says that the store is larger than it may be: some of the oldest runs go then,
// whatever their age.
func (e *Engine) expiry(ctx context.Context, now time.Time) (x db.Expiry, over bool, err error) {
	r := e.o.Retain
	before := func(age time.Duration) (t time.Time) {
		if age > 0 {
			t = now.Add(-age)
		}
		return t
	}
	x = db.Expiry{Runs: before(r.Runs), Bodies: before(r.Bodies), Incidents: before(r.Incidents)}
	earlier := func(at time.Time) {
		if at.After(x.Runs) {
			x.Runs = at
		}
	}
	if r.MaxRuns > 0 {
		at, err := e.store.NthRunAt(ctx, r.MaxRuns-1) // the oldest of those that stay
		if err != nil {
			return x, false, err
		}
		earlier(at)
	}
	if r.MaxBytes > 0 && e.store.Dialect() == "sqlite" {
		size, err := e.store.Size(ctx)
		if err != nil {
			return x, false, err
		}
		if over = size.Used > r.MaxBytes; over {
			at, err := e.store.OldestRunAt(ctx, largestStep)
			if err != nil {
				return x, false, err
			}
			earlier(at)
		}
	}
	return x, over, nil
}

// shrink gives room back to the file system, on SQLite.
func (e *Engine) shrink(ctx context.Context) error {
	for {
		freed, err := e.store.Shrink(ctx)
		if err != nil {
			return err
		}
		if freed == 0 || !pause(ctx) {
			break
		}
	}
	size, err := e.store.Size(ctx)
	if err != nil || e.load.Load() > 0 && size.WAL < logWorthHurry {
		return err
	}
	return e.store.TruncateLog(ctx)
}
