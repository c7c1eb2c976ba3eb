package engine

import (
	"context"
	"time"

	"penstock/db"
)

// A run that only waits, for its next attempt, a channel or another run, does not stay in memory: it rests. Its workflow
// ends, the run stays running in the store and says until when, and the sweeper of any process starts it again, as
// after a crash. What waits for a channel goes on when this channel has room; some stay with its gate, which
// learns by them that the channel works again.

const (
	longestTurn = time.Hour       // after which a run that waits for a channel looks again by itself
	severalWait = 5 * time.Minute // the same for several channels: it may be the turn of one that does not call it
	awaitsFor   = 5 * time.Minute // the same for another run, should nobody wake it
)

// onlyWaits reports whether nothing is to be done for the run for a while, and notes how it rests. Nothing of it
// is running, and wake is when the first of its nodes goes on.
func (p *progress) onlyWaits(wake time.Time) bool {
	now := time.Now()
	if p.dry != nil || !wake.After(now) {
		return false
	}
	soon := now.Add(p.e.o.RestAfter)
	rest := db.Rest{Until: now.Add(longestTurn)}
	for _, st := range p.results {
		switch {
		case st.final || st.notBefore.Before(now): // nothing, or another node, is waited for
		case st.awaits:
			rest.Until = earlier(rest.Until, now.Add(awaitsFor))
		case st.crowd == "":
			rest.Until = earlier(rest.Until, st.notBefore)
		default:
			if rest.Channel != "" && rest.Channel != st.crowd {
				rest.Until = earlier(rest.Until, now.Add(severalWait))
			}
			rest.Channel = st.crowd
			rest.Until = earlier(rest.Until, st.asking.Add(p.e.o.NotifyRetryFor))
		}
	}
	if rest.Until.Before(soon) {
		return false
	}
	p.rest = &rest
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// waits reports whether a node of the run waits for another attempt, for its channel or for another run.
func (p *progress) waits() bool {
	for _, st := range p.results {
		if st.status == db.StageRetrying || !st.asking.IsZero() || !st.since.IsZero() {
			return true
		}
	}
	return false
}

// giveBack gives a run that rests back to the store. It reports false if that is not certain.
func (e *Engine) giveBack(ctx context.Context, p *progress) bool {
	p.write(db.RunWrite{Rest: p.rest})
	if p.flushed(ctx) != nil {
		return false
	}
	for id, st := range p.results {
		if !st.awaits {
			continue
		}
		// What ends from now on wakes this run as it ends; it may have ended before.
		if child, err := e.store.Run(ctx, subRunID(p.run.ID, id)); err == nil && child.Status.Terminal() {
			e.note("wake a run that waits for another", e.store.WakeRun(ctx, p.run.ID))
		}
	}
	return true
}

// rested returns the runs that are to go on. Those that are nearly due wait for the rest of their time here.
func (e *Engine) rested(ctx context.Context, limit int) ([]db.Run, error) {
	due, err := e.store.DueRuns(ctx, time.Now().Add(min(sweepEvery, e.o.RestAfter)), limit)
	if err != nil {
		return nil, err
	}
	called, err := e.store.RunsWaitingForChannels(ctx, e.gates.full(e.o.Crowd), min(limit, max(e.o.Crowd/2, 1)))
	return append(due, called...), err
}
