package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"penstock/e2e/harness"
)

// killed is R01: kill -9 at random instants under load.
func killed(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(50, 30), s)
	if err != nil {
		return err
	}
	most := w.span(12*time.Second, 1200*time.Millisecond)
	for range w.count(50, 5) {
		if err := pause(ctx, between(50*time.Millisecond, most)); err != nil {
			return err
		}
		if err := s.Kill(); err != nil {
			return err
		}
		w.injected("kill -9")
		took, err := s.Start(ctx)
		if err != nil {
			return err
		}
		w.recovered("a start after a kill", took, 5*time.Second)
	}
	return w.finish(ctx, f, 30)
}

// underStrace makes a server whose system calls are interfered with, on an installation that is set up already.
func (w *world) underStrace(ctx context.Context, inject string) (*harness.Server, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return nil, notRun("strace is not installed")
	}
	return w.wrapped(ctx, []string{path, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject})
}

// killedAtFlush is R02: SIGKILL at the Nth flush to the disk, N = 1, 2, 3 …, so that every commit of a run is hit.
func killedAtFlush(ctx context.Context, w *world) error {
	plain, err := w.installation(ctx)
	if err != nil {
		return err
	}
	if err := plain.Stop(); err != nil {
		return err
	}
	w.Load = "1 alert a life"
	delivered := &feeder{}
	for n := 1; ; n++ {
		if n > 60 {
			return errors.New("after 60 kills the process still does not reach the end of a run")
		}
		s, err := w.underStrace(ctx, fmt.Sprintf("inject=fsync,fdatasync:signal=KILL:when=%d", n))
		if err != nil {
			return err
		}
		ended, err := w.oneLife(ctx, s, delivered, int64(n))
		if err != nil {
			return err
		}
		if ended {
			break
		}
		w.injected("SIGKILL at a flush")
	}
	// What the kills left behind is worked by the last life or by a calm one.
	if _, err := plain.Start(ctx); err != nil {
		return err
	}
	if err := w.settled(ctx, plain); err != nil {
		w.problem("%v", err)
	}
	if err := plain.Stop(); err != nil {
		return err
	}
	return w.check(ctx, delivered, 1)
}

// oneLife starts the process, delivers one alert and waits for its run. It reports whether the process lived to
// see the end of it.
func (w *world) oneLife(ctx context.Context, s *harness.Server, f *feeder, number int64) (ended bool, err error) {
	defer func() { err = errors.Join(err, s.Kill()) }()
	if _, err := s.Start(ctx); err != nil {
		if s.Alive() {
			return false, err
		}
		return false, nil
	}
	f.path = "/orchestration/pipeline/?definition=diamond"
	if f.post(s.Client, number, alertBody(number)).Outcome != outcomeOK {
		return false, nil
	}
	for s.Alive() {
		run, err := unfinished(ctx, s.Client)
		if err == nil && run == nil {
			return true, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return false, err
		}
	}
	return false, nil
}

// failingDisk is R03: from the Nth flush on the disk reports an error. Whoever asked is not told that it is
// done, and the process ends instead of going on with a file it cannot trust.
func failingDisk(ctx context.Context, w *world) error {
	plain, err := w.installation(ctx)
	if err != nil {
		return err
	}
	if err := plain.Stop(); err != nil {
		return err
	}
	w.Load = "10 alerts a life"
	f := &feeder{path: "/orchestration/pipeline/?definition=diamond"}
	var number int64
	for n := 1; n <= w.count(50, 15); n += w.count(1, 5) {
		s, err := w.underStrace(ctx, fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d+", n))
		if err != nil {
			return err
		}
		if _, err := s.Start(ctx); err != nil && s.Alive() {
			return err
		}
		w.injected("EIO from a flush on")
		last := number + 10
		for number < last && s.Alive() {
			number++
			f.post(s.Client, number, alertBody(number))
		}
		if s.Alive() { // nothing more to flush may happen by itself: ask for it until it ends
			for range 50 {
				number++
				if f.post(s.Client, number, alertBody(number)); !s.Alive() {
					break
				}
				if err := pause(ctx, 100*time.Millisecond); err != nil {
					return err
				}
			}
		}
		status, err := s.Wait(20 * time.Second)
		if err != nil {
			w.problem("EIO from flush %d on: %v", n, err)
		} else if status == 0 {
			w.problem("EIO from flush %d on: the process ended with status 0", n)
		}
	}
	if _, err := plain.Start(ctx); err != nil {
		return err
	}
	acknowledged := f.acknowledged()
	for n := int64(1); n <= number; n++ { // the senders come again with what was not acknowledged
		if acknowledged[n] == nil && f.post(plain.Client, n, alertBody(n)).Outcome != outcomeOK {
			w.problem("alert %d was refused after the disk was well again", n)
		}
	}
	if err := w.settled(ctx, plain); err != nil {
		w.problem("%v", err)
	}
	if err := plain.Stop(); err != nil {
		return err
	}
	return w.check(ctx, f, 10)
}
