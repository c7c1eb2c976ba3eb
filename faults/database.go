package main

import (
	"context"
	"errors"
	"time"

	"penstock/e2e/harness"
)

// databaseRestarts is R06: the database is stopped for a while, and killed. Meanwhile callers are answered 503.
func databaseRestarts(ctx context.Context, w *world) error {
	c, err := w.newCluster(ctx, "")
	if err != nil {
		return err
	}
	s, f, err := w.underLoad(ctx, w.count(50, 30))
	if err != nil {
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
		if err := w.away(ctx, s, f, outage{began: began, lasts: w.span(60*time.Second, 6*time.Second), answered: 2500 * time.Millisecond}, c.start); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := c.kill(); err != nil {
			return err
		}
		w.injected("kill -9 postmaster")
		if err := w.away(ctx, s, f, outage{}, c.start); err != nil {
			return err
		}
	}
	if err := w.settle(ctx, f, s); err != nil {
		w.problem("%v", err)
	}
	w.backToNormal(ctx, s, before)
	return w.finish(ctx, f, 50)
}

// outage says how long the database is away and what is answered meanwhile.
type outage struct {
	began      time.Time
	lasts      time.Duration // 0: back at once, nobody looks
	answered   time.Duration // a request, with 503: the promise, and what a busy machine adds
	mayBeReady bool          // the process works, as far as it can tell
	mayAccept  bool          // some requests still find room
}

// away waits while the database is away, looks at the answers, gives it back and waits for work to go on.
func (w *world) away(ctx context.Context, s *harness.Server, f *feeder, o outage, back func(context.Context) error) error {
	if o.lasts > 0 {
		if err := pause(ctx, o.lasts); err != nil {
			return err
		}
		w.checkHealth(ctx, s, o.mayBeReady)
		w.checkRefusals(f.between(o.began.Add(500*time.Millisecond), time.Now().Add(-o.answered)), o)
	}
	if err := back(ctx); err != nil {
		return err
	}
	returned := time.Now()
	at, err := f.firstOK(ctx, returned, 30*time.Second)
	for _, e := range f.between(returned.Add(5*time.Second), time.Now()) {
		if e.Outcome != outcomeOK {
			w.note("5 s after the database was back alert %d was answered %d %s", e.Number, e.Status, e.Error)
			break
		}
	}
	if err != nil {
		w.problem("the database is back: %v", err)
		return nil
	}
	w.recovered("accepting again after the database was back", at.Sub(returned), 10*time.Second)
	return nil
}

// checkRefusals: whoever asked was answered 503 soon, and never hung.
func (w *world) checkRefusals(entries []entry, o outage) {
	slow, wrong, example := 0, 0, entry{}
	for _, e := range entries {
		if e.TookMS > float64(o.answered.Milliseconds()) {
			slow++
		}
		if o.mayAccept && e.Outcome == outcomeOK {
			continue
		}
		if e.Status != 503 || e.RetryAfter == "" {
			wrong++
			example = e
		}
	}
	if len(entries) == 0 {
		w.problem("nothing was sent while the database was away")
	}
	if slow > 0 || wrong > 0 {
		w.problem("while the database was away, %d of %d requests were not answered within %s, and %d were not answered 503 with Retry-After, e.g. %d: %s", slow, len(entries), o.answered, wrong, example.Status, example.Error)
	}
}

// sessionsEnded is R07: every second the server ends all sessions of the program.
func sessionsEnded(ctx context.Context, w *world) error {
	c, err := w.newCluster(ctx, "")
	if err != nil {
		return err
	}
	s, f, err := w.underLoad(ctx, w.count(50, 30))
	if err != nil {
		return err
	}
	before, err := usedBy(ctx, s)
	if err != nil {
		return err
	}
	began := time.Now()
	for range w.count(60, 8) {
		if err := execute(ctx, c.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'"); err != nil {
			return err
		}
		w.injected("all sessions ended")
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	failed, example, entries := 0, entry{}, f.between(began, time.Now())
	for _, e := range entries {
		if e.Outcome != outcomeOK {
			failed++
			example = e
		}
	}
	w.note("%d of %d requests were not acknowledged at once", failed, len(entries))
	if failed*20 > len(entries) {
		w.problem("%d of %d requests were not acknowledged at once, more than 5 %%, e.g. %d: %s", failed, len(entries), example.Status, example.Error)
	}
	if err := w.settle(ctx, f, s); err != nil {
		w.problem("%v", err)
	}
	w.backToNormal(ctx, s, before)
	return w.finish(ctx, f, 50)
}

// networkCut is R08: the network to the database goes away without a word and comes back.
func networkCut(ctx context.Context, w *world) error {
	link, err := newLink(ctx, w)
	if err != nil {
		return err
	}
	if _, err := w.newCluster(ctx, "", func(c *cluster) { c.through, c.host = link.inside(), link.far }); err != nil {
		return err
	}
	s, f, err := w.underLoad(ctx, 30)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := link.set(ctx, "down"); err != nil {
		return err
	}
	w.injected("link down")
	back := func(ctx context.Context) error { return link.set(ctx, "up") }
	if err := w.away(ctx, s, f, outage{began: began, lasts: w.span(60*time.Second, 15*time.Second), answered: 5 * time.Second}, back); err != nil {
		return err
	}
	return w.finish(ctx, f, 50)
}

// databaseLocked is R09: somebody holds a lock that the program needs.
func databaseLocked(ctx context.Context, w *world) error {
	s, f, err := w.underLoad(ctx, w.count(50, 20))
	if err != nil {
		return err
	}
	unlock, err := w.lockDatabase(ctx, "EXCLUSIVE")
	if err != nil {
		return err
	}
	began, span := time.Now(), w.span(20*time.Second, 6*time.Second)
	if w.Store == postgres {
		span = w.span(30*time.Second, 6*time.Second)
	}
	w.injected("lock")
	back := func(context.Context) error { return unlock() }
	w.checkReadable(ctx, s)
	if err := w.away(ctx, s, f, outage{began: began.Add(2 * time.Second), lasts: span, answered: 2500 * time.Millisecond}, back); err != nil {
		return err
	}
	return w.finish(ctx, f, 20)
}

// lockDatabase takes a lock under which nothing can be written; on SQLite of the file, on PostgreSQL of the runs, in
// that mode.
func (w *world) lockDatabase(ctx context.Context, mode string) (unlock func() error, err error) {
	db, err := openDatabase(w.url)
	if err != nil {
		return nil, err
	}
	lock := "BEGIN EXCLUSIVE"
	if w.Store == postgres {
		lock = "BEGIN; LOCK TABLE runs IN " + mode + " MODE"
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, lock)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, conn.Close(), db.Close())
	}, nil
}
