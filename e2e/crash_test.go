//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/e2e/harness"
)

// The diamond has stages before, beside and after each other; whoever is told is slow, so that a kill
// finds many in flight.
const diamond = `{
  "version": "1.0",
  "nodes": [
    {"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": "first"},
    {"id": "first",  "type": "notify", "config": {"channel": "slow"}, "next": ["left", "right"]},
    {"id": "left",   "type": "notify", "config": {"channel": "slow"}, "next": "last"},
    {"id": "right",  "type": "notify", "config": {"channel": "slow"}, "next": "last"},
    {"id": "last",   "type": "notify", "config": {"channel": "slow"}}
  ]
}`

// needs says which stages are finished before another begins.
var needs = map[string][]string{
	"first": nil, "left": {"first"}, "right": {"first"}, "last": {"first", "left", "right"},
}

var diamondNodes = []string{"ingest", "first", "left", "right", "last"}

const kills = 10

// TestCrash kills the process again and again under load. What it had answered 202 for must end, no
// finished stage may run again, and nobody may be told more than once a kill.
func TestCrash(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		receiver := newSlowReceiver(t)
		server := newServer(t, url)
		start(t, server)
		setUp(t, server.Client, receiver.URL)

		load := startLoad(t, server.Client)
		for range kills {
			pause(50*time.Millisecond + rand.N(1500*time.Millisecond))
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			receiver.nextLife(t)
			if took := start(t, server); took > 5*time.Second {
				t.Errorf("ready %s after a kill, not within 5 s", took)
			}
		}
		accepted := load.stop()
		if len(accepted) < 50 {
			t.Fatalf("only %d deliveries were accepted: too few to prove anything", len(accepted))
		}
		eventually(t, "every run ends without anyone doing anything", 60*time.Second, func() bool {
			return unfinished(t, server.Client) == 0
		})
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		stored := readBack(t, url, accepted)
		interrupted := checkStages(t, stored)
		repeats := checkArrivals(t, receiver.got(t), stored)
		if interrupted == 0 {
			t.Error("no stage was in flight at any kill: the test proves nothing")
		}
		t.Logf("%d accepted, %d kills, %d stages interrupted, %d told twice", len(accepted), kills, interrupted, repeats)
	})
}

func setUp(t *testing.T, c *harness.Client, receiver string) {
	t.Helper()
	if err := c.Channel(t.Context(), "slow", "generic", map[string]any{"endpoint": receiver}); err != nil {
		t.Fatal(err)
	}
	if err := c.Definition(t.Context(), "diamond", diamond); err != nil {
		t.Fatal(err)
	}
}

func pause(d time.Duration) { <-time.After(d) }

// load posts alerts, each of a host of its own, at a steady rate, whether or not anybody listens.
type load struct {
	cancel  context.CancelFunc
	senders sync.WaitGroup

	mu   sync.Mutex
	runs []string // acknowledged with 202
}

func startLoad(t *testing.T, c *harness.Client) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	for i := range 4 {
		l.senders.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-tick.C:
					if err := l.post(ctx, c, fmt.Sprintf("host-%d-%d", i, n)); err != nil {
						t.Error(err)
						return
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return l
}

// post notes what is acknowledged. Without an answer, or with 503, nothing is promised.
func (l *load) post(ctx context.Context, c *harness.Client, host string) error {
	body := fmt.Appendf(nil, `{"version":"4","status":"firing","receiver":"r","groupLabels":{},"commonLabels":{},"commonAnnotations":{},
		"externalURL":"","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","instance":"%s:9100","severity":"critical"},
		"annotations":{},"startsAt":"%s","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"%s"}]}`,
		host, time.Now().UTC().Format(time.RFC3339Nano), host)
	status, _, answer, err := c.Send(ctx, http.MethodPost, "/orchestration/pipeline/?definition=diamond", body)
	switch {
	case err != nil || status == http.StatusServiceUnavailable:
		return nil
	case status != http.StatusAccepted:
		return fmt.Errorf("%d: %s", status, answer)
	}
	var a struct {
		RunID string `json:"run_id"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.RunID == "" {
		return fmt.Errorf("an answer without a run: %s", answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, a.RunID)
	return nil
}

func (l *load) stop() []string {
	l.cancel()
	l.senders.Wait()
	return l.runs
}

func unfinished(t *testing.T, c *harness.Client) int {
	t.Helper()
	var page struct{ Count int }
	if err := c.Call(t.Context(), http.MethodGet, "/orchestration/pipelines/?status=pending,running&limit=1", nil, &page); err != nil {
		t.Fatal(err)
	}
	return page.Count
}

// readBack reads the stages of every run in the store and checks that each run that was accepted is
// there and completed.
func readBack(t *testing.T, url string, accepted []string) map[string][]db.StageExecution {
	t.Helper()
	store := dbtest.Open(t, db.Options{URL: url})
	missing := map[string]bool{}
	for _, id := range accepted {
		missing[id] = true
	}
	all := map[string][]db.StageExecution{}
	page := db.Page{First: 100}
	for {
		runs, err := store.Runs(t.Context(), db.RunFilter{Page: page})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, run := range runs.Items {
			if run.Status != db.RunCompleted {
				t.Errorf("run %s ended %s: %s", run.ID, run.Status, run.Error)
			}
			delete(missing, run.ID)
			ids = append(ids, run.ID)
		}
		stages, err := store.StagesByRun(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			all[id] = stages[id]
		}
		if !runs.HasNext {
			break
		}
		page.After = runs.Cursors[len(runs.Cursors)-1]
	}
	for id := range missing {
		t.Errorf("run %s was acknowledged and is gone", id)
	}
	return all
}

// checkStages: of every node one attempt succeeded, the last; those before it were interrupted by a
// kill. It returns how many were.
func checkStages(t *testing.T, stored map[string][]db.StageExecution) (interrupted int) {
	t.Helper()
	for run, rows := range stored {
		byNode := map[string][]db.StageExecution{}
		for _, row := range rows {
			byNode[row.NodeID] = append(byNode[row.NodeID], row)
		}
		for _, node := range diamondNodes {
			attempts := byNode[node]
			if err := oneSuccess(attempts); err != nil {
				t.Errorf("run %s, node %s: %v", run, node, err)
				continue
			}
			interrupted += len(attempts) - 1
		}
		if ingest := byNode["ingest"]; len(ingest) > 0 {
			var output struct {
				Created int `json:"alerts_created"`
			}
			if err := json.Unmarshal(ingest[len(ingest)-1].Output, &output); err != nil || output.Created != 1 {
				t.Errorf("run %s: its alert was taken in %d times: %s", run, output.Created, ingest[len(ingest)-1].Output)
			}
		}
	}
	return interrupted
}

func oneSuccess(attempts []db.StageExecution) error {
	if len(attempts) == 0 {
		return errors.New("there is no attempt")
	}
	if len(attempts) > kills+1 {
		return fmt.Errorf("%d attempts at %d kills", len(attempts), kills)
	}
	for i, row := range attempts {
		last := i == len(attempts)-1
		switch {
		case row.Attempt != i+1:
			return fmt.Errorf("attempt %d follows %d", row.Attempt, i)
		case last && row.Status != db.StageSucceeded:
			return fmt.Errorf("the last attempt %s: %s", row.Status, row.Errors)
		case !last && row.Status != db.StageFailed:
			return fmt.Errorf("attempt %d %s, and %d followed", row.Attempt, row.Status, row.Attempt+1)
		case !last && !slices.ContainsFunc(row.Errors, func(e string) bool { return strings.HasPrefix(e, "Interrupted") }):
			return fmt.Errorf("attempt %d failed without being interrupted: %s", row.Attempt, row.Errors)
		}
	}
	return nil
}

// checkArrivals: everybody was told; at most once by one process, so at most once more a kill; always
// with the same key; and never again once a later stage had begun. It returns the repeats.
func checkArrivals(t *testing.T, got map[stage][]arrival, stored map[string][]db.StageExecution) (repeats int) {
	t.Helper()
	keys := map[string]stage{}
	for at, arrivals := range got {
		attempts := 0
		for _, row := range stored[at.run] {
			if row.NodeID == at.node {
				attempts++
			}
		}
		if len(arrivals) > attempts {
			t.Errorf("%v arrived %d times in %d attempts", at, len(arrivals), attempts)
		}
		repeats += len(arrivals) - 1
		lives := map[int]bool{}
		for _, a := range arrivals {
			if lives[a.life] {
				t.Errorf("%v arrived twice from one process", at)
			}
			lives[a.life] = true
			if a.key != arrivals[0].key {
				t.Errorf("%v arrived with the keys %q and %q", at, arrivals[0].key, a.key)
			}
		}
		if other, taken := keys[arrivals[0].key]; taken {
			t.Errorf("%v and %v arrived with the same key %q", at, other, arrivals[0].key)
		}
		keys[arrivals[0].key] = at
		for _, before := range needs[at.node] {
			for _, a := range got[stage{at.run, before}] {
				if a.number > arrivals[0].number {
					t.Errorf("run %s: %s was finished, for %s had begun, and ran again", at.run, before, at.node)
				}
			}
		}
	}
	for run := range stored {
		for node := range needs {
			arrivals := got[stage{run, node}]
			if !slices.ContainsFunc(arrivals, func(a arrival) bool { return a.answered }) {
				t.Errorf("run %s: nobody was told by %s, and the run completed", run, node)
			}
		}
	}
	return repeats
}
