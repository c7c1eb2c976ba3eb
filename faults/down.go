package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"penstock/drivers/notify/notifytest"
)

// downForLong is R14: a receiver is down; half of what it was to be told ends meanwhile. When it is back it is paged
// for the other half only, and the end of every page follows it. Once, while all runs wait, the process is killed.
func downForLong(ctx context.Context, w *world) error {
	s, pager, err := w.paged(ctx, "PENSTOCK_NOTIFY_RETRY_FOR=3m")
	if err != nil {
		return err
	}
	pager.Always(notifytest.Reply{Status: http.StatusServiceUnavailable})
	alerts := int64(w.count(200, 12))
	w.Load = fmt.Sprintf("%d alerts", alerts)
	for n := range alerts {
		if _, _, err := w.post(ctx, s, "oncall", alertBody(n+1)); err != nil {
			return err
		}
		w.Accepted++
	}
	w.injected("receiver down")
	if err := pause(ctx, w.span(30*time.Second, 7*time.Second)); err != nil {
		return err
	}
	if err := s.Kill(); err != nil {
		return err
	}
	w.injected("kill -9 while all wait")
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	if err := pause(ctx, w.span(30*time.Second, 3*time.Second)); err != nil {
		return err
	}
	ended := map[string]bool{} // hosts
	for n := int64(1); n <= alerts; n += 2 {
		if _, _, err := w.post(ctx, s, "oncall", resolvedBody(n)); err != nil {
			return err
		}
		ended[fmt.Sprintf("host-%d", n)] = true
	}
	// What was under way when its alert ended may still be answered.
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	pager.Reset()
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	paged := map[string]int{} // by dedup key
	for _, r := range pager.Requests() {
		var p struct {
			page
			Payload struct{ Source string }
		}
		_ = json.Unmarshal(r.Body, &p) // what is no page has no key
		if p.Action != "trigger" {
			continue
		}
		paged[p.Key]++
		host, _, _ := strings.Cut(p.Payload.Source, ":")
		if ended[host] || p.Key == "" {
			w.problem("%s was paged after its alert had ended (key %q)", host, p.Key)
		}
	}
	if len(paged) != int(alerts)/2 {
		w.problem("%d alerts were paged, want the %d that go on", len(paged), alerts/2)
	}
	for key, n := range paged {
		if n != 1 {
			w.problem("%d pages with the key %s", n, key)
		}
	}
	for n := int64(2); n <= alerts; n += 2 {
		if _, _, err := w.post(ctx, s, "oncall", resolvedBody(n)); err != nil {
			return err
		}
	}
	if err := w.settled(ctx, s); err != nil {
		w.problem("%v", err)
	}
	last := map[string]string{}
	for _, p := range pages(pager) {
		if p.Action == "trigger" && last[p.Key] == "resolve" {
			w.problem("the page %s came after its end", p.Key)
		}
		last[p.Key] = p.Action
	}
	for key := range paged {
		if last[key] != "resolve" {
			w.problem("the page %s was not ended", key)
		}
	}
	return s.Stop()
}
