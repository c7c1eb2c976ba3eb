package engine

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"penstock/db"
)

const (
	gateWidth   = 8  // attempts at once to one channel
	promptWidth = 32 // to one whose receiver answers promptly
	promptly    = 250 * time.Millisecond
	breakAfter  = 5           // failures in a row that may pass
	probeBase   = time.Second // the first wait of an open breaker, doubled by every probe that fails
	probeCap    = time.Minute
	patience    = time.Second     // a shorter wait for a channel is not worth a word
	alarmAfter  = 5 * time.Minute // a channel that fails this long is reported
	tooLate     = 5 * time.Second // where messages wait this long for a prompt receiver, it is for this process
	longestRest = 5 * time.Minute // however long a receiver asks everyone to wait
)

// gate is this process's way to one channel. It lets a few attempts pass at a time, so that a channel
// that hangs keeps a few workers and no more; some more while its receiver answers promptly. After
// failures in a row it is open like a circuit breaker: one attempt at a time asks, in growing intervals,
// and the others wait without a worker. The first success closes it.
type gate struct {
	channel string

	mu       sync.Mutex
	busy     int
	waiting  list.List // of *turn
	turns    int       // that have ever waited
	failures int       // in a row
	since    time.Time // of the first of them
	reason   string    // of the last of them
	rest     time.Time // nobody passes before
	gap      time.Duration
	wake     *time.Timer   // of the end of the rest, nil if nobody waits for it
	answers  time.Duration // how long the receiver takes to answer, smoothed; 0: not known

	worked time.Time // last success
}

// gates are the gates by channel.
type gates struct {
	mu   sync.Mutex
	all  map[string]*gate
	seen map[string]*db.ChannelState // what the store said of channels a moment ago
	rest map[string]int              // and how many runs rest until their turn
}

func (gs *gates) of(channel string) *gate {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.all[channel]
	if g == nil {
		g = &gate{channel: channel}
		if gs.all == nil {
			gs.all = map[string]*gate{}
		}
		gs.all[channel] = g
	}
	return g
}

// full are the channels for which so many wait here that no more are wanted.
func (gs *gates) full(crowd int) (channels []string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for name, g := range gs.all {
		g.mu.Lock()
		if g.waiting.Len() > crowd/2 {
			channels = append(channels, name)
		}
		g.mu.Unlock()
	}
	return channels
}

// behind reports whether so many wait for a receiver that answers promptly, and the first of them too long, or too many
// for all that do: it is this process that cannot keep up.
func (gs *gates) behind(crowd, most int) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	waiting := 0
	for _, g := range gs.all {
		late := false
		g.mu.Lock()
		if g.prompt() {
			waiting += g.waiting.Len()
			late = g.waiting.Len() >= crowd && time.Since(g.waiting.Front().Value.(*turn).since) > tooLate
		}
		g.mu.Unlock()
		if late {
			return true
		}
	}
	return waiting >= most
}

// startOver takes all who wait as having come now: nobody could pass while the store was away.
func (gs *gates) startOver() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	now := time.Now()
	for _, g := range gs.all {
		g.mu.Lock()
		for place := g.waiting.Front(); place != nil; place = place.Next() {
			place.Value.(*turn).since = now
		}
		g.mu.Unlock()
	}
}

// prompt reports whether the receiver takes what it is sent, at once. The caller holds mu.
func (g *gate) prompt() bool {
	return g.answers > 0 && g.answers < promptly && g.failures < breakAfter && !time.Now().Before(g.rest)
}

// turn is an attempt that waits.
type turn struct {
	number int
	since  time.Time
	passes chan struct{} // closed when it may pass
}

// waiter is how an attempt waits for a channel.
type waiter struct {
	limit time.Duration    // then its one attempt decides: it has waited as long as messages are tried
	told  func(why string) // called once if it takes longer than a moment
	crowd int              // if it takes that long, and so many wait before it, it leaves with errCrowded
}

// errCrowded says that so many wait for a channel that they need not all wait in memory.
var errCrowded = errors.New("many wait before it")

// passed is how an attempt left the gate.
type passed int

const (
	passedUnused  passed = iota // nothing was sent
	passedWorked                // the receiver took the message
	passedRefused               // the receiver answered, but will never take this message
	passedFailed                // it may work later
)

// enter waits until an attempt may pass.
func (g *gate) enter(ctx context.Context, stopping <-chan struct{}, w waiter) error {
	g.mu.Lock()
	g.turns++
	mine := &turn{g.turns, time.Now(), make(chan struct{})}
	place := g.waiting.PushBack(mine)
	g.dispatch()
	g.mu.Unlock()
	select {
	case <-mine.passes:
		return nil
	default:
	}
	word, end := time.NewTimer(patience), time.NewTimer(w.limit)
	defer word.Stop()
	defer end.Stop()
	for {
		var err error
		select {
		case <-mine.passes:
			return nil
		case <-word.C:
			w.told(g.why())
			if !g.crowded(mine, w.crowd) {
				continue
			}
			err = errCrowded
		case <-end.C:
			g.mu.Lock()
			g.pass(place)
			g.mu.Unlock()
			return nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-stopping:
			err = errStopping
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		select {
		case <-mine.passes: // at the same moment
			g.busy--
			g.dispatch()
		default:
			g.waiting.Remove(place)
		}
		return err
	}
}

// crowded reports whether a crowd waits before an attempt. Where the receiver is prompt none does: it passes soon, and
// no more are let in meanwhile.
func (g *gate) crowded(t *turn, crowd int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.prompt() && g.waiting.Len() > 0 && t.number-g.waiting.Front().Value.(*turn).number >= crowd
}

// pass lets one attempt through, unless it has passed already. The caller holds mu.
func (g *gate) pass(place *list.Element) {
	passes := place.Value.(*turn).passes
	select {
	case <-passes:
	default:
		g.waiting.Remove(place)
		g.busy++
		close(passes)
	}
}

// dispatch lets through whoever may pass. The caller holds mu.
func (g *gate) dispatch() {
	width := gateWidth
	switch {
	case g.failures >= breakAfter:
		width = 1
	case g.prompt():
		width = promptWidth
	}
	for g.waiting.Len() > 0 && g.busy < width {
		if rest := time.Until(g.rest); rest > 0 {
			if g.wake == nil {
				g.wake = time.AfterFunc(rest, func() {
					g.mu.Lock()
					defer g.mu.Unlock()
					g.wake = nil
					g.dispatch()
				})
			}
			return
		}
		g.pass(g.waiting.Front())
	}
}

// leave ends what [gate.enter] began. answered is how long the receiver took, after how long it wants everyone to wait.
func (g *gate) leave(how passed, reason string, answered, after time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	now := time.Now()
	if how != passedUnused && (g.answers > 0 || how != passedFailed) { // one that only ever refuses quickly is not prompt
		answered = max(answered, 1)
		g.answers = cmp.Or(g.answers, answered)
		g.answers += (answered - g.answers) / 8
	}
	switch how {
	case passedWorked:
		g.failures, g.gap, g.rest, g.worked = 0, 0, time.Time{}, now
		g.stopWake()
	case passedRefused: // it answers
		g.failures, g.gap = 0, 0
	case passedFailed:
		if g.failures++; g.failures == 1 {
			g.since = now
		}
		g.reason = reason
		if g.failures >= breakAfter && !now.Before(g.rest) { // later answers of attempts that went together count once
			g.gap = min(max(2*g.gap, probeBase), probeCap)
			g.rest = now.Add(g.gap/2 + rand.N(g.gap/2+1))
		}
		if asked := now.Add(min(after, longestRest)); asked.After(g.rest) {
			g.rest = asked
		}
	}
	g.dispatch()
}

func (g *gate) stopWake() {
	if g.wake != nil {
		g.wake.Stop()
		g.wake = nil
	}
}

// why says in words why attempts wait.
func (g *gate) why() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failures >= breakAfter:
		return fmt.Sprintf("The channel %s has failed since %s: %s", g.channel, g.since.UTC().Format(time.RFC3339), g.reason)
	case time.Now().Before(g.rest):
		return fmt.Sprintf("The channel %s asked to wait until %s: %s", g.channel, g.rest.UTC().Format(time.RFC3339), g.reason)
	}
	return fmt.Sprintf("The channel %s is busy: %d messages are being sent and %d wait.", g.channel, g.busy, g.waiting.Len())
}

// trouble says why one attempt at a time asks, "" if it does not.
func (g *gate) trouble() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures < breakAfter {
		return ""
	}
	return g.reason
}

// forget starts anew: a person has changed the channel, or seen it work.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.gap, g.rest = 0, 0, time.Time{}
	g.stopWake()
	g.dispatch()
}
