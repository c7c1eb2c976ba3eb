package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"penstock/e2e/harness"
)

// scaleReport is what a large store and a long queue cost.
type scaleReport struct {
	Store       string      `json:"store"`
	Stored      int64       `json:"runs_stored"`
	Few, Many   measurement // the same load on a new store, and on one with that many runs
	FewCommits  float64     `json:"few_commits_per_second"` // of the same machine before each load
	ManyCommits float64     `json:"many_commits_per_second"`
	StartMS     float64     `json:"start_with_many_ms"`

	Queued       int64   `json:"runs_queued"`
	QueueStartMS float64 `json:"start_with_queue_ms"`
	DrainRate    float64 `json:"drained_per_second"`
	DrainPeakMB  float64 `json:"rss_peak_draining_mb"`
	Lost         int     `json:"lost"`
	Duplicates   int     `json:"duplicates"`
}

// scale measures what grows: the cost of a run with many runs stored, and a start with many runs pending.
func (b *bench) scale(ctx context.Context, stored, queued int64) (_ *scaleReport, err error) {
	r := &scaleReport{Store: b.store, Stored: stored, Queued: queued}
	url, drop, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	server, err := harness.NewServer(harness.Options{Binary: b.binary, DatabaseURL: url, Dir: filepath.Join(b.dir, b.store), Env: []string{keepBodies}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	if _, err := server.Start(ctx); err != nil {
		return nil, err
	}
	s, target, err := b.subject(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = target.close() }()
	measure := func(m *measurement, commits *float64) error {
		var err error
		if *commits, err = b.commitRate(ctx, url); err != nil {
			return err
		}
		if _, err := s.run(ctx, load{senders: 4, duration: time.Second}); err != nil { // warms pools and caches
			return err
		}
		*m, err = b.measure(ctx, server, s, load{senders: 16, duration: b.load})
		return err
	}
	if err := measure(&r.Few, &r.FewCommits); err != nil {
		return nil, err
	}
	if err := server.Stop(); err != nil {
		return nil, err
	}
	c, err := b.history(ctx, &cloner{}, url, ledgerSize, stored)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.db.Close()) }()
	took, err := server.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.StartMS = milliseconds(took)
	if err := measure(&r.Many, &r.ManyCommits); err != nil {
		return nil, err
	}
	if err := server.Stop(); err != nil {
		return nil, err
	}

	say(options{}, fmt.Sprintf("%s: queueing %d runs", b.store, queued))
	first := s.ledger.count.Load() + 1
	for range queued {
		n, err := s.ledger.add(time.Now())
		if err != nil {
			return nil, err
		}
		s.ledger.acknowledge(n)
	}
	if err := c.all(ctx, c.pending, first, queued); err != nil {
		return nil, err
	}
	if took, err = server.Start(ctx); err != nil {
		return nil, err
	}
	begin := time.Now()
	r.QueueStartMS = milliseconds(took)
	if err := drainQueue(ctx, server); err != nil {
		return nil, fmt.Errorf("%w\nlog of penstock:\n%s", err, server.Log())
	}
	r.DrainRate = float64(queued) / time.Since(begin).Seconds()
	used, err := usageOf(server.PID())
	if err != nil {
		return nil, err
	}
	r.DrainPeakMB = used.peakMB
	r.Lost, r.Duplicates = s.ledger.missing(), int(s.ledger.duplicates.Load())
	return r, server.Stop()
}

// drainQueue waits until no run is unfinished.
func drainQueue(ctx context.Context, server *harness.Server) error {
	for {
		var status struct {
			Backlog struct{ Pending, Running int }
		}
		if err := server.Client.Call(ctx, http.MethodGet, "/orchestration/status/", nil, &status); err != nil {
			return err
		}
		if status.Backlog.Pending+status.Backlog.Running == 0 {
			return nil
		}
		wait(ctx, 500*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func printScale(o options, all []scaleReport) error {
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tstore\treached\taim\t")
	for _, r := range all {
		row := func(figure, format string, reached float64, aim string) {
			fmt.Fprintf(t, "%s\t%s\t"+format+"\t%s\t\n", figure, r.Store, reached, aim)
		}
		row("completed/s at 16 senders on a new store", "%.0f", r.Few.Completed, "")
		row(fmt.Sprintf("completed/s with %d runs stored", r.Stored), "%.0f", r.Many.Completed, "")
		row("single-row commits/s before the first", "%.0f", r.FewCommits, "")
		row("single-row commits/s before the second", "%.0f", r.ManyCommits, "")
		row("cost of a run: time, many ÷ new", "%.2f", r.Few.Completed/r.Many.Completed, "≤ 1.2")
		row("cost of a run: CPU, many ÷ new", "%.2f", r.Many.CPUSeconds/r.Few.CPUSeconds, "≤ 1.2")
		row("start to ready with many runs stored, ms", "%.0f", r.StartMS, "≤ 5000")
		row(fmt.Sprintf("start to ready with %d runs queued, ms", r.Queued), "%.0f", r.QueueStartMS, "≤ 5000")
		row("queued runs drained per second", "%.0f", r.DrainRate, "≥ 100")
		row("RSS peak while they drain, MB", "%.0f", r.DrainPeakMB, "≤ 512")
		row("lost", "%.0f", float64(r.Lost), "0")
		row("told twice", "%.0f", float64(r.Duplicates), "0")
	}
	return t.Flush()
}
