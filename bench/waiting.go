package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"penstock/e2e/harness"
)

// waitingReport is what runs cost that wait for a receiver that is away.
type waitingReport struct {
	Store     string  `json:"store"`
	Waiting   int     `json:"runs_waiting"`
	IdleMB    float64 `json:"rss_idle_mb"`
	PeakMB    float64 `json:"rss_peak_mb"`    // while they come
	WaitingMB float64 `json:"rss_waiting_mb"` // later
	CPU       float64 `json:"cpu_waiting"`    // shares of one CPU, while they wait
	ArrivedIn float64 `json:"arrived_seconds"`

	Lost       int `json:"lost"`
	Duplicates int `json:"duplicates"`
}

// waiting sends deliveries whose receiver is away, looks at the process while their runs wait, and lets the receiver
// come back.
func (b *bench) waiting(ctx context.Context, runs int) (_ *waitingReport, err error) {
	r := &waitingReport{Store: b.store, Waiting: runs}
	url, drop, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	server, err := harness.NewServer(harness.Options{Binary: b.binary, DatabaseURL: url, Dir: filepath.Join(b.dir, b.store)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	var start storeReport
	if err := b.starts(ctx, server, &start); err != nil {
		return nil, err
	}
	r.IdleMB = start.IdleMB
	s, target, err := b.subject(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = target.close() }()
	target.away.Store(true)
	// What is left when the drain ends is what is to wait.
	s.drain = 0
	if _, err := s.run(ctx, load{rate: 200, duration: time.Duration(runs) * time.Second / 200}); err != nil {
		return nil, err
	}
	wait(ctx, 20*time.Second) // they have failed, and wait
	before, err := usageOf(server.PID())
	if err != nil {
		return nil, err
	}
	wait(ctx, 3*b.load)
	after, err := usageOf(server.PID())
	if err != nil {
		return nil, err
	}
	r.PeakMB, r.WaitingMB, r.CPU = after.peakMB, after.residentMB, (after.cpu-before.cpu).Seconds()/(3*b.load).Seconds()
	if b.profile != "" {
		ops := &harness.Client{URL: server.OpsURL, HTTP: server.Client.HTTP}
		if err := errors.Join(b.save(ctx, ops, "/debug/pprof/heap?gc=1", b.store+".waiting.heap.pprof"),
			b.save(ctx, ops, "/debug/pprof/goroutine?debug=1", b.store+".waiting.goroutines.txt")); err != nil {
			return nil, err
		}
	}
	target.away.Store(false)
	begin := time.Now()
	s.drain = 5 * time.Minute
	if err := s.drained(ctx); err != nil {
		return nil, err
	}
	r.ArrivedIn = time.Since(begin).Seconds()
	r.Lost, r.Duplicates = s.ledger.missing(), int(s.ledger.duplicates.Load())
	return r, server.Stop()
}

func printWaiting(o options, all []waitingReport) error {
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
		row("RSS idle, MB", "%.0f", r.IdleMB, "")
		row(fmt.Sprintf("RSS with %d runs that wait, MB", r.Waiting), "%.0f", r.WaitingMB, "≤ 250 more")
		row("RSS peak while they came, MB", "%.0f", r.PeakMB, "")
		row("CPU while they wait, share of one", "%.2f", r.CPU, "")
		row("all arrived after the receiver came back, s", "%.1f", r.ArrivedIn, "")
		row("lost", "%.0f", float64(r.Lost), "0")
		row("told twice", "%.0f", float64(r.Duplicates), "0")
	}
	return t.Flush()
}
