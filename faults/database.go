package main

import (
	"context"
	"time"

	"penstock/e2e/harness"
)

// databaseRestarts is R06: the database is stopped for a while, and killed. Meanwhile callers are answered 503.
func databaseRestarts(ctx context.Context, w *world) error {
	c, err := w.newCluster(ctx, "")
	if err != nil {
		return err
	}
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(100, 30), s)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	before, err := usedBy(ctx, s)
	if err != nil {
		return err
	}
	for range w.count(5, 1) {
		began := time.Now()
		if err := c.stop(ctx, "fast"); err != nil {
			return err
		}
		w.injected("pg_ctl stop -m fast")
		if err := w.away(ctx, s, f, began, w.span(60*time.Second, 6*time.Second), c.start); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		began = time.Now()
		if err := c.kill(); err != nil {
			return err
		}
		w.injected("kill -9 postmaster")
		if err := w.away(ctx, s, f, began, 0, c.start); err != nil {
			return err
		}
	}
	if err := w.settle(ctx, f, s); err != nil {
		w.problem("%v", err)
	}
	w.backToNormal(ctx, s, before)
	return w.finish(ctx, f, 50)
}

// away waits while the database is away, looks at the answers, gives it back and waits for work to go on.
func (w *world) away(ctx context.Context, s *harness.Server, f *feeder, began time.Time, wait time.Duration, back func(context.Context) error) error {
	if wait > 0 {
		if err := pause(ctx, wait/2); err != nil {
			return err
		}
		w.checkUnready(ctx, s)
		if err := pause(ctx, wait/2); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil { // what was sent has its answer by now
			return err
		}
		w.checkRefusals(f.between(began.Add(500*time.Millisecond), time.Now().Add(-2500*time.Millisecond)))
	}
	if err := back(ctx); err != nil {
		return err
	}
	returned := time.Now()
	at, err := f.firstOK(ctx, returned, 30*time.Second)
	if err != nil {
		w.problem("the database is back: %v", err)
		return nil
	}
	w.recovered("accepting again after the database was back", at.Sub(returned), 10*time.Second)
	return nil
}

// checkRefusals: whoever asked was answered 503 soon, and never hung.
func (w *world) checkRefusals(entries []entry) {
	slow, wrong := 0, 0
	for _, e := range entries {
		if e.TookMS > 2500 { // two seconds, and what a busy machine adds
			slow++
		}
		if e.Status != 503 {
			wrong++
		}
	}
	if len(entries) == 0 {
		w.problem("nothing was sent while the database was away")
	}
	if slow > 0 || wrong > 0 {
		w.problem("while the database was away, %d of %d requests were not answered within 2 s, and %d were not answered 503", slow, len(entries), wrong)
	}
}
