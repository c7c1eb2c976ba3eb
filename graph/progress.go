package graph

import (
	"context"
	"encoding/base64"
	"iter"
	"strconv"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

// eventQueue is how many events may wait for a subscriber.
const eventQueue = 256

// snapshot is the run as it is, as the event before the next one that a subscriber gets.
func (r *Resolver) snapshot(ctx context.Context, runID string) (RunEvent, error) {
	seq, err := r.store.LastSequence(ctx, runID) // before the run: what is in between comes again
	if err != nil {
		return nil, err
	}
	run, err := r.store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	if run.Status.Terminal() {
		seq = max(seq-1, 0) // its end follows as an event of its own
	}
	return RunStatusChanged{progress{&db.RunEvent{RunID: runID, Sequence: seq, At: time.Now(), Status: string(run.Status)}}}, nil
}

// resume is the sequence after which a subscriber with this cursor goes on. A cursor beyond the run's
// last event, as after a restore of the store, goes on with what comes, or with the end.
func (r *Resolver) resume(ctx context.Context, runID, cursor string) (int64, error) {
	last, err := r.store.LastSequence(ctx, runID)
	if err != nil {
		return 0, err
	}
	run, err := r.store.Run(ctx, runID)
	if err != nil {
		return 0, err
	}
	from, err := openEventCursor(runID, cursor)
	if from > last {
		from = last
		if run.Status.Terminal() {
			from = max(last-1, 0)
		}
	}
	return from, err
}

// follow passes events on, after those in first, until the sequence ends or ctx does. A subscriber
// who leaves the queue full for longer than patience, and one for whom the events cannot be read, is
// told where to go on and let go.
func follow(ctx context.Context, runID string, from int64, first []RunEvent, events iter.Seq2[*db.RunEvent, error], patience time.Duration) <-chan RunEvent {
	out := make(chan RunEvent, eventQueue)
	for _, ev := range first {
		out <- ev
	}
	passed := from
	send := func(ev RunEvent) bool {
		if !pass(ctx, out, ev, patience) {
			return false
		}
		passed = ev.step().Sequence
		return true
	}
	go func() { // ends with ctx, which the transport cancels when the operation ends
		defer close(out)
		var end *db.RunEvent // an end is the run's last event, unless the run was retried
		for ev, err := range events {
			if err != nil || end != nil && !send(eventOf(end)) {
				resync(ctx, out, runID, passed)
				return
			}
			if end = nil; ev.Kind == engine.EventRun && db.RunStatus(ev.Status).Terminal() {
				end = ev
			} else if !send(eventOf(ev)) {
				resync(ctx, out, runID, passed)
				return
			}
		}
		if end != nil && !send(RunFinished{progress{end}}) {
			resync(ctx, out, runID, passed)
		}
	}()
	return out
}

// resync is the last event of a subscriber who is let go; it waits until there is room for it.
func resync(ctx context.Context, out chan<- RunEvent, runID string, passed int64) {
	select {
	case out <- ResyncRequired{progressAt(runID, passed, time.Now())}:
	case <-ctx.Done():
	}
}

// openEventCursor returns the sequence of a cursor of this run; "" is the start.
func openEventCursor(runID, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	of, number, _ := strings.Cut(string(raw), ":")
	seq, parseErr := strconv.ParseInt(number, 10, 64)
	if err != nil || parseErr != nil || of != runID || seq < 0 {
		return 0, fault.New(fault.Invalid, "`after` is not a cursor of this run. Leave it out to start with the run as it is.")
	}
	return seq, nil
}
