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

	"penstock/db/seal"
	"penstock/e2e/harness"
)

// pagesReport is how long the pages of the admin take on a large store.
type pagesReport struct {
	Store  string       `json:"store"`
	Stored int64        `json:"runs_stored"`
	Pages  []pageReport `json:"pages"`
}

// pageReport is how long a page takes, and its statements alone.
type pageReport struct {
	Page       string    `json:"page"`
	KB         float64   `json:"kb"`
	Took       quantiles `json:"took"` // request to last byte, on one connection
	Statements int       `json:"statements"`
	SQL        quantiles `json:"sql"` // the same statements alone, one after the other
}

// pageRounds is how often every page is asked for. All are, in turn: none finds only its own rows in the cache.
const pageRounds = 60

// admin measures every page of the admin with that many runs stored, five to an incident.
func (b *bench) admin(ctx context.Context, stored int64) (_ *pagesReport, err error) {
	databaseURL, drop, err := b.database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	key := seal.NewKey()
	server, err := harness.NewServer(harness.Options{
		Binary: b.binary, DatabaseURL: databaseURL, Dir: filepath.Join(b.dir, b.store), Env: []string{"PENSTOCK_SECRET_KEY=" + key},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	if err := b.fill(ctx, server, databaseURL, stored); err != nil {
		return nil, err
	}
	if _, err := server.Start(ctx); err != nil {
		return nil, err
	}
	list := addresses(stored)
	took := make([][]time.Duration, len(list))
	reports := make([]pageReport, len(list))
	for round := range pageRounds + 1 { // the first fills the caches
		for i, page := range list {
			begin := time.Now()
			status, _, body, err := server.Client.Send(ctx, http.MethodGet, page, nil)
			switch {
			case err != nil:
				return nil, err
			case status != http.StatusOK:
				return nil, fmt.Errorf("GET %s: %d: %s", page, status, body)
			case round > 0:
				took[i] = append(took[i], time.Since(begin))
			}
			reports[i] = pageReport{Page: page, KB: float64(len(body)) / 1000}
		}
	}
	if err := server.Stop(); err != nil {
		return nil, err
	}
	statements, err := statementsOf(ctx, databaseURL, key, server.Client.Token, list)
	if err != nil {
		return nil, err
	}
	alone, err := statementTimes(ctx, databaseURL, statements)
	if err != nil {
		return nil, err
	}
	for i := range reports {
		reports[i].Took, reports[i].SQL, reports[i].Statements = quantilesOf(took[i]), quantilesOf(alone[i]), len(statements[i])
	}
	return &pagesReport{b.store, stored, reports}, nil
}

// fill stores copies of a run that an alert has started.
func (b *bench) fill(ctx context.Context, server *harness.Server, databaseURL string, stored int64) error {
	if _, err := server.Start(ctx); err != nil {
		return err
	}
	if err := server.Client.Call(ctx, http.MethodPut, "/orchestration/sources/alertmanager/", json.RawMessage(`{"driver": "alertmanager"}`), nil); err != nil {
		return err
	}
	alert := json.RawMessage(`{"receiver": "penstock", "status": "firing", "alerts": [{"status": "firing", "fingerprint": "` + mark + `1", "startsAt": "2026-01-02T03:04:05Z",
		"labels": {"alertname": "DiskFull", "host": "host-1", "severity": "critical"}, "annotations": {"summary": "/var on host-1 is 97 % full"}}]}`)
	if err := server.Client.Call(ctx, http.MethodPost, "/webhooks/alertmanager", alert, nil); err != nil {
		return err
	}
	for { // until the run has ended
		var runs struct{ Count int }
		if err := server.Client.Call(ctx, http.MethodGet, "/orchestration/pipelines/?status=completed", nil, &runs); err != nil {
			return err
		}
		if runs.Count > 0 {
			break
		}
		if wait(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := server.Stop(); err != nil {
		return err
	}
	c, err := b.history(ctx, &cloner{incidents: stored / 5}, databaseURL, 1, stored)
	if err != nil {
		return err
	}
	return c.db.Close()
}

// addresses are the pages of the admin, also with filters and words that find nothing, which is the hardest.
func addresses(stored int64) []string {
	record := func(kind int) string { return recordID(kind, stored/2) }
	list := []string{"/admin/", "/admin/deliveries", "/admin/notifications"}
	for _, l := range []string{"/admin/incidents", "/admin/alerts", "/admin/runs"} {
		list = append(list, l, l+"?q=host-7", l+"?q=nothing+has+this")
	}
	return append(list,
		"/admin/incidents?status=all", "/admin/incidents?status=all&severity=info", "/admin/incidents?status=all&q=nothing+has+this", "/admin/alerts?status=all",
		"/admin/alerts?status=all&source=nobody", "/admin/alerts?status=all&q=nothing+has+this",
		"/admin/runs?status=failed", "/admin/runs?trigger=schedule", "/admin/runs?environment=nowhere", "/admin/runs?definition=nothing", "/admin/runs?definition=default", "/admin/runs?definition=default&version=9",
		"/admin/runs?incident="+record(incidentID), "/admin/deliveries?source=nobody", "/admin/deliveries?status=rejected", "/admin/notifications?channel=nobody",
		"/admin/notifications?status=failed", "/admin/search?q=disk", "/admin/search?q=nothing+has+this", "/admin/search?q="+record(runID),
		"/admin/incidents/"+recordID(incidentID, 7), "/admin/alerts/"+record(alertID), "/admin/runs/"+record(runID), "/admin/deliveries/"+record(deliveryID),
		"/admin/definitions", "/admin/definitions?q=nothing+has+this", "/admin/definitions?state=inactive", "/admin/definitions/new", "/admin/definitions/default", "/admin/definitions/default/history", "/admin/definitions/default/execute",
		"/admin/settings", "/admin/settings/account", "/admin/settings/channels/new", "/admin/settings/channels/new?driver=console", "/admin/settings/channels/default", "/admin/settings/sources/new", "/admin/settings/sources/alertmanager", "/admin/settings/providers", "/admin/settings/schedules",
		"/admin/settings/tokens", "/admin/settings/users", "/admin/settings/about",
	)
}

func printPages(o options, all []pagesReport) error {
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "page\tstore\tKB\tp50 ms\tp95 ms\tstatements\tthey alone p50\tp95\t")
	for _, r := range all {
		for _, p := range r.Pages {
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.1f\t%.1f\t%d\t%.1f\t%.1f\t\n", p.Page, r.Store, p.KB, p.Took.P50, p.Took.P95, p.Statements, p.SQL.P50, p.SQL.P95)
		}
	}
	return t.Flush()
}
