package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"penstock/e2e/harness"
)

// The diamond has stages before, beside and after each other.
const diamond = `{
  "version": "1.0",
  "nodes": [
    {"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": "first"},
    {"id": "first",  "type": "notify", "config": {"channel": "receiver"}, "next": ["left", "right"]},
    {"id": "left",   "type": "notify", "config": {"channel": "receiver"}, "next": "last"},
    {"id": "right",  "type": "notify", "config": {"channel": "receiver-2"}, "next": "last"},
    {"id": "last",   "type": "notify", "config": {"channel": "receiver"}}
  ]
}`

// needs says which stages that tell somebody are finished before another begins.
type needs map[string][]string

var diamondNeeds = needs{
	"first": nil, "left": {"first"}, "right": {"first"}, "last": {"first", "left", "right"},
}

// short is the least that takes an alert to a person; load is measured with it.
const short = `{
  "version": "1.0",
  "nodes": [
    {"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": "last"},
    {"id": "last",   "type": "notify", "config": {"channel": "receiver"}}
  ]
}`

var shortNeeds = needs{"last": nil}

// settle stops the feed and waits until every run has ended without anyone doing anything.
func (w *world) settle(ctx context.Context, f *feeder, s *harness.Server) error {
	if err := f.stop(30 * time.Second); err != nil {
		return err
	}
	return w.settled(ctx, s)
}

// settled waits until every run has ended.
func (w *world) settled(ctx context.Context, s *harness.Server) error {
	return w.settledWithin(ctx, s, 90*time.Second)
}

func (w *world) settledWithin(ctx context.Context, s *harness.Server, limit time.Duration) error {
	return until(ctx, "every run ends without anyone doing anything", limit, func() (bool, error) {
		run, err := unfinished(ctx, s.Client)
		if run != nil {
			err = fmt.Errorf("some runs have not ended, one of them: %s", run)
		}
		return err == nil, err
	})
}

// unfinished returns a run that has not ended, nil if there is none.
func unfinished(ctx context.Context, c *harness.Client) (run json.RawMessage, err error) {
	var page struct {
		Pipelines []struct {
			RunID string `json:"run_id"`
		}
	}
	err = c.Call(ctx, http.MethodGet, "/orchestration/pipelines/?status=pending,running&limit=1", nil, &page)
	if err == nil && len(page.Pipelines) > 0 {
		err = c.Call(ctx, http.MethodGet, "/orchestration/pipeline/"+page.Pipelines[0].RunID+"/", nil, &run)
	}
	return run, err
}

// finish settles, stops the servers and checks everything. least is how many alerts must have been
// acknowledged for the case to prove anything.
func (w *world) finish(ctx context.Context, f *feeder, least int) error {
	if err := w.settle(ctx, f, w.servers[0]); err != nil {
		w.problem("%v", err)
	}
	for _, s := range w.servers {
		if err := s.Stop(); err != nil {
			w.problem("%v", err)
		}
	}
	return w.check(ctx, f, least)
}

// check compares what was promised (the ledger), what is stored and what arrived.
func (w *world) check(ctx context.Context, f *feeder, least int) error {
	h, err := readHistory(ctx, w.url)
	if err != nil {
		return err
	}
	acknowledged := f.acknowledged()
	w.Accepted = len(acknowledged)
	if w.Accepted < least {
		w.problem("only %d alerts were acknowledged, at least %d are needed to prove anything", w.Accepted, least)
	}
	w.checkStored(h, acknowledged)
	for _, r := range h.runs {
		if !w.apart[r.id] {
			w.checkStages(r)
		}
	}
	w.checkArrivals(h)
	if err := w.checkDatabase(ctx); err != nil {
		return err
	}
	return w.checkCanary()
}

// checkStored is I1, I2 and I5: what was acknowledged is stored; every alert has one run that did something,
// and it ended; nothing is left over.
func (w *world) checkStored(h *history, acknowledged map[int64][]string) {
	worked := map[int64][]string{}
	for _, r := range h.runs {
		if r.status != "completed" && !w.apart[r.id] {
			w.problem("I2: run %s of alert %d is %s: %s", r.id, r.alert, r.status, r.err)
		}
		if r.alert > 0 && r.did() {
			worked[r.alert] = append(worked[r.alert], r.id)
		}
	}
	for number, runs := range acknowledged {
		lost := h.alerts[fingerprint(number)] == ""
		if lost {
			w.problem("I1: alert %d was acknowledged and is not stored", number)
		}
		for _, id := range runs {
			if h.runs[id] == nil {
				lost = true
				w.problem("I1: run %q of alert %d was acknowledged and is not stored", id, number)
			}
		}
		if len(worked[number]) == 0 {
			lost = true
			w.problem("I2: no run worked alert %d", number)
		}
		if lost {
			w.Lost++
		}
	}
	for number, runs := range worked {
		if len(runs) > 1 {
			w.problem("I2: alert %d was worked by %d runs: %s", number, len(runs), runs)
		}
		if h.alerts[fingerprint(number)] == "" {
			w.problem("I5: run %s worked alert %d, which is not stored", runs[0], number)
		}
	}
}

// checkStages: of every node one attempt succeeded, the last; those before it were interrupted.
func (w *world) checkStages(r *storedRun) {
	for node, attempts := range r.stages {
		for i, s := range attempts {
			last := i == len(attempts)-1
			switch {
			case s.attempt != i+1:
				w.problem("I3: run %s, %s: attempt %d follows %d", r.id, node, s.attempt, i)
			case last && s.status != "succeeded" && s.status != "skipped":
				w.problem("I3: run %s, %s: the last attempt %s: %s", r.id, node, s.status, s.errors)
			case !last && s.status != "failed":
				w.problem("I3: run %s, %s: attempt %d %s, and another followed", r.id, node, s.attempt, s.status)
			case !last && !slices.ContainsFunc(s.errors, func(e string) bool {
				return strings.HasPrefix(e, "Interrupted") || strings.HasPrefix(e, "The database does not answer.") ||
					w.flaky && strings.Contains(e, "503")
			}):
				w.problem("I3: run %s, %s: attempt %d failed without being interrupted: %s", r.id, node, s.attempt, s.errors)
			}
		}
		if node != "ingest" || !r.did() {
			continue
		}
		var output struct {
			Created int `json:"alerts_created"`
		}
		if err := json.Unmarshal([]byte(attempts[len(attempts)-1].output), &output); err != nil || output.Created != 1 {
			w.problem("I2: run %s took its alert in %d times", r.id, output.Created)
		}
	}
}

type stage struct{ run, node string }

type arrival struct {
	number int // over all stages
	key    string
}

// arrivals are the messages that the receiver got, by stage.
func (w *world) arrivals() map[stage][]arrival {
	all := map[stage][]arrival{}
	for n, r := range w.receiver.Requests() {
		var message struct {
			Tags struct {
				RunID string `json:"run_id"`
				Node  string `json:"pipeline_node"`
			}
		}
		key := r.Header.Get("Idempotency-Key")
		if err := json.Unmarshal(r.Body, &message); err != nil || message.Tags.RunID == "" || key == "" {
			w.problem("I3: the receiver got what is not understood: %s", r.Body)
			continue
		}
		at := stage{message.Tags.RunID, message.Tags.Node}
		all[at] = append(all[at], arrival{n, key})
	}
	return all
}

// checkArrivals is I3: everybody was told, never more often than there were attempts, always with the same key,
// and never again once a later stage had begun.
func (w *world) checkArrivals(h *history) {
	got := w.arrivals()
	keys := map[string]stage{}
	for at, arrivals := range got {
		r := h.runs[at.run]
		if r == nil {
			w.problem("I5: the receiver was told by run %s, which is not stored", at.run)
			continue
		}
		if attempts := len(r.stages[at.node]); len(arrivals) > attempts {
			w.problem("I3: run %s, %s: %d messages in %d attempts", at.run, at.node, len(arrivals), attempts)
		}
		w.Duplicated += len(arrivals) - 1
		for _, a := range arrivals {
			if a.key != arrivals[0].key {
				w.problem("I3: run %s, %s: the keys %q and %q", at.run, at.node, a.key, arrivals[0].key)
			}
		}
		if other, taken := keys[arrivals[0].key]; taken {
			w.problem("I3: %v and %v have the same key %q", at, other, arrivals[0].key)
		}
		keys[arrivals[0].key] = at
		for _, before := range w.needs[at.node] {
			for _, a := range got[stage{at.run, before}] {
				if a.number > arrivals[0].number && !w.woken {
					w.problem("I3: run %s: %s was finished, for %s had begun, and ran again", at.run, before, at.node)
				}
			}
		}
	}
	for _, r := range h.runs {
		if r.status != "completed" || r.alert == 0 || !r.did() {
			continue
		}
		for node := range w.needs {
			if len(got[stage{r.id, node}]) == 0 {
				w.problem("I3: run %s completed, and nobody was told by %s", r.id, node)
			}
		}
	}
}

// checkDatabase is I6: the database itself is whole.
func (w *world) checkDatabase(ctx context.Context) error {
	if w.Store == postgres {
		return w.amcheck(ctx)
	}
	db, err := openDatabase(w.url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		w.problem("I6: integrity_check: %s", answer)
	}
	return nil
}

// checkCanary is I7: the secret is nowhere but in its ciphertext.
func (w *world) checkCanary() error {
	forms := [][]byte{
		[]byte(canary), []byte(base64.StdEncoding.EncodeToString([]byte("Bearer " + canary))),
		[]byte(base64.StdEncoding.EncodeToString([]byte(canary))), []byte(hex.EncodeToString([]byte(canary))),
	}
	return filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // a PostgreSQL of the case is still at work in there
			return nil
		}
		if err != nil {
			return err
		}
		for _, form := range forms {
			if bytes.Contains(data, form) {
				w.problem("I7: the secret of a channel is in clear in %s", strings.TrimPrefix(path, w.dir))
			}
		}
		return nil
	})
}
