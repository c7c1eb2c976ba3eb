package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"penstock/e2e/harness"
)

// stocked is a server on a store that holds many runs.
type stocked struct {
	*harness.Server
	databaseURL string

	drop func() error
}

// stock makes a store, lets it work a few alerts, fills it with copies of the last run and all that it left
// behind, and starts a server on it with these settings. The caller closes it.
func (b *bench) stock(ctx context.Context, runs int64, env ...string) (_ *stocked, err error) {
	databaseURL, drop, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	s := &stocked{databaseURL: databaseURL, drop: drop}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.Server, err = harness.NewServer(harness.Options{Binary: b.binary, DatabaseURL: s.databaseURL, Dir: filepath.Join(b.dir, b.store), Env: append(env, keepBodies)})
	if err != nil {
		return nil, err
	}
	if _, err := s.Start(ctx); err != nil {
		return nil, err
	}
	subject, target, err := b.subject(ctx, s.Server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = target.close() }()
	if _, err := subject.run(ctx, load{rate: 50, duration: time.Second}); err != nil {
		return nil, err
	}
	if err := drainQueue(ctx, s.Server); err != nil { // what a slow machine has not ended would end beside what is measured
		return nil, err
	}
	if err := s.Stop(); err != nil {
		return nil, err
	}
	c, err := b.history(ctx, &cloner{}, s.databaseURL, ledgerSize, runs)
	if err != nil {
		return nil, err
	}
	if err := c.db.Close(); err != nil {
		return nil, err
	}
	_, err = s.Start(ctx)
	return s, err
}

// close ends the server and drops the store.
func (s *stocked) close() error {
	var err error
	if s.Server != nil {
		err = s.Kill()
	}
	return errors.Join(err, s.drop())
}

// history fills the store with copies of its newest run, numbered from first on. The caller closes the cloner.
func (b *bench) history(ctx context.Context, c *cloner, databaseURL string, first, runs int64) (*cloner, error) {
	if err := c.open(databaseURL); err != nil {
		return nil, err
	}
	err := c.original(ctx)
	if err == nil {
		say(options{}, fmt.Sprintf("%s: storing %d runs", b.store, runs))
		err = c.all(ctx, c.history, first, runs)
	}
	if err != nil {
		return nil, errors.Join(err, c.db.Close())
	}
	return c, nil
}
