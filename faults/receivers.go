package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// oncall pages, and tells a webhook beside it.
const oncall = `{"version": "1.0", "nodes": [
  {"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": ["page", "tell"]},
  {"id": "page", "type": "notify", "config": {"channel": "pager"}},
  {"id": "tell", "type": "notify", "config": {"channel": "receiver"}}]}`

// paged starts a server with the definition "oncall" and a PagerDuty.
func (w *world) paged(ctx context.Context, env ...string) (*harness.Server, *notifytest.PagerDuty, error) {
	s, err := w.installation(ctx, env...)
	if err != nil {
		return nil, nil, err
	}
	pager, err := notifytest.StartPagerDuty()
	if err != nil {
		return nil, nil, err
	}
	w.atEnd(pager.Close)
	w.receiver.Always(notifytest.Reply{})
	config := map[string]any{"routing_key": "R0123456789ABCDEF0123456789ABCDE", "base_url": pager.URL}
	if err := s.Client.Channel(ctx, "pager", "pagerduty", config); err != nil {
		return nil, nil, err
	}
	return s, pager, s.Client.Definition(ctx, "oncall", oncall)
}

// post delivers a body and returns the run and how long the answer took.
func (w *world) post(ctx context.Context, s *harness.Server, definition string, body []byte) (run string, took time.Duration, err error) {
	begin := time.Now()
	status, _, answer, err := s.Client.Send(ctx, http.MethodPost, "/orchestration/pipeline/?definition="+definition, body)
	took = time.Since(begin)
	if err != nil || status != http.StatusAccepted {
		return "", took, fmt.Errorf("deliver: %d %w %s", status, err, answer)
	}
	var a struct {
		RunID string `json:"run_id"`
	}
	return a.RunID, took, json.Unmarshal(answer, &a)
}

type page struct {
	Action string `json:"event_action"`
	Key    string `json:"dedup_key"`
}

func pages(p *notifytest.PagerDuty) []page {
	var all []page
	for _, r := range p.Requests() {
		var one page
		_ = json.Unmarshal(r.Body, &one) // what is no page has no key, which the checks see
		all = append(all, one)
	}
	return all
}

// cutAfterReading is R12: receivers take the message and close the connection without an answer, three times.
func cutAfterReading(ctx context.Context, w *world) error {
	s, pager, err := w.paged(ctx)
	if err != nil {
		return err
	}
	cut := notifytest.Reply{Cut: true}
	pager.Script(cut, cut, cut)
	w.receiver.Script(cut, cut, cut)
	w.Load = "1 alert"
	run, _, err := w.post(ctx, s, "oncall", alertBody(1))
	if err != nil {
		return err
	}
	w.Accepted = 1
	w.Faults["connection cut after the message"] = 6
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	for name, sink := range map[string]*notifytest.Sink{"page": pager.Sink, "tell": w.receiver.Sink} {
		var keys []string
		requests := sink.Requests()
		for i, r := range requests {
			var p page
			_ = json.Unmarshal(r.Body, &p)
			keys = append(keys, p.Key+r.Header.Get("Idempotency-Key"))
			// The wait is at least the base of a second; its scheduling may only add to it.
			if i > 0 && r.At.Sub(requests[i-1].At) < time.Second {
				w.problem("%s: attempt %d came %s after the one before, less than the base of the back-off", name, i+1, r.At.Sub(requests[i-1].At))
			}
		}
		if len(keys) != 4 || slices.Contains(keys, "") || len(slices.Compact(keys)) != 1 {
			w.problem("%s: %d messages with the keys %s, want 4 with one", name, len(requests), keys)
		}
		w.Duplicated += len(requests) - 1
	}
	w.mustBe(ctx, s, run, "completed")
	return s.Stop()
}

// mustBe checks how a run has ended.
func (w *world) mustBe(ctx context.Context, s *harness.Server, run, want string) {
	var r struct{ Status, Error string }
	if err := s.Client.Call(ctx, http.MethodGet, "/orchestration/pipeline/"+run+"/", nil, &r); err != nil || r.Status != want {
		w.problem("run %s is %s (%s, %v), want %s", run, r.Status, r.Error, err, want)
	}
}

// repeated is R15: one body a hundred times, then another form of the same alert.
func repeated(ctx context.Context, w *world) error {
	s, pager, err := w.paged(ctx)
	if err != nil {
		return err
	}
	w.Load = "one body 100 times"
	var took []time.Duration
	for n := range 102 {
		body := alertBody(1)
		if n > 99 {
			body = []byte(strings.Replace(string(body), `"receiver":"r"`, `"receiver":"other"`, 1))
		}
		_, d, err := w.post(ctx, s, "oncall", body)
		if err != nil {
			w.problem("repeat %d: %v", n, err)
			continue
		}
		took = append(took, d)
		w.Accepted++
	}
	w.Faults["repeat"] = 101
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	if n := len(pages(pager)); n != 1 {
		w.problem("%d pages for one alert", n)
	}
	if n := w.receiver.Count(); n != 1 {
		w.problem("%d webhooks for one alert", n)
	}
	slices.Sort(took)
	w.note("a repeat was answered in %.1f ms (median) and %.1f ms (slowest)", seconds(took[len(took)/2])*1000, seconds(took[len(took)-1])*1000)
	if err := s.Stop(); err != nil {
		return err
	}
	h, err := readHistory(ctx, w.url)
	if err != nil {
		return err
	}
	worked := 0
	for _, r := range h.runs {
		if r.did() {
			worked++
		}
	}
	if worked != 1 || len(h.alerts) != 1 {
		w.problem("%d runs worked %d alerts, want one of each", worked, len(h.alerts))
	}
	return w.checkCanary()
}

// resolvedAlerts is R16: the end of what was paged closes the page; the end of what nobody knew pages nobody.
func resolvedAlerts(ctx context.Context, w *world) error {
	s, pager, err := w.paged(ctx)
	if err != nil {
		return err
	}
	w.Load = "2 alerts"
	for _, body := range [][]byte{alertBody(1), resolvedBody(1), resolvedBody(2)} {
		if _, _, err := w.post(ctx, s, "oncall", body); err != nil {
			return err
		}
		w.Accepted++
		if err := w.settled(ctx, s); err != nil {
			w.problem("%v", err)
		}
	}
	w.Faults["lone resolve"] = 1
	got := pages(pager)
	if len(got) != 2 || got[0].Action != "trigger" || got[1].Action != "resolve" || got[0].Key == "" || got[0].Key != got[1].Key {
		w.problem("I4: PagerDuty got %+v, want a trigger and its resolve with one key", got)
	}
	return s.Stop()
}

// hangingReceiver is R13: one receiver of four takes everything and answers nothing.
func hangingReceiver(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	dead, err := notifytest.StartWebhook()
	if err != nil {
		return err
	}
	w.atEnd(dead.Close)
	dead.Always(notifytest.Reply{Hang: true})
	if err := s.Client.Channel(ctx, "dead", "generic", map[string]any{"endpoint": dead.URL}); err != nil {
		return err
	}
	// The dead one first in its own definition: half of all alerts go there.
	const hangs = `{"version": "1.0", "nodes": [
  		{"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": "tell"},
  		{"id": "tell", "type": "notify", "config": {"channel": "dead"}, "max_retries": 0, "timeout_seconds": 10}]}`
	if err := s.Client.Definition(ctx, "hangs", hangs); err != nil {
		return err
	}
	w.receiver.Always(notifytest.Reply{})
	slowest := func() (time.Duration, error) {
		f, err := w.feed(ctx, "diamond", 20, s)
		if err != nil {
			return 0, err
		}
		if err := pause(ctx, w.span(20*time.Second, 3*time.Second)); err != nil {
			return 0, err
		}
		if err := f.stop(5 * time.Second); err != nil {
			return 0, err
		}
		w.Accepted += len(f.acknowledged())
		return w.toldWithin(ctx, f)
	}
	calm, err := slowest()
	if err != nil {
		return err
	}
	w.receiver.Reset()
	storm, err := w.feed(ctx, "hangs", 40, s)
	if err != nil {
		return err
	}
	w.injected("a receiver that never answers")
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	beside, err := slowest()
	if err != nil {
		return err
	}
	if err := storm.stop(0); err != nil {
		return err
	}
	w.note("p99 from delivery to the last of four messages: %.0f ms, beside a receiver that hangs %.0f ms", seconds(calm)*1000, seconds(beside)*1000)
	if beside > 2*calm+500*time.Millisecond {
		w.problem("p99 rose from %s to %s beside a receiver that hangs", calm, beside)
	}
	return nil
}

// toldWithin is the p99 of the time from a request to the last message of its run.
func (w *world) toldWithin(ctx context.Context, f *feeder) (time.Duration, error) {
	var last map[string]time.Time
	acknowledged := f.acknowledged()
	err := until(ctx, "everybody is told", 30*time.Second, func() (bool, error) {
		last = w.lastTold()
		for _, runs := range acknowledged {
			if last[runs[0]].IsZero() {
				return false, fmt.Errorf("run %s has told nobody", runs[0])
			}
		}
		return true, nil
	})
	var all []time.Duration
	for _, e := range f.between(time.Time{}, time.Now()) {
		if at := last[e.Run]; e.Run != "" && !at.IsZero() {
			all = append(all, at.Sub(e.At))
		}
	}
	return percentile(all, 99), err
}
