package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
)

// graphReport is what GraphQL reached on one store.
type graphReport struct {
	Store   string    `json:"store"`
	Stored  int64     `json:"runs_stored"`
	GraphQL reading   `json:"list"`
	Bare    reading   `json:"list_bare_handler"`
	Paced   following `json:"live"`
	Burst   following `json:"live_at_most"`
}

// graphql measures the list page of 50 runs with their stages, and live events to a thousand subscribers.
func (b *bench) graphql(ctx context.Context, runs int64) (_ *graphReport, err error) {
	// Readers and subscribers are many callers in truth; here one token reads it all.
	s, err := b.stock(ctx, runs, "PENSTOCK_GRAPHQL_LIMITS=budget=1000000000,restore=1000000000")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := &graphReport{Store: b.store, Stored: runs}
	if err = b.pages(ctx, s, r); err == nil {
		err = b.live(ctx, s.Server, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nlog of penstock:\n%s", err, s.Log())
	}
	return r, s.Stop()
}

func printGraph(o options, all []graphReport) error {
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
		row(fmt.Sprintf("pages of 50 runs with stages per second, %d runs stored", r.Stored), "%.0f", r.GraphQL.Rate, "")
		row("the same from the bare handler", "%.0f", r.Bare.Rate, "")
		row("GraphQL ÷ bare handler", "%.2f", r.GraphQL.Rate/r.Bare.Rate, "≥ 0.5")
		row("page p50, ms", "%.1f", r.GraphQL.Latency.P50, "")
		row("page p99, ms", "%.1f", r.GraphQL.Latency.P99, "")
		row("page p99 of the bare handler, ms", "%.1f", r.Bare.Latency.P99, "")
		row("CPU seconds per 1,000 pages", "%.2f", r.GraphQL.CPUSeconds, "")
		row("CPU seconds per 1,000 pages of the bare handler", "%.2f", r.Bare.CPUSeconds, "")
		row("live events to 1,000 subscribers: commit to arrival p50, ms", "%.1f", r.Paced.Latency.P50, "")
		row("live events to 1,000 subscribers: commit to arrival p99, ms", "%.1f", r.Paced.Latency.P99, "< 50")
		row("live events handed on per second at that pace", "%.0f", r.Paced.Rate, "")
		row("live events handed on per second at most", "%.0f", r.Burst.Rate, "")
		row("CPU µs of the server per live event handed on, at that pace", "%.0f", r.Paced.CPUMicro, "")
		row("the same of the subscribers, on the same machine", "%.0f", r.Paced.OwnMicro, "")
		row("CPU µs of the server per live event handed on, at most", "%.0f", r.Burst.CPUMicro, "")
		row("live events missed", "%.0f", float64(r.Paced.Missed+r.Burst.Missed), "0")
		row("RSS peak with 1,000 subscribers, MB", "%.0f", r.Burst.PeakMB, "")
	}
	return t.Flush()
}
