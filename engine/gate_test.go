package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func enter(t *testing.T, g *gate) {
	t.Helper()
	if err := g.enter(t.Context(), nil, waiter{limit: time.Hour, told: func(string) {}, crowd: 1000}); err != nil {
		t.Fatal(err)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	broken := func(t *testing.T) *gate {
		g := &gate{channel: "ops"}
		for range breakAfter {
			enter(t, g)
			g.leave(passedFailed, "503", time.Second, 0)
		}
		return g
	}
	run := func(t *testing.T, name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { t.Parallel(); synctest.Test(t, test) })
	}
	run(t, "lets a few pass at a time", func(t *testing.T) {
		g := &gate{channel: "ops"}
		var inside atomic.Int32
		leave := make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				enter(t, g)
				inside.Add(1)
				<-leave
				g.leave(passedWorked, "", time.Second, 0)
			})
		}
		synctest.Wait()
		if n := inside.Load(); n != gateWidth {
			t.Errorf("%d are inside, want %d", n, gateWidth)
		}
		close(leave)
		wg.Wait()
	})
	run(t, "who answers promptly is asked by more at once, and a crowd there waits for this process", func(t *testing.T) {
		gs := &gates{}
		g := gs.of("ops")
		leave := make(chan time.Duration) // how long the receiver took
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if err := g.enter(t.Context(), nil, waiter{limit: time.Hour, told: func(string) {}, crowd: 20}); err != nil {
					t.Error(err)
				}
				g.leave(passedWorked, "", <-leave, 0)
			})
		}
		for n, took := range []time.Duration{0, time.Second} {
			for range 50 {
				leave <- took
			}
			synctest.Wait()
			want := []int{promptWidth, gateWidth}[n]
			if g.busy != want {
				t.Errorf("%d are inside when the receiver takes %s, want %d", g.busy, took, want)
			}
			if n == 0 && gs.behind(50, 200) {
				t.Error("behind after no time")
			}
			if behind := gs.behind(50, 100); behind != (took == 0) {
				t.Errorf("%d wait for a receiver that takes %s: behind is %t", g.waiting.Len(), took, behind)
			}
			time.Sleep(tooLate + 1)
			if behind := gs.behind(50, 200); behind != (took == 0) {
				t.Errorf("a crowd waits for a receiver that takes %s: behind is %t", took, behind)
			}
			if gs.startOver(); gs.behind(50, 200) {
				t.Error("behind as soon as the store is back")
			}
		}
		time.Sleep(2 * patience) // nobody leaves because of those before him
		for range breakAfter {
			g.leave(passedFailed, "503", 0, 0)
			g.busy++
		}
		if gs.behind(50, 200) {
			t.Error("behind, and the receiver is away")
		}
		g.forget()
		close(leave)
		wg.Wait()
	})
	run(t, "a receiver that refuses at once is not prompt", func(t *testing.T) {
		g := &gate{channel: "ops"}
		var tries atomic.Int32
		for range 50 {
			go func() {
				enter(t, g)
				tries.Add(1)
				time.Sleep(time.Millisecond)
				g.leave(passedFailed, "503", time.Millisecond, 0)
			}()
		}
		time.Sleep(probeBase / 4)
		if n := tries.Load(); n > gateWidth+breakAfter {
			t.Errorf("%d tried before it was clear that it is away, want %d at most", n, gateWidth+breakAfter)
		}
		g.forget()
		time.Sleep(time.Hour)
	})
	run(t, "after failures in a row one asks at a time, in growing intervals", func(t *testing.T) {
		g := broken(t)
		var tries atomic.Int32
		var works atomic.Bool
		began := time.Now()
		for range 50 {
			go func() {
				enter(t, g)
				tries.Add(1)
				if works.Load() {
					g.leave(passedWorked, "", time.Second, 0)
				} else {
					g.leave(passedFailed, "503", time.Second, 0)
				}
			}()
		}
		time.Sleep(10*time.Minute - time.Since(began))
		synctest.Wait()
		if n := tries.Load(); n < 8 || n > 30 {
			t.Errorf("%d probes in ten minutes, want about one a minute after the first few", n)
		}
		works.Store(true)
		time.Sleep(probeCap)
		synctest.Wait()
		if n := tries.Load(); n != 50 {
			t.Errorf("%d of 50 have passed after the first success", n)
		}
	})
	run(t, "answers of attempts that went together count once", func(t *testing.T) {
		g := &gate{channel: "ops"}
		for range gateWidth {
			enter(t, g)
		}
		for range gateWidth {
			g.leave(passedFailed, "timeout", time.Second, 0)
		}
		if g.gap != probeBase {
			t.Errorf("the gap is %v, want %v", g.gap, probeBase)
		}
	})
	run(t, "everybody waits as long as the receiver asks, within bounds", func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, 24 * time.Hour: longestRest} {
			g := &gate{channel: "ops"}
			enter(t, g)
			g.leave(passedFailed, "429", time.Second, asked)
			began := time.Now()
			enter(t, g)
			if waited := time.Since(began); waited != want {
				t.Errorf("asked for %v: waited %v, want %v", asked, waited, want)
			}
		}
	})
	run(t, "says why it waits, and stops with its context, the process or its patience", func(t *testing.T) {
		g := broken(t)
		enter(t, g) // the probe, which hangs
		ctx, cancel := context.WithCancelCause(t.Context())
		why := make(chan string, 1)
		done := make(chan error)
		go func() {
			done <- g.enter(ctx, nil, waiter{limit: time.Hour, told: func(w string) { why <- w }, crowd: 1000})
		}()
		if got := <-why; got == "" || g.waiting.Len() != 1 {
			t.Errorf("why %q, %d wait", got, g.waiting.Len())
		}
		cancel(errCancelled)
		if err := <-done; !errors.Is(err, errCancelled) || g.waiting.Len() != 0 {
			t.Errorf("%v, %d wait", err, g.waiting.Len())
		}
		stopping := make(chan struct{})
		close(stopping)
		if err := g.enter(t.Context(), stopping, waiter{limit: time.Hour}); !errors.Is(err, errStopping) {
			t.Error(err)
		}
		began := time.Now()
		if err := g.enter(t.Context(), nil, waiter{limit: time.Hour, told: func(string) {}, crowd: 1}); err != nil || time.Since(began) != time.Hour || g.busy != 2 {
			t.Errorf("%v after %v, %d inside", err, time.Since(began), g.busy)
		}
	})
	run(t, "what has a crowd before it need not wait here", func(t *testing.T) {
		g := broken(t)
		enter(t, g) // the probe, which hangs
		var told, left atomic.Int32
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 10 {
			wg.Go(func() {
				err := g.enter(ctx, nil, waiter{limit: time.Hour, told: func(string) { told.Add(1) }, crowd: 4})
				if errors.Is(err, errCrowded) {
					left.Add(1)
				}
			})
		}
		time.Sleep(time.Minute)
		gs := gates{all: map[string]*gate{"ops": g}}
		if told.Load() != 10 || left.Load() != 6 || g.waiting.Len() != 4 || len(gs.full(8)) != 0 || len(gs.full(7)) != 1 {
			t.Errorf("%d have been told, %d have left, %d wait, full %v", told.Load(), left.Load(), g.waiting.Len(), gs.full(7))
		}
		cancel(errCancelled)
		wg.Wait()
	})
	run(t, "a refusal of one message is not a failure of the channel", func(t *testing.T) {
		g := &gate{channel: "ops"}
		for range 3 * breakAfter {
			enter(t, g)
			g.leave(passedRefused, "400", time.Second, 0)
		}
		if g.failures != 0 || !g.rest.IsZero() {
			t.Errorf("%d failures, rest until %v", g.failures, g.rest)
		}
	})
}
