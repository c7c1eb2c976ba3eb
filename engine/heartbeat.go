package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"penstock/fault"
)

// Heartbeat says where to report that Penstock works. An outside checker raises the alarm when it hears nothing.
type Heartbeat struct {
	URL   string        // asked with GET; "" for none
	Every time.Duration // default 1 min
}

// Outcomes of a heartbeat.
const (
	beatSent     = "sent"
	beatFailed   = "failed"   // the checker was not reached or refused it
	beatWithheld = "withheld" // the engine does not work, so the checker shall raise the alarm
)

// Limits of a heartbeat: neither the proof nor the checker may hold the cycle for long.
const (
	proofTimeout = 5 * time.Second
	beatTimeout  = 10 * time.Second
)

// heart is the state of the heartbeat. The sweeper alone uses next, worked and silent.
type heart struct {
	next     time.Time
	worked   int64 // Engine.worked at the last beat
	ill      bool  // the last one was not sent, and the log knows
	sending  atomic.Bool
	lastSent atomic.Int64 // Unix seconds
	outcomes counts
}

// beat reports that the engine works, if it is time and it does. It is called by the sweeper after a pass over the
// store that succeeded: a heartbeat of a goroutine of its own would go on when nothing else does.
func (e *Engine) beat(ctx context.Context) {
	h := &e.heart
	if e.o.Heartbeat.URL == "" || time.Now().Before(h.next) || !e.launched.Load() {
		return
	}
	if err := e.proveWork(ctx); err != nil {
		h.outcomes.add(beatWithheld, 1)
		if !h.ill && ctx.Err() == nil {
			e.log.Error("the heartbeat is withheld: the engine does not work", "error", err)
		}
		h.ill = true
		return // the next pass tries again
	}
	h.next = time.Now().Add(e.o.Heartbeat.Every)
	if !h.sending.CompareAndSwap(false, true) {
		return // the last one is still under way
	}
	wasIll := h.ill
	h.ill = false
	e.wg.Go(func() {
		defer h.sending.Store(false)
		if err := e.sendBeat(ctx); err != nil {
			h.outcomes.add(beatFailed, 1)
			e.log.Warn("the heartbeat did not arrive", "error", err)
			return
		}
		h.outcomes.add(beatSent, 1)
		h.lastSent.Store(time.Now().Unix())
		if wasIll {
			e.log.Info("the heartbeat is sent again")
		}
	})
}

// proveWork takes a write through the store, a no-op through the intake, and looks whether stages get workers.
func (e *Engine) proveWork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	if err := e.store.TryWrite(ctx); err != nil {
		return err
	}
	through := make(chan struct{})
	select {
	case e.pulse <- through:
	case <-ctx.Done():
		return errors.New("the intake of alerts does not take anything")
	}
	<-through
	worked := e.worked.Load()
	select {
	case e.slots <- struct{}{}:
		<-e.slots
	default:
		if worked == e.heart.worked {
			return fmt.Errorf("all %d workers are busy, and none has finished a stage since the last heartbeat", cap(e.slots))
		}
	}
	e.heart.worked = worked
	return nil
}

// sendBeat asks the checker's address. The address may be a password: it stays out of errors.
func (e *Engine) sendBeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.o.Heartbeat.URL, nil)
	if err != nil {
		return errors.New("the address cannot be read")
	}
	r.Header.Set("User-Agent", "penstock")
	res, err := e.o.HTTP.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if f := fault.Of(err); f.Code != fault.Internal {
			return fmt.Errorf("%s PENSTOCK_ALLOW_PRIVATE_TARGETS lists private targets that may be reached", f.Message)
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 4096)
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the checker answered %s", res.Status)
	}
	return nil
}
