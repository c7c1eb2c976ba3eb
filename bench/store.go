package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"penstock/e2e/harness"
)

const (
	sqlite   = "sqlite"
	postgres = "postgres"
)

// definition is the three-stage road that the peers were measured on.
const definition = `{
  "version": "1.0",
  "description": "Benchmark: alert in, analysed, told on",
  "nodes": [
    {"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": "analyze"},
    {"id": "analyze", "type": "intelligence", "config": {"provider": "local"}, "next": "tell"},
    {"id": "tell", "type": "notify", "config": {"channel": "receiver"}}
  ]
}`

const stages = 3

// bench measures one store.
type bench struct {
	plan
	store, dir, binary, profile string
}

func (b *bench) run(ctx context.Context) (_ *storeReport, err error) {
	r := &storeReport{Store: b.store}
	url, drop, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if r.Relay, err = b.relay(ctx); err != nil {
		return nil, err
	}
	if r.Commits, err = b.commitRate(ctx, url); err != nil {
		return nil, err
	}
	server, err := harness.NewServer(harness.Options{Binary: b.binary, DatabaseURL: url, Dir: filepath.Join(b.dir, b.store)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	if err := b.starts(ctx, server, r); err != nil {
		return nil, err
	}
	if err := b.road(ctx, server, r); err != nil {
		return nil, fmt.Errorf("%w\nlog of penstock:\n%s", err, server.Log())
	}
	return r, server.Stop()
}

// starts measures the first start, which makes the schema, and a second one.
func (b *bench) starts(ctx context.Context, server *harness.Server, r *storeReport) error {
	took, err := server.Start(ctx)
	if err != nil {
		return err
	}
	r.FirstStartMS = milliseconds(took)
	if err := server.Stop(); err != nil {
		return err
	}
	if took, err = server.Start(ctx); err != nil {
		return err
	}
	r.StartMS = milliseconds(took)
	wait(ctx, time.Second) // what a start sets off has ended
	used, err := usageOf(server.PID())
	r.IdleMB = used.residentMB
	return err
}

// subject makes the channel, the definition and the token of the road.
func (b *bench) subject(ctx context.Context, server *harness.Server) (*subject, *receiver, error) {
	ledger := newLedger()
	target, err := newReceiver(ledger)
	if err != nil {
		return nil, nil, err
	}
	var token struct{ Token string }
	err = server.Client.Channel(ctx, "receiver", "generic", map[string]any{"endpoint": target.url})
	if err == nil {
		err = server.Client.Definition(ctx, "bench", definition)
	}
	if err == nil {
		err = server.Client.Call(ctx, http.MethodPost, "/orchestration/tokens/", map[string]any{"name": "bench", "scopes": []string{"ingest"}}, &token)
	}
	if err != nil {
		return nil, nil, errors.Join(err, target.close())
	}
	return &subject{
		url: server.URL + "/orchestration/pipeline/?definition=bench&source=alertmanager", token: token.Token,
		ledger: ledger, drain: b.drain,
	}, target, nil
}

// road measures the loads.
func (b *bench) road(ctx context.Context, server *harness.Server, r *storeReport) error {
	s, target, err := b.subject(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = target.close() }()
	if _, err := s.run(ctx, load{senders: 4, duration: time.Second}); err != nil { // warms pools and caches
		return err
	}
	for _, l := range b.loads(b.load) {
		stopProfile := func() error { return nil }
		if b.profile != "" && l.senders == 16 {
			stopProfile = b.startProfile(ctx, server, "")
		}
		m, err := b.measure(ctx, server, s, l)
		if err != nil {
			return err
		}
		r.Loads = append(r.Loads, m)
		if err := stopProfile(); err != nil {
			return err
		}
	}
	used, err := usageOf(server.PID())
	if err != nil {
		return err
	}
	r.PeakMB = used.peakMB
	r.count(s.ledger, int(target.unknown.Load()))
	r.FirstStageMS, err = firstStage(ctx, server.Client)
	return err
}

// measure runs a load and counts the CPU time that the server takes for it.
func (b *bench) measure(ctx context.Context, server *harness.Server, s *subject, l load) (measurement, error) {
	before, err := usageOf(server.PID())
	if err != nil {
		return measurement{}, err
	}
	m, err := s.run(ctx, l)
	if err != nil {
		return m, err
	}
	after, err := usageOf(server.PID())
	if m.arrived > 0 {
		m.CPUSeconds = (after.cpu - before.cpu).Seconds() / float64(m.arrived) * 1000
	}
	return m, err
}

// loads in the order in which they are run: the steady rate last, so that the newest runs are its.
func (b *bench) loads(d time.Duration) []load {
	return []load{{senders: 1, duration: d}, {senders: 16, duration: d}, {senders: 64, duration: d}, {rate: 100, duration: d}}
}

// relay measures the relay in the same minute as the store.
func (b *bench) relay(ctx context.Context) ([]measurement, error) {
	ledger := newLedger()
	target, err := newReceiver(ledger)
	if err != nil {
		return nil, err
	}
	defer func() { _ = target.close() }()
	url, stop, err := startRelay(ctx, target.url)
	if err != nil {
		return nil, err
	}
	s := &subject{url: url, ledger: ledger, drain: b.drain}
	var all []measurement
	for _, l := range b.loads(b.plan.relay) {
		m, err := s.run(ctx, l)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("relay: %w", err), stop())
		}
		all = append(all, m)
	}
	return all, stop()
}

// startProfile asks the operators' listener for a CPU profile of the load that begins now; stop waits
// for it and adds one of the heap.
func (b *bench) startProfile(ctx context.Context, server *harness.Server, of string) (stop func() error) {
	done := make(chan error, 1)
	ops := &harness.Client{URL: server.OpsURL, HTTP: server.Client.HTTP}
	go func() {
		path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(b.load.Seconds()))
		done <- b.save(ctx, ops, path, b.store+of+".cpu.pprof")
	}()
	return func() error {
		return errors.Join(<-done, b.save(ctx, ops, "/debug/pprof/heap", b.store+of+".heap.pprof"),
			b.save(ctx, ops, "/debug/pprof/allocs", b.store+of+".allocs.pprof"))
	}
}

func (b *bench) save(ctx context.Context, c *harness.Client, path, name string) error {
	status, _, body, err := c.Send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, status, body)
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.profile, name), body, 0o644)
}

// firstStage is the median time from accepting a delivery to the start of its first stage, over the
// newest hundred runs.
func firstStage(ctx context.Context, c *harness.Client) (float64, error) {
	var answer struct {
		Data struct {
			Runs struct {
				Nodes []struct {
					CreatedAt time.Time
					Stages    []struct{ StartedAt *time.Time }
				}
			}
		}
		Errors []struct{ Message string }
	}
	query := map[string]string{"query": "{ runs(first: 100) { nodes { createdAt stages { startedAt } } } }"}
	if err := c.Call(ctx, http.MethodPost, "/graphql", query, &answer); err != nil {
		return 0, err
	}
	if len(answer.Errors) > 0 {
		return 0, fmt.Errorf("read runs: %s", answer.Errors[0].Message)
	}
	var all []time.Duration
	for _, run := range answer.Data.Runs.Nodes {
		var first time.Time
		for _, s := range run.Stages {
			if s.StartedAt != nil && (first.IsZero() || s.StartedAt.Before(first)) {
				first = *s.StartedAt
			}
		}
		if !first.IsZero() {
			all = append(all, first.Sub(run.CreatedAt))
		}
	}
	if len(all) == 0 {
		return 0, errors.New("no run has a stage that started")
	}
	slices.Sort(all)
	return milliseconds(all[len(all)/2]), nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
