package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"penstock/db"
	"penstock/fault"
)

// Hub tells the subscribers of this process that a run has new events. Its Publish is given to
// db.Open as OnCommit, so it is called after every commit, in order. A subscriber that falls behind
// is only woken: it reads what it missed from the store, so nothing is lost and nobody blocks.
type Hub struct {
	lists *feed
	reads singleflight.Group // of events
	ends  singleflight.Group

	mu   sync.Mutex
	subs map[string]map[*subscriber]struct{} // by run id
}

// NewHub makes a hub without subscribers.
func NewHub() *Hub { return &Hub{lists: newFeed(), subs: map[string]map[*subscriber]struct{}{}} }

type subscriber struct {
	wake   chan struct{} // capacity 1
	mu     sync.Mutex
	events []*db.RunEvent // contiguous tail, at most queueLimit; cleared when it was not fetched in time
	taken  []*db.RunEvent // what events were at the last take: the memory of the next
	seq    int64          // highest sequence known to exist
	look   bool           // there may be more than that
}

const (
	queueLimit   = 256
	eventsAtOnce = 500
	perhaps      = -1 // as a sequence: there may be more than is known
)

// Publish passes committed events on and keeps them. It never blocks.
func (h *Hub) Publish(events []db.RunEvent) {
	h.lists.nudge()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		for s := range h.subs[events[i].RunID] {
			s.push(&events[i])
		}
	}
	for _, ev := range events { // after the last: what was committed together is taken together
		for s := range h.subs[ev.RunID] {
			nudge(s.wake)
		}
	}
}

// Wake is Publish for events another process committed: payload is a JSON list of "<run id>:<sequence>".
// An empty list says that something else changed which lists show.
func (h *Hub) Wake(payload string) {
	h.lists.nudge()
	var refs []string
	if json.Unmarshal([]byte(payload), &refs) != nil {
		return
	}
	for _, ref := range refs {
		if i := strings.LastIndexByte(ref, ':'); i >= 0 {
			seq, _ := strconv.ParseInt(ref[i+1:], 10, 64)
			h.exists(ref[:i], seq)
		}
	}
}

// Resync makes every subscriber look into the store: notifications may have been missed.
func (h *Hub) Resync() {
	h.lists.nudge()
	for _, id := range h.followed() {
		h.exists(id, perhaps)
	}
}

// followed are the runs that somebody follows.
func (h *Hub) followed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.subs))
}

// exists tells those who follow the run what [subscriber.exists] says.
func (h *Hub) exists(runID string, seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs[runID] {
		s.exists(seq)
	}
}

func (h *Hub) subscribe(runID string) (*subscriber, func()) {
	s := &subscriber{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.subs[runID] == nil {
		h.subs[runID] = map[*subscriber]struct{}{}
	}
	h.subs[runID][s] = struct{}{}
	h.mu.Unlock()
	return s, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs[runID], s)
		if len(h.subs[runID]) == 0 {
			delete(h.subs, runID)
		}
	}
}

// subscribers counts them.
func (h *Hub) subscribers() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, subs := range h.subs {
		n += len(subs)
	}
	return n
}

func (s *subscriber) push(ev *db.RunEvent) {
	s.mu.Lock()
	if n := len(s.events); n >= queueLimit || n > 0 && s.events[n-1].Sequence+1 != ev.Sequence {
		s.events = s.events[:0]
	}
	s.events = append(s.events, ev)
	s.seq = max(s.seq, ev.Sequence)
	s.mu.Unlock()
}

// exists notes that events up to seq are in the store. What is known already wakes nobody: a process
// hears of its own commits too.
func (s *subscriber) exists(seq int64) {
	s.mu.Lock()
	news := seq == perhaps || seq > s.seq
	s.look = s.look || seq == perhaps
	s.seq = max(s.seq, seq)
	s.mu.Unlock()
	if news {
		nudge(s.wake)
	}
}

// take returns the queued events that follow cursor directly, until the next take, and whether the store knows more: up
// to seq, or, if look, perhaps.
func (s *subscriber) take(cursor int64) (events []*db.RunEvent, seq int64, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, ev := range s.events {
		if ev.Sequence == cursor+1 {
			events = s.events[i:]
			break
		}
	}
	s.events, s.taken = s.taken[:0], s.events
	look, s.look = s.look, false
	return events, s.seq, look
}

// lookAfterEvents finds events that nobody was told of, as when a notification was lost with its connection.
func (e *Engine) lookAfterEvents(ctx context.Context) {
	every := time.NewTicker(5 * time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for runs := range slices.Chunk(e.hub.followed(), eventsAtOnce) {
			last, err := e.store.LastSequences(ctx, runs)
			e.note("look for events", err)
			for _, id := range runs {
				if seq, ok := last[id]; ok {
					e.hub.exists(id, seq)
				} else if err == nil { // it has none yet, or was removed
					e.hub.exists(id, perhaps)
				}
			}
		}
	}
}

// Watch yields the run's events after the given sequence (0: from the start), first what is stored,
// then what comes, without a gap and each once, and ends with the event that ended the run. It
// works whichever process works the run. It ends with an error when ctx does. All who watch a run share its events: they
// are not to be changed.
func (e *Engine) Watch(ctx context.Context, runID string, after int64) iter.Seq2[*db.RunEvent, error] {
	return func(yield func(*db.RunEvent, error) bool) {
		sub, leave := e.hub.subscribe(runID)
		defer leave()
		if _, err := e.store.Run(ctx, runID); err != nil {
			yield(nil, err)
			return
		}
		cursor, known, stored, ended := after, int64(0), true, false
		for {
			var events []*db.RunEvent
			read := stored
			if read {
				var err error
				if events, err = e.eventsAfter(ctx, runID, cursor, known); err != nil {
					yield(nil, err)
					return
				}
				stored = len(events) == eventsAtOnce
			} else {
				events, known, stored = sub.take(cursor)
				if stored {
					known = 0 // what a read that has begun finds does not do
				}
				stored = stored || known > cursor+int64(len(events))
			}
			for _, ev := range events {
				cursor = ev.Sequence
				if !yield(ev, nil) {
					return
				}
				ended = ev.Kind == EventRun && db.RunStatus(ev.Status).Terminal()
			}
			if ended && !read && !stored { // it came as it happened, and nothing after it
				return
			}
			if ended || read && len(events) == 0 { // a retried run goes on after an end
				if over, err := e.seenToEnd(ctx, runID, cursor); err != nil || over {
					if err != nil {
						yield(nil, err)
					}
					return
				}
				ended = false
			}
			if stored {
				continue
			}
			select {
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			case <-sub.wake:
			}
		}
	}
}

// eventsAfter reads events. Those who know of the same one at the same moment, as another process works the run, read it
// once; known is 0 for those who know of none.
func (e *Engine) eventsAfter(ctx context.Context, runID string, cursor, known int64) ([]*db.RunEvent, error) {
	if known <= cursor {
		return e.store.Events(ctx, runID, cursor, eventsAtOnce)
	}
	events, err, _ := e.hub.reads.Do(fmt.Sprintf("%s:%d:%d", runID, cursor, known), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return e.store.Events(ctx, runID, cursor, eventsAtOnce)
	})
	return events.([]*db.RunEvent), err
}

// seenToEnd reports whether the run has ended and the caller has seen its last event: a cursor at the end of a
// finished run would wait for ever. Those who see the same end at the same moment ask once.
func (e *Engine) seenToEnd(ctx context.Context, runID string, cursor int64) (bool, error) {
	over, err, _ := e.hub.ends.Do(runID+":"+strconv.FormatInt(cursor, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return e.store.RunEnded(ctx, runID, cursor)
	})
	return over == true, err
}

// Kinds of events. The status of a run or stage event is the new status; text is an error, a skip
// reason, a log line or a piece of streamed text.
const (
	EventRun   = "run"
	EventStage = "stage"
	EventLog   = "log"
	EventText  = "text"
)

// Wait returns the run's result when it has ended, or as it is when ctx ends first.
func (e *Engine) Wait(ctx context.Context, runID string) (RunResult, error) {
	for _, err := range e.Watch(ctx, runID, 0) {
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return RunResult{}, err
		}
	}
	read, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	result, err := e.Result(read, runID)
	if err != nil {
		return RunResult{}, fault.Wrap(err, fault.Of(err).Code, "%s", fault.Of(err).Message)
	}
	return result, nil
}
