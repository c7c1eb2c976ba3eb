package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// databaseClock is R24: the clock of PostgreSQL is ten minutes ahead of that of three processes, and then ten behind.
// Nothing stalls, nothing is worked twice, and the runs of a process that dies go on elsewhere.
func databaseClock(ctx context.Context, w *world) error {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return notRun("libfaketime is not installed (Debian: the package faketime)")
	}
	clock := filepath.Join(w.dir, "clock")
	set := func(offset time.Duration) error {
		// In one step: the server reads it all the time.
		if err := os.WriteFile(clock+".new", fmt.Appendf(nil, "%+d\n", int(offset.Seconds())), 0o644); err != nil {
			return err
		}
		return os.Rename(clock+".new", clock)
	}
	if err := set(0); err != nil {
		return err
	}
	c, err := w.newCluster(ctx, "", func(c *cluster) {
		c.env = []string{"LD_PRELOAD=" + found[0], "FAKETIME_TIMESTAMP_FILE=" + clock, "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"}
	})
	if err != nil {
		return err
	}
	servers, err := w.several(ctx, 3)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(50, 30), servers...)
	if err != nil {
		return err
	}
	for _, offset := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := set(offset); err != nil {
			return err
		}
		if err := until(ctx, fmt.Sprintf("the clock of PostgreSQL differs by %s", offset), 10*time.Second, func() (bool, error) {
			differs, err := c.clockDiffers(ctx)
			return (differs - offset).Abs() < 30*time.Second, err
		}); err != nil {
			return err
		}
		jumped := time.Now()
		w.injected(fmt.Sprintf("clock of the database %+d s", int(offset.Seconds())))
		at, err := f.firstOK(ctx, jumped, 10*time.Second)
		if err != nil {
			w.problem("the clock of the database differs by %s: %v", offset, err)
		} else {
			w.recovered("an acceptance after the clock jumped", at.Sub(jumped), 10*time.Second)
		}
		if err := pause(ctx, w.span(15*time.Second, 5*time.Second)); err != nil {
			return err
		}
		if err := w.killOne(ctx, servers[2]); err != nil {
			return err
		}
	}
	return w.finish(ctx, f, 60)
}

// clockDiffers is how far the server's clock is ahead of ours.
func (c *cluster) clockDiffers(ctx context.Context) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var there time.Time
	err = conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&there)
	return time.Until(there), err
}
