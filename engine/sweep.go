package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos/internals"

	"penstock/db"
)

// sweep starts what is pending and old enough that nobody is starting it: after a crash between the
// commit and the start, and whatever was accepted while the process could not start it.
func (e *Engine) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := e.store.Ping(ctx)
		if err == nil && away {
			e.gates.startOver()
		}
		if away = err != nil; !away {
			err = e.sweepOnce(ctx)
		}
		if err == nil {
			err = e.watchSources(ctx)
		}
		if err == nil {
			e.beat(ctx)
		}
		e.note(lookForWork, err)
	}
}

func (e *Engine) sweepOnce(ctx context.Context) error {
	free := min(e.o.Backlog-int(e.load.Load()), 500)
	if free <= 0 || !e.launched.Load() || e.behind() {
		return nil
	}
	if err := e.routePending(ctx, free); err != nil {
		return err
	}
	runs, err := e.store.PendingRuns(ctx, time.Now().Add(-2*sweepEvery), free)
	if err == nil {
		var rested []db.Run
		rested, err = e.rested(ctx, free)
		runs = append(runs, rested...)
	}
	for _, r := range runs {
		if at, handed := e.starting.Load(workflowID(r)); !handed || time.Since(at.(time.Time)) > startPatience {
			e.startSoon(r)
		}
	}
	return err
}

const hearOthers = "hear other processes"

// listen holds this process's place among the executors on PostgreSQL, hears the events and cancels
// of the others, and takes over the runs of those that died. Wrong guesses are harmless: the epoch fences.
func (e *Engine) listen(ctx context.Context) {
	for ctx.Err() == nil {
		e.note(hearOthers, e.listenOnce(ctx))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (e *Engine) listenOnce(ctx context.Context) error {
	place, err := e.store.OpenExecutor(ctx, e.id)
	if err != nil {
		return err
	}
	defer place.Close()
	e.note(hearOthers, nil)
	e.hub.Resync() // what was committed elsewhere while nobody listened
	tick := time.NewTicker(takeoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case n, ok := <-place.Notifications:
			if !ok {
				return place.Err()
			}
			e.heard(n)
		case <-tick.C:
			dead, err := place.Dead(ctx, time.Now())
			if err != nil {
				return err
			}
			if len(dead) > 0 {
				if err := e.takeOver(dead); err != nil {
					return err
				}
			}
		}
	}
}

func (e *Engine) takeOver(dead []string) error {
	runtime, err := internals.RuntimeOf(e.dbos)
	if err != nil {
		return err
	}
	taken, err := runtime.RecoverPendingWorkflows(dead)
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	e.log.Warn("took over the runs of a process that ended or hangs", "executors", dead, "runs", len(taken))
	return nil
}

// heard acts on a notification of another process (or our own echo).
func (e *Engine) heard(n db.Notification) {
	switch n.Channel {
	case db.EventChannel:
		e.hub.Wake(n.Payload)
	case db.ControlChannel:
		if cancel, ok := e.live.Load(n.Payload); ok {
			(*cancel.(*context.CancelCauseFunc))(errCancelled)
		}
	}
}
