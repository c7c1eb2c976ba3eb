package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/db/seal"
	"penstock/drivers/ai"
	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/engine"
	"penstock/nodes"
)

// app is everything but the listeners: an open, migrated store and an engine that does not run yet.
type app struct {
	settings settings
	log      *slog.Logger
	store    *db.Store
	engine   *engine.Engine
	options  engine.Options
	auth     *auth.Service
}

// openStore opens the database and brings its schema up to date.
func openStore(ctx context.Context, s settings, hub *engine.Hub, log *slog.Logger) (*db.Store, error) {
	o := db.Options{URL: s.databaseURL, Log: log}
	if hub != nil {
		o.OnCommit = hub.Publish
	}
	store, err := db.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	applied, err := store.Migrate(ctx)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if applied > 0 {
		log.Info("database schema brought up to date", "migrations", applied)
	}
	return store, nil
}

// openApp opens the store and makes the engine on it. out is where the console driver writes.
func openApp(ctx context.Context, s settings, out io.Writer, log *slog.Logger) (_ *app, err error) {
	client, err := outbound.New(outbound.Options{Allow: s.allowPrivate})
	if err != nil {
		return nil, fmt.Errorf("PENSTOCK_ALLOW_PRIVATE_TARGETS: %w; for example 10.0.0.0/8,mail.example.com", err)
	}
	sealer, err := seal.New(s.key)
	if err != nil {
		return nil, err
	}
	hub := engine.NewHub()
	store, err := openStore(ctx, s, hub, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if err := store.CheckKey(ctx, sealer.KeyID()); err != nil {
		return nil, err
	}
	options := engineOptions(client, out)
	options.Store, options.Hub, options.Sealer = store, hub, sealer
	options.NotifyRetryFor, options.AlarmChannel = s.notifyRetryFor, s.alarmChannel
	options.Workers, options.PublicURL, options.Log = s.workers, s.publicURL, log
	options.HTTP, options.Heartbeat = client.HTTP(), s.heartbeat
	options.Retain, options.Version = s.retain, versionName()
	options.Drain = 9 * time.Second // with what follows, a server that is told to stop has stopped within fifteen
	a := &app{settings: s, log: log, store: store, options: options}
	if a.engine, err = engine.New(ctx, options); err != nil {
		return nil, err
	}
	a.auth, err = auth.New(auth.Options{Store: store, PublicURL: s.publicURL, Key: s.key, Log: log})
	return a, err
}

// engineOptions are the built-in kinds, which need no store.
func engineOptions(client *outbound.Client, out io.Writer) engine.Options {
	o := engine.Options{
		Sources: sources(),
		Notify:  notifiers(notify.Deps{HTTP: client.HTTP(), Dial: client.DialContext, Out: out, Now: time.Now}),
		AI:      providers(ai.Deps{HTTP: client.HTTP(), Env: os.Getenv}),
	}
	o.Types = nodes.All(nodes.Deps{Sources: o.Sources, Notify: o.Notify, AI: o.AI, HTTP: client.HTTP(), Dial: client.DialContext})
	return o
}

// newLog writes to standard error and takes over the standard library's logger.
func newLog(level slog.Level) *slog.Logger {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log)
	return log
}
