package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"penstock/e2e/harness"
)

// checker counts heartbeats, as a service outside does. It can go away and come back.
type checker struct {
	address string
	beats   atomic.Int64
	server  *http.Server
}

func (c *checker) listen() error {
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		return err
	}
	c.address = l.Addr().String()
	c.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { c.beats.Add(1) })}
	go func() { _ = c.server.Serve(l) }()
	return nil
}

// beating waits for two more heartbeats.
func (c *checker) beating(ctx context.Context) error {
	before := c.beats.Load()
	return until(ctx, "two heartbeats", 30*time.Second, func() (bool, error) { return c.beats.Load() > before+1, nil })
}

// heartbeat is R26: whatever keeps Penstock from working, the checker outside does not hear of it any more within
// three intervals.
func heartbeat(ctx context.Context, w *world) error {
	address, err := harness.FreeAddress()
	if err != nil {
		return err
	}
	c := &checker{address: address}
	if err := c.listen(); err != nil {
		return err
	}
	w.atEnd(func() error { return c.server.Close() })
	const interval = time.Second
	s, err := w.installation(ctx, "PENSTOCK_HEARTBEAT_URL=http://"+address+"/beat", "PENSTOCK_HEARTBEAT_INTERVAL="+interval.String())
	if err != nil {
		return err
	}
	w.Load = "1 heartbeat/s"
	var unlock func() error
	faults := []struct {
		name         string
		strike, heal func() error
	}{
		{"SIGSTOP", func() error { return s.Signal(syscall.SIGSTOP) }, func() error { return s.Signal(syscall.SIGCONT) }},
		{"database locked", func() (err error) {
			unlock, err = w.lockDatabase(ctx, "ACCESS EXCLUSIVE")
			return err
		}, func() error { return unlock() }},
		{"no way out", func() error { return c.server.Close() }, c.listen},
		{"kill -9", s.Kill, func() error {
			_, err := s.Start(ctx)
			return err
		}},
	}
	for _, f := range faults[:w.count(len(faults), 2)] {
		if err := c.beating(ctx); err != nil {
			w.problem("before %s: %v", f.name, err)
		}
		if err := f.strike(); err != nil {
			return err
		}
		w.injected(f.name)
		if err := pause(ctx, 3*interval); err != nil {
			return err
		}
		last := c.beats.Load()
		if err := pause(ctx, 4*interval); err != nil {
			return err
		}
		if n := c.beats.Load() - last; n > 0 {
			w.problem("%s: %d heartbeats later than three intervals after it", f.name, n)
		}
		healed := time.Now()
		if err := f.heal(); err != nil {
			return err
		}
		if err := c.beating(ctx); err != nil {
			w.problem("after %s: %v", f.name, err)
			continue
		}
		w.recovered("the heartbeat after "+f.name, time.Since(healed), 20*time.Second)
	}
	return s.Stop()
}

// silent is R27: a source from which something is expected falls silent, while Penstock is restarted: one alarm,
// which the next delivery resolves.
func silent(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	alarms, err := w.sink(ctx, s, "default")
	if err != nil {
		return err
	}
	const every, grace = 10 * time.Second, 2 * time.Second
	source := map[string]any{"driver": "alertmanager", "expect_every_seconds": every / time.Second, "grace_seconds": grace / time.Second}
	if err := s.Client.Call(ctx, http.MethodPut, "/orchestration/sources/watched/", source, nil); err != nil {
		return err
	}
	watchdog := []byte(strings.ReplaceAll(string(alertBody(1)), "DiskFull", "Watchdog"))
	deliver := func() error {
		return s.Client.Call(ctx, http.MethodPost, "/webhooks/watched/", json.RawMessage(watchdog), nil)
	}
	w.Load = "1 source"
	for range 2 {
		if err := deliver(); err != nil {
			return err
		}
		w.Accepted++
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	fellSilent := time.Now().Add(-2 * time.Second)
	if err := s.Kill(); err != nil {
		return err
	}
	w.injected("kill -9 while the source is silent")
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	firing := func() int { return told(alarms, `"alertname":"SourceSilent"`) }
	if err := until(ctx, "the alarm about the silent source", 40*time.Second, func() (bool, error) { return firing() > 0, nil }); err != nil {
		w.problem("%v", err)
	}
	took := time.Since(fellSilent)
	w.note("alarm %.1f s after the last delivery, expected every %s with a grace of %s", took.Seconds(), every, grace)
	if took < every+grace {
		w.problem("the alarm came after %s", took)
	}
	if err := pause(ctx, every); err != nil {
		return err
	}
	if n := firing(); n != 1 {
		w.problem("%d alarms about one silence, want one", n)
	}
	if err := deliver(); err != nil {
		return err
	}
	w.Accepted++
	if err := until(ctx, "the alarm is resolved", 30*time.Second, func() (bool, error) {
		return told(alarms, `"status":"resolved"`) > 0, nil
	}); err != nil {
		w.problem("%v", err)
	}
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	return s.Stop()
}
