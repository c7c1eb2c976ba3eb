package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"penstock/db/seal"
	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// world is what one case on one store happens in. What it has made is gone after the case.
type world struct {
	*result

	short       bool
	binary, dir string
	key         string // secret key of all processes
	url         string // of the database; a case may set it before it starts a server

	woken bool // a process woke up in the middle of a sentence, and may finish it: late, with its key

	flaky bool            // receivers answer 503 now and then: attempts fail without being interrupted
	apart map[string]bool // runs that shall not simply complete: the case judges them itself

	needs    needs // of the definition to which the feeders post
	receiver *notifytest.Webhook
	servers  []*harness.Server
	feeders  []*feeder
	cleanups []func() error
}

func (w *world) carryOut(ctx context.Context, c faultCase, showLog bool) {
	begin := time.Now()
	err := os.MkdirAll(w.dir, 0o711)
	if err == nil {
		w.key = seal.NewKey()
		err = c.run(ctx, w)
	}
	for _, f := range w.feeders {
		f.end()
	}
	for _, s := range w.servers {
		err = errors.Join(err, s.Kill())
	}
	for i := range w.cleanups {
		err = errors.Join(err, w.cleanups[len(w.cleanups)-1-i]())
	}
	w.Seconds = seconds(time.Since(begin))
	if reason, ok := errors.AsType[notRun](err); ok {
		w.NotRun = string(reason)
	} else if err != nil {
		w.problem("the case could not be carried out: %v", err)
	}
	if len(w.Problems) > 0 || showLog {
		for i, s := range w.servers {
			fmt.Fprintf(os.Stderr, "faults: %s on %s: log of process %d:\n%s\n", w.Case, w.Store, i+1, s.Log())
		}
	}
}

// problem notes what does not hold.
func (w *world) problem(format string, args ...any) {
	w.Problems = append(w.Problems, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	w.Notes = append(w.Notes, fmt.Sprintf(format, args...))
}

func (w *world) injected(fault string) { w.Faults[fault]++ }

// recovered notes how long something took to work again, and that it must not take longer than limit.
func (w *world) recovered(what string, took, limit time.Duration) {
	w.Recovery = max(w.Recovery, seconds(took))
	if took > limit {
		w.problem("%s took %s, not at most %s", what, took.Round(time.Millisecond), limit)
	}
}

func (w *world) atEnd(clean func() error) { w.cleanups = append(w.cleanups, clean) }

// count is n in the full pass and fewer in the short one.
func (w *world) count(full, short int) int {
	if w.short {
		return short
	}
	return full
}

func (w *world) span(full, short time.Duration) time.Duration {
	if w.short {
		return short
	}
	return full
}

// database makes an empty database of the world's store.
func (w *world) database(ctx context.Context) error {
	if w.url != "" {
		return nil
	}
	if w.Store == sqlite {
		w.url = "sqlite:" + filepath.Join(w.dir, "penstock.db")
		return nil
	}
	server := os.Getenv(postgresVariable)
	name := "penstock_faults_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := execute(ctx, server, "CREATE DATABASE "+name); err != nil {
		return err
	}
	w.atEnd(func() error {
		return execute(context.WithoutCancel(ctx), server, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	u.Path = "/" + name
	w.url = u.String()
	return nil
}

func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// server makes a process of its own on the world's database. It does not start it.
func (w *world) server(ctx context.Context, env ...string) (*harness.Server, error) {
	return w.wrapped(ctx, nil, env...)
}

// wrapped is server for a process that another program starts.
func (w *world) wrapped(ctx context.Context, prefix []string, env ...string) (*harness.Server, error) {
	if err := w.database(ctx); err != nil {
		return nil, err
	}
	s, err := harness.NewServer(harness.Options{
		Binary: w.binary, DatabaseURL: w.url, Dir: filepath.Join(w.dir, fmt.Sprintf("data-%d", len(w.servers)+1)),
		Env: append([]string{"PENSTOCK_SECRET_KEY=" + w.key}, env...), Prefix: prefix,
	})
	if err != nil {
		return nil, err
	}
	w.servers = append(w.servers, s)
	return s, nil
}

// canary is a secret that must never be seen anywhere.
const canary = "canary-9f2c71d4e8b05a36"

// installation starts one server with the diamond and its receiver.
func (w *world) installation(ctx context.Context, env ...string) (*harness.Server, error) {
	s, err := w.server(ctx, env...)
	if err != nil {
		return nil, err
	}
	if _, err := s.Start(ctx); err != nil {
		return nil, err
	}
	return s, w.setUp(ctx, s.Client)
}

// underLoad is an installation to which alerts are sent at a rate, and which has been at work for a moment.
func (w *world) underLoad(ctx context.Context, rate int) (*harness.Server, *feeder, error) {
	s, err := w.installation(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := w.feed(ctx, "diamond", rate, s)
	if err != nil {
		return nil, nil, err
	}
	return s, f, pause(ctx, 2*time.Second)
}

// setUp makes the channel of the receiver and the definition. A receiver takes 50 ms to answer, so that a
// fault finds messages under way.
func (w *world) setUp(ctx context.Context, c *harness.Client) error {
	receiver, err := notifytest.StartWebhook()
	if err != nil {
		return err
	}
	w.receiver = receiver
	w.atEnd(receiver.Close)
	receiver.Always(notifytest.Reply{Delay: 50 * time.Millisecond})
	config := map[string]any{"endpoint": receiver.URL, "headers": map[string]string{"Authorization": "Bearer " + canary}}
	// Two channels: messages of one incident go to one channel one after another.
	for _, name := range []string{"receiver", "receiver-2"} {
		if err := c.Channel(ctx, name, "generic", config); err != nil {
			return err
		}
	}
	w.needs = diamondNeeds
	return c.Definition(ctx, "diamond", diamond)
}

// until asks until the answer is yes.
func until(ctx context.Context, what string, limit time.Duration, ask func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 160*time.Millisecond) { // who asks takes time from who works
		yes, err := ask()
		if yes {
			return nil
		}
		if err == nil {
			err = errors.New("the answer is still no")
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s: %w", limit, what, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func between(least, most time.Duration) time.Duration { return least + rand.N(most-least) }
