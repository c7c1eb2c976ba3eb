package engine

import (
	"sync"
	"time"

	"penstock/db"
)

// tellAgain is how often the log repeats that something still fails.
const tellAgain = time.Minute

// troubles are the chores of the engine that fail at the moment. What is tried again every second would fill the
// log while a database is away: it is told when it begins, once a minute, and when it is over.
type troubles struct {
	mu   sync.Mutex
	open map[string]trouble // by chore
}

type trouble struct{ since, told time.Time }

const lookForWork = "look for work"

// note takes down how an attempt at a chore ended. That the database cannot work is told of one chore only: of the
// sweeper, which looks at it first.
func (e *Engine) note(chore string, err error) {
	if err != nil && (e.life.Err() != nil || chore != lookForWork && db.IsDown(err)) {
		return
	}
	ts, now := &e.troubles, time.Now()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t, was := ts.open[chore]
	switch {
	case err == nil && was:
		delete(ts.open, chore)
		e.log.Warn("the engine goes on", "doing", chore, "after", now.Sub(t.since).Round(time.Millisecond))
	case err == nil || was && now.Sub(t.told) < tellAgain:
	default:
		if !was {
			t.since = now
		}
		t.told = now
		if ts.open == nil {
			ts.open = map[string]trouble{}
		}
		ts.open[chore] = t
		advice := "it is tried again by itself"
		if db.IsDown(err) {
			advice = "nothing accepted is lost, and work goes on by itself; see that the database runs, can be reached, has room and is not locked"
		}
		e.log.Error("the engine is held up", "doing", chore, "since", t.since.UTC().Format(time.RFC3339), "error", err, "advice", advice)
	}
}
