package db

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"penstock/fault"
)

const (
	taskQueue     = 1024 // a full queue is answered at once: the sender tries again later
	runQueue      = 8192 // run writes that wait in memory while the database is away
	batchLimit    = 256
	acceptTimeout = 2 * time.Second
)

// writer commits what has gathered while the previous commit was under way: under load many writes share one
// fsync, without load a write does not wait for others. There is no timer. A batch is one transaction; all
// writes of a kind are one statement per table. SQLite has one writer; PostgreSQL has one per kind, so that
// nearly every batch is of one kind and goes to the server as one text, in one round trip.
type writer struct {
	store   *Store
	tasks   chan *task // acceptances, starts, closures: answered by the first attempt
	runs    chan *task // run writes: tried until they are committed, in order
	stopped chan struct{}
}

// task is one write that somebody may wait for. Exactly one of closure, accept, start and run is set.
type task struct {
	closure func(*Tx) error
	accept  *Acceptance
	start   *runStart
	run     *RunWrite

	state    atomic.Int32
	again    bool // an earlier attempt may have been committed
	err      error
	panicked any
	done     chan struct{}
}

const (
	taskQueued = iota
	taskBegun
	taskSkipped // the caller has gone before it began
)

func newWriter(s *Store) *writer {
	return &writer{store: s, tasks: make(chan *task, taskQueue), runs: make(chan *task, runQueue), stopped: make(chan struct{})}
}

// do queues t and waits for its outcome. A task that has not begun when ctx ends is skipped.
func (w *writer) do(ctx context.Context, t *task) error {
	t.done = make(chan struct{})
	select {
	case w.tasks <- t:
	default:
		return &fault.Error{Code: fault.Unavailable, Message: "The database cannot keep up. Try again in a few seconds.", Err: down{errors.New("the queue of writes is full")}, After: retryAfter}
	}
	select {
	case <-t.done:
	case <-w.stopped:
		return ErrClosed
	case <-ctx.Done():
		if t.state.CompareAndSwap(taskQueued, taskSkipped) || t.closure == nil {
			return ctx.Err()
		}
		<-t.done // the closure runs and uses what belongs to the caller
	}
	if t.panicked != nil {
		panic(t.panicked)
	}
	return t.err
}

// run commits batches until ctx ends, and then once more what is queued.
func (w *writer) run(ctx context.Context) {
	defer close(w.stopped)
	var wait time.Duration
	var left []*task // what could not be committed yet, in order
	for {
		batch := left
		if len(left) == 0 {
			select {
			case t := <-w.tasks:
				batch = []*task{t}
			case t := <-w.runs:
				batch = []*task{t}
			case <-ctx.Done():
			}
		} else {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		left = w.store.commit(w.gather(batch))
		wait = min(max(2*wait, 20*time.Millisecond), time.Second)
		if len(left) == 0 {
			wait = 0
		}
		if ctx.Err() != nil && (len(left) > 0 || len(w.tasks)+len(w.runs) == 0) {
			for ; len(left) > 0; left = w.gather(nil) {
				for _, t := range left {
					t.answer(ErrClosed)
				}
			}
			return
		}
	}
}

// gather adds what is queued: all tasks, and run writes as far as the batch has room.
func (w *writer) gather(batch []*task) []*task {
	for more := true; more; {
		select {
		case t := <-w.tasks:
			batch = append(batch, t)
		default:
			more = false
		}
	}
	for len(batch) < batchLimit {
		select {
		case t := <-w.runs:
			batch = append(batch, t)
		default:
			return batch
		}
	}
	return batch
}

// commit writes the batch and answers its tasks. It returns what waits for the database.
func (s *Store) commit(batch []*task) (left []*task) {
	rest, down := s.attempt(batch)
	if down != nil {
		return rest
	}
	for i, t := range rest {
		if left, down := s.attempt([]*task{t}); down != nil {
			return append(left, postpone(rest[i+1:], down)...)
		}
	}
	return nil
}

// attempt writes the batch in one transaction. If the database cannot work, down is set and rest is what is
// to be tried again; otherwise rest is the tasks that were refused together and want to be tried alone,
// so that one bad write harms no other.
func (s *Store) attempt(batch []*task) (rest []*task, down error) {
	all := units(batch)
	if len(all) == 0 {
		return nil, nil
	}
	events, err := s.writerTx(all)
	if _, down := unavailable(err); down {
		return postpone(batch, err), err
	}
	for _, u := range all {
		switch {
		case u.err != nil && len(u.tasks) > 1:
			rest = append(rest, u.tasks...)
		case u.err != nil:
			u.tasks[0].answer(u.err)
		default:
			for _, t := range u.tasks {
				if err != nil { // the transaction as a whole was refused
					t.err = err
				}
				t.answer(t.err)
			}
		}
	}
	if s.onCommit != nil && len(events) > 0 {
		s.onCommit(events)
	}
	return rest, nil
}

// postpone answers tasks with err, except run writes, and acceptances whose connection was lost for the first
// time: they are returned, to be tried again.
func postpone(ts []*task, err error) (left []*task) {
	for _, t := range ts {
		switch {
		case t.run != nil, t.accept != nil && !t.again && isLost(err):
			t.again, t.err = true, nil
			left = append(left, t)
		case t.begun():
			t.answer(err)
		}
	}
	return left
}

func (t *task) answer(err error) {
	t.err = err
	close(t.done)
}

func (t *task) begun() bool {
	return t.state.CompareAndSwap(taskQueued, taskBegun) || t.state.Load() == taskBegun
}

// unit is the tasks of a batch that are written together: all of one kind, or one closure.
type unit struct {
	tasks   []*task
	write   func(*Tx, []*task) error
	oneText bool // write sends all that it changes in one text
	err     error
}

// units sorts a batch and leaves out the tasks whose caller has gone.
func units(batch []*task) (all []*unit) {
	accepts := &unit{write: (*Tx).writeAcceptances, oneText: true}
	starts := &unit{write: (*Tx).writeStarts, oneText: true}
	runs := &unit{write: (*Tx).writeRuns, oneText: true}
	for _, t := range batch {
		switch {
		case !t.begun():
		case t.accept != nil:
			accepts.tasks = append(accepts.tasks, t)
		case t.start != nil:
			starts.tasks = append(starts.tasks, t)
		case t.run != nil:
			runs.tasks = append(runs.tasks, t)
		default:
			all = append(all, &unit{tasks: []*task{t}, write: (*Tx).writeClosure})
		}
	}
	for _, u := range []*unit{accepts, starts, runs} {
		if len(u.tasks) > 0 {
			all = append(all, u)
		}
	}
	return all
}

func (tx *Tx) writeClosure(ts []*task) (err error) {
	defer func() {
		if p := recover(); p != nil { // it is the caller's: raised again in do
			ts[0].panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return ts[0].closure(tx)
}
