package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// sink starts a receiver and makes a channel of that name for it.
func (w *world) sink(ctx context.Context, s *harness.Server, channel string) (*notifytest.Webhook, error) {
	sink, err := notifytest.StartWebhook()
	if err != nil {
		return nil, err
	}
	w.atEnd(sink.Close)
	return sink, s.Client.Channel(ctx, channel, "generic", map[string]any{"endpoint": sink.URL})
}

// tellAll is a definition that tells every channel at the same time; who is not told fails no other.
func tellAll(channels ...string) string {
	nodes, next := make([]string, len(channels)), make([]string, len(channels))
	for i, c := range channels {
		nodes[i] = fmt.Sprintf(`{"id": %q, "type": "notify", "config": {"channel": %q}, "required": false}`, c, c)
		next[i] = fmt.Sprintf("%q", c)
	}
	return fmt.Sprintf(`{"version": "1.0", "nodes": [{"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}, "next": [%s]}, %s]}`,
		strings.Join(next, ", "), strings.Join(nodes, ", "))
}

// backedOff is R10: receivers fail some times, then work. The gaps grow with jitter, one message gets through.
func backedOff(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	channels := []string{"a", "b", "c", "d", "e"}
	sinks := map[string]*notifytest.Webhook{}
	failures := w.count(5, 3)
	for _, c := range channels {
		if sinks[c], err = w.sink(ctx, s, c); err != nil {
			return err
		}
		script := make([]notifytest.Reply, failures)
		for i := range script {
			script[i].Status = http.StatusInternalServerError
		}
		sinks[c].Script(script...)
	}
	if err := s.Client.Definition(ctx, "all", tellAll(channels...)); err != nil {
		return err
	}
	w.Load = "1 alert"
	run, _, err := w.post(ctx, s, "all", alertBody(1))
	if err != nil {
		return err
	}
	w.Accepted = 1
	w.Faults["answer 500"] = failures * len(channels)
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	least, most := time.Hour, time.Duration(0) // of all first gaps
	for _, c := range channels {
		got := sinks[c].Requests()
		if len(got) != failures+1 {
			w.problem("%s: %d messages, want %d that fail and one that gets through", c, len(got), failures)
			continue
		}
		for i, r := range got {
			if key := r.Header.Get("Idempotency-Key"); key == "" || key != got[0].Header.Get("Idempotency-Key") {
				w.problem("%s: message %d has the key %q", c, i+1, key)
			}
			if i == 0 {
				continue
			}
			// Between the base and its 2ⁿ, and what a busy machine adds.
			gap, limit := r.At.Sub(got[i-1].At), time.Second<<i+5*time.Second
			if gap < time.Second || gap > limit {
				w.problem("%s: message %d came %s after the one before, not between 1s and %s", c, i+1, gap, limit)
			}
		}
		first := got[1].At.Sub(got[0].At)
		least, most = min(least, first), max(most, first)
		w.Duplicated += failures
	}
	if most-least < 50*time.Millisecond {
		w.problem("all first gaps are between %s and %s: a wave", least, most)
	}
	w.mustBe(ctx, s, run, "completed")
	return s.Stop()
}

// refused is R11: what may pass is waited for as long as was asked, what cannot pass is not tried again, and
// another channel tells that the credentials of one are refused, once.
func refused(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	const retryAfter = 7 * time.Second
	answers := map[string]notifytest.Reply{
		"busy": {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}}, "bad": {Status: http.StatusBadRequest},
		"locked": {Status: http.StatusUnauthorized}, "gone": {Status: http.StatusNotFound},
	}
	sinks := map[string]*notifytest.Webhook{}
	for name, answer := range answers {
		if sinks[name], err = w.sink(ctx, s, name); err != nil {
			return err
		}
		sinks[name].Script(answer)
		w.injected(fmt.Sprintf("answer %d", answer.Status))
	}
	alarms, err := w.sink(ctx, s, "default")
	if err != nil {
		return err
	}
	if err := s.Client.Definition(ctx, "all", tellAll("busy", "bad", "locked", "gone")); err != nil {
		return err
	}
	w.Load = "1 alert"
	run, _, err := w.post(ctx, s, "all", alertBody(1))
	if err != nil {
		return err
	}
	w.Accepted = 1
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	const alarm = "The receiver refuses the credentials of the channel locked"
	if err := until(ctx, "the alarm about refused credentials", 30*time.Second, func() (bool, error) { return told(alarms, alarm) > 0, nil }); err != nil {
		w.problem("%v", err)
	}
	if err := pause(ctx, 6*time.Second); err != nil { // channels are looked at every five
		return err
	}
	if n := told(alarms, alarm); n != 1 {
		w.problem("%d alarms about refused credentials, want one", n)
	}
	for name, sink := range sinks {
		got := sink.Requests()
		want := 1
		if name == "busy" {
			want = 2
		}
		if len(got) != want {
			w.problem("%s: %d messages, want %d", name, len(got), want)
		} else if name == "busy" && got[1].At.Sub(got[0].At) < retryAfter {
			w.problem("it was asked to wait for %s and waited for %s", retryAfter, got[1].At.Sub(got[0].At))
		}
	}
	w.mustBe(ctx, s, run, "partial")
	w.checkReasons(ctx, s, run, map[string]string{"bad": "400", "locked": "401", "gone": "404"})
	return s.Stop()
}

// told is how many messages of the sink hold the text.
func told(sink *notifytest.Webhook, text string) int {
	n := 0
	for _, r := range sink.Requests() {
		if strings.Contains(string(r.Body), text) {
			n++
		}
	}
	return n
}

// checkReasons: the run says of each of these nodes why it failed.
func (w *world) checkReasons(ctx context.Context, s *harness.Server, run string, reasons map[string]string) {
	var r struct {
		Results map[string]struct{ Errors []string } `json:"node_results"`
	}
	if err := s.Client.Call(ctx, http.MethodGet, "/orchestration/pipeline/"+run+"/", nil, &r); err != nil {
		w.problem("%v", err)
	}
	for node, reason := range reasons {
		if errors := strings.Join(r.Results[node].Errors, " "); !strings.Contains(errors, reason) {
			w.problem("%s: the run says %q, which does not tell %s", node, errors, reason)
		}
	}
}

// poisoned is R18: one definition fails with every alert, another tells a receiver that never works. All others go
// on as if they were not there. Once the receiver works, the run is continued by hand.
func poisoned(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	dead, err := w.sink(ctx, s, "dead")
	if err != nil {
		return err
	}
	dead.Always(notifytest.Reply{Status: http.StatusInternalServerError})
	alarms, err := w.sink(ctx, s, "default")
	if err != nil {
		return err
	}
	const ingest = `{"version": "1.0", "nodes": [{"id": "ingest", "type": "ingest", "config": {"driver": "alertmanager"}}, `
	for name, node := range map[string]string{
		"poison": `{"id": "ask", "type": "condition", "config": {"expression": "payload.nothing.like.this == 1"}}]}`,
		"lost":   `{"id": "tell", "type": "notify", "config": {"channel": "dead"}, "max_retries": 1}]}`,
	} {
		if err := s.Client.Definition(ctx, name, ingest+node); err != nil {
			return err
		}
	}
	f, err := w.feed(ctx, "diamond", 10, s)
	if err != nil {
		return err
	}
	w.apart = map[string]bool{}
	var lost string
	for n := range w.count(50, 10) {
		for i, definition := range []string{"poison", "lost"} {
			if definition == "lost" && n > 1 {
				continue // a channel that fails five times is asked only now and then
			}
			// A host of its own, and no alert of a feeder.
			body := strings.ReplaceAll(string(alertBody(int64(9_000_000+2*n+i))), "fault-", definition+"-")
			run, _, err := w.post(ctx, s, definition, []byte(body))
			if err != nil {
				return err
			}
			w.apart[run] = true
			w.injected("alert of the definition " + definition)
			if definition == "lost" {
				lost = run
			}
		}
	}
	if err := pause(ctx, w.span(20*time.Second, 3*time.Second)); err != nil {
		return err
	}
	if err := w.settle(ctx, f, s); err != nil {
		w.problem("%v", err)
	}
	for run := range w.apart {
		w.mustBe(ctx, s, run, "failed")
	}
	w.checkReasons(ctx, s, lost, map[string]string{"tell": "500"})
	const alarm = "Messages do not get through the channel dead"
	if err := until(ctx, "the alarm about the receiver that never works", 30*time.Second, func() (bool, error) { return told(alarms, alarm) > 0, nil }); err != nil {
		w.problem("%v", err)
	}
	dead.Reset()
	if err := s.Client.Call(ctx, http.MethodPost, "/orchestration/pipeline/"+lost+"/resume/", nil, nil); err != nil {
		return err
	}
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	w.mustBe(ctx, s, lost, "completed")
	if n := dead.Count(); n != 1 {
		w.problem("%d messages of the run that was continued, want one", n)
	}
	if n := told(alarms, alarm); n != 1 {
		w.problem("%d alarms about one channel, want one", n)
	}
	return w.finish(ctx, f, 20)
}
