package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/db"
	"penstock/engine/cron"
	"penstock/fault"
)

const (
	// punctual is how late a tick may be started; after that it is a matter of catch_up.
	punctual = 15 * time.Second
	// clockBack is how far the clock must have been put back for schedules to follow it.
	clockBack = 10 * time.Minute
	// manyTicks is how many missed ticks are passed over at a time.
	manyTicks = 10_000
	// tickKey begins the idempotency keys of scheduled runs: no caller may use it.
	tickKey = "schedule:"
)

// followSchedules starts the runs of schedules. Every process does: a tick belongs to the one that moves the
// schedule's row.
func (e *Engine) followSchedules(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second - time.Duration(e.o.Clock().Nanosecond())): // ticks are at whole seconds
		}
		if !e.launched.Load() {
			continue
		}
		e.note("start what is scheduled", e.startDue(ctx))
	}
}

// startDue does what is due now.
func (e *Engine) startDue(ctx context.Context) error {
	now := e.o.Clock()
	due, err := e.store.DueSchedules(ctx, now, now.Add(clockBack))
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, s := range due {
		group.Go(func() error {
			e.note(fmt.Sprintf("start the schedule %s of %s", s.Entry, s.DefinitionName), e.follow(ctx, s, now))
			return nil // the others go on
		})
	}
	return group.Wait()
}

// follow does what is due of one schedule.
func (e *Engine) follow(ctx context.Context, s db.Schedule, now time.Time) error {
	times, err := timesOf(s)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		going, err := e.goingOn(ctx, s.LastRunID)
		if err != nil {
			return err
		}
		m := nextMove(s, times, now, going)
		if m == nil {
			return nil
		}
		if m.cancel {
			zone, err := cron.Zone(s.TimeZone)
			if err != nil {
				return err
			}
			reason := fmt.Sprintf("the time %s has come", m.tick.In(zone).Format(time.RFC3339))
			if _, err := e.Cancel(ctx, going.ID, reason, "its schedule"); err != nil && !fault.Is(err, fault.Conflict) {
				return err
			}
		}
		var run *db.Run
		if !m.tick.IsZero() {
			if run, err = e.scheduledRun(ctx, s, m.tick, now); err != nil {
				return err
			}
		}
		started, err := e.store.MoveSchedule(ctx, m.to, run)
		if fault.Is(err, fault.Conflict) {
			return nil // another process is at it, or the definition was saved
		}
		if err != nil {
			return err
		}
		s = m.to
		if started {
			e.startSoon(*run)
			s.LastRunID, s.LastTick = run.ID, m.tick
		}
		s.Revision++
	}
	return ctx.Err()
}

// goingOn returns a run that has not ended, else nil. Retention may have removed it.
func (e *Engine) goingOn(ctx context.Context, id string) (*db.Run, error) {
	if id == "" {
		return nil, nil
	}
	run, err := e.store.Run(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && run.Status.Terminal() {
		return nil, nil
	}
	return run, err
}

// scheduledRun is the run of a tick. That the definition is still active is certain once the schedule's row
// has moved.
func (e *Engine) scheduledRun(ctx context.Context, s db.Schedule, tick, now time.Time) (*db.Run, error) {
	zone, err := cron.Zone(s.TimeZone)
	if err != nil {
		return nil, err
	}
	def, err := e.store.DefinitionByID(ctx, s.DefinitionID)
	if err != nil {
		return nil, err
	}
	version, err := e.store.DefinitionVersionByNumber(ctx, def.ID, def.Version)
	if err != nil {
		return nil, err
	}
	payload := map[string]json.RawMessage{}
	if len(s.Payload) > 0 {
		if err := json.Unmarshal(s.Payload, &payload); err != nil {
			return nil, err
		}
	}
	if payload["schedule"], err = json.Marshal(map[string]string{
		"cron": s.Cron, "time_zone": s.TimeZone, "tick": tick.In(zone).Format(time.RFC3339),
	}); err != nil {
		return nil, err
	}
	run := newRun(def, version.ID, now.UTC().Truncate(time.Microsecond))
	run.TraceID, run.Source, run.Environment, run.Trigger = newID(), "schedule", s.Environment, db.TriggerSchedule
	run.ScheduledAt, run.IdempotencyKey = tick, tickKey+s.Entry+"@"+tick.UTC().Format(time.RFC3339)
	run.Payload, err = json.Marshal(payload)
	return &run, err
}

// move is a step of a schedule.
type move struct {
	to     db.Schedule
	tick   time.Time // starts a run; zero: none
	cancel bool      // of the last run, before
}

// nextMove decides what to do with a schedule now, nil if nothing. going is its last run if that has not ended.
func nextMove(s db.Schedule, times *cron.Schedule, now time.Time, going *db.Run) *move {
	m := &move{to: s}
	switch {
	case s.NextTick.IsZero():
		return nil
	case s.HandledUntil.After(now.Add(clockBack)):
		// The clock was put back. What has had its run keeps its idempotency key, what was passed over may come.
		m.to.HandledUntil, m.to.NextTick = now, times.Next(now)
		return m
	case !s.QueuedTick.IsZero() && going == nil:
		m.tick, m.to.QueuedTick = s.QueuedTick, time.Time{}
		return m
	case s.NextTick.After(now):
		return nil
	}
	tick, oldest := s.NextTick, now.Add(-time.Duration(s.CatchUpWindowSeconds)*time.Second)
	for n := 0; s.CatchUp != db.CatchUpAll || !tick.After(oldest); n++ { // to the newest that has come
		next := times.Next(tick)
		if next.After(now) || n == manyTicks {
			break
		}
		m.skip(tick, missed)
		tick = next
	}
	m.to.HandledUntil, m.to.NextTick = tick, times.Next(tick)
	late := now.Sub(tick) > punctual
	switch {
	case late && (s.CatchUp == db.CatchUpNone || !tick.After(oldest)) || s.CatchUp != db.CatchUpAll && !m.to.NextTick.After(now):
		m.skip(tick, missed)
	case going == nil:
		m.tick = tick
	case s.CatchUp == db.CatchUpAll && (late || going.CreatedAt.Sub(going.ScheduledAt) > punctual):
		return nil // it is catching up: one after another
	case s.Overlap == db.OverlapCancel:
		m.tick, m.cancel = tick, true
	case s.Overlap == db.OverlapQueue && s.QueuedTick.IsZero():
		m.to.QueuedTick = tick
	case s.Overlap == db.OverlapQueue:
		m.skip(tick, "The run before had not ended, and another one was waiting for that.")
	default:
		m.skip(tick, "The run before had not ended.")
	}
	return m
}

const missed = "Nobody could start it at the time: Penstock was not running, or its database did not answer."

func (m *move) skip(tick time.Time, reason string) {
	m.to.Skipped, m.to.SkippedTick, m.to.SkipReason = m.to.Skipped+1, tick, reason
}
