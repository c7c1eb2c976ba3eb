package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"penstock/db"
)

const changesAtOnce = 500

// RecordChange is a run or incident as it was found after a change. One of Run and Incident is set.
type RecordChange struct {
	At       db.Position
	Run      *db.Run // without its payload
	Incident *db.Incident
}

// feed reads the changes of all runs and incidents once per process and hands them to everybody who
// follows a list. It reads only while somebody does.
type feed struct {
	wake chan struct{} // capacity 1

	mu   sync.Mutex
	subs map[*follower]struct{}
	read db.Position // what the followers have been handed
}

type follower struct {
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	changes []RecordChange
	behind  bool // the queue was full: the store has what is missing
}

func newFeed() *feed {
	return &feed{wake: make(chan struct{}, 1), subs: map[*follower]struct{}{}}
}

// nudge says that something was committed. It never blocks.
func (f *feed) nudge() { nudge(f.wake) }

func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// join adds a follower: it is handed everything that is not in the store yet.
func (f *feed) join(ctx context.Context, store *db.Store) (*follower, func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs) == 0 {
		last, err := store.LastChange(ctx)
		if err != nil {
			return nil, nil, err
		}
		f.read = last
	}
	s := &follower{wake: make(chan struct{}, 1)}
	f.subs[s] = struct{}{}
	return s, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, s)
	}, nil
}

// run hands changes on until ctx ends. Commits of other processes and those that nobody announced are
// found within a second.
func (f *feed) run(ctx context.Context, e *Engine) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	again := make(<-chan time.Time) // never, unless there is more
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-look.C:
		case <-again:
		}
		again = nil
		more, err := f.hand(ctx, e)
		if more { // a transaction is open whose changes come first
			again = time.After(2 * time.Millisecond)
		}
		e.note("read what changed", err)
	}
}

func (f *feed) hand(ctx context.Context, e *Engine) (more bool, err error) {
	f.mu.Lock()
	from, followed := f.read, len(f.subs) > 0
	f.mu.Unlock()
	if !followed {
		return false, nil
	}
	changes, read, more, err := e.changesAfter(ctx, from)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != from { // everybody left, and somebody joined
		return true, nil
	}
	f.read = read
	for s := range f.subs {
		s.push(changes)
	}
	return more, nil
}

func (s *follower) push(changes []RecordChange) {
	if len(changes) == 0 {
		return
	}
	s.mu.Lock()
	if len(s.changes)+len(changes) > 2*changesAtOnce {
		s.changes, s.behind = nil, true
	}
	if !s.behind {
		s.changes = append(s.changes, changes...)
	}
	s.mu.Unlock()
	nudge(s.wake)
}

func (s *follower) take() (changes []RecordChange, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, behind = s.changes, s.behind
	s.changes, s.behind = nil, false
	return changes, behind
}

// changesAfter reads the next changes with the records as they are now, each record once.
func (e *Engine) changesAfter(ctx context.Context, from db.Position) (list []RecordChange, read db.Position, more bool, err error) {
	changes, more, err := e.store.Changes(ctx, from, changesAtOnce)
	if err != nil || len(changes) == 0 {
		return nil, from, more, err
	}
	last := map[string]int{}
	ids := map[db.Topic][]string{}
	for i, c := range changes {
		if _, twice := last[c.ID]; !twice {
			ids[c.Topic] = append(ids[c.Topic], c.ID)
		}
		last[c.ID] = i
	}
	var runs map[string]*db.Run
	var incidents map[string]*db.Incident
	if len(ids[db.TopicRun]) > 0 {
		if runs, err = e.store.RunsByID(ctx, ids[db.TopicRun]); err != nil {
			return nil, from, false, err
		}
	}
	if len(ids[db.TopicIncident]) > 0 {
		if incidents, err = e.store.IncidentsByID(ctx, ids[db.TopicIncident]); err != nil {
			return nil, from, false, err
		}
	}
	for i, c := range changes {
		r := RecordChange{c.Position(), runs[c.ID], incidents[c.ID]}
		if last[c.ID] == i && (r.Run != nil || r.Incident != nil) { // neither: it was removed
			list = append(list, r)
		}
	}
	return list, changes[len(changes)-1].Position(), more, nil
}

// WatchChanges yields runs and incidents as they change, first those that changed after the position,
// then live, whichever process changed them. Each change is seen, but several of one record that
// follow each other quickly may come as one. It ends with [db.ErrChangesGone] and the newest position when
// what came after the position is no longer kept, and with an error when ctx ends.
func (e *Engine) WatchChanges(ctx context.Context, after db.Position) iter.Seq2[RecordChange, error] {
	return func(yield func(RecordChange, error) bool) {
		sub, leave, err := e.hub.lists.join(ctx, e.store)
		if err != nil {
			yield(RecordChange{}, err)
			return
		}
		defer leave()
		cursor, stored := after, true
		for {
			var changes []RecordChange
			read, more := cursor, false
			if stored {
				if changes, read, more, err = e.changesAfter(ctx, cursor); err == nil {
					err = e.store.CheckChanges(ctx, cursor)
				}
				if errors.Is(err, db.ErrChangesGone) {
					cursor, _ = e.store.LastChange(ctx) // best effort: the zero position is refused again
				}
				if err != nil {
					yield(RecordChange{At: cursor}, err)
					return
				}
				stored = more && read != cursor // what an open transaction holds up comes through the feed
			} else {
				changes, stored = sub.take()
				changes = slices.DeleteFunc(changes, func(c RecordChange) bool { return c.At.Compare(cursor) <= 0 })
				if n := len(changes); n > 0 {
					read = changes[n-1].At
				}
			}
			for _, c := range changes {
				if !yield(c, nil) {
					return
				}
			}
			cursor = read
			if stored || len(changes) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				yield(RecordChange{}, context.Cause(ctx))
				return
			case <-sub.wake:
			}
		}
	}
}

// incidentChanged tells those who follow lists, on every process, of a change that no run caused.
func (e *Engine) incidentChanged(ctx context.Context) {
	e.hub.lists.nudge()
	if err := e.store.Notify(ctx, db.EventChannel, "[]"); err != nil {
		e.log.Warn("tell other processes of a changed incident", "error", err)
	}
}
