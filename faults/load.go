package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// answeredWithin is the p99 of the time in which requests of a span were acknowledged.
func (f *feeder) answeredWithin(from, to time.Time) time.Duration {
	var took []float64
	for _, e := range f.between(from, to) {
		if e.Outcome == outcomeOK {
			took = append(took, e.TookMS)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return time.Duration(took[len(took)*99/100] * float64(time.Millisecond))
}

// loaded is R19 and R20: so many alerts a second, for a while each. What is not accepted is refused with words, and all
// that is accepted is worked.
func loaded(rates ...int) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		s, err := w.installation(ctx)
		if err != nil {
			return err
		}
		w.receiver.Always(notifytest.Reply{})
		w.Load = strings.Trim(fmt.Sprint(rates), "[]") + " /s"
		var all []entry
		for _, rate := range rates {
			f, err := w.feed(ctx, "diamond", rate, s)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := pause(ctx, 20*time.Second); err != nil {
				return err
			}
			ended := time.Now()
			if err := f.stop(30 * time.Second); err != nil {
				return err
			}
			w.checkAnswers(f, rate, began, ended)
			all = append(all, f.between(time.Time{}, time.Now())...)
		}
		// Thousands of runs were accepted; a slow machine takes its time for their messages.
		accepted := time.Now()
		if err := w.settledWithin(ctx, s, 10*time.Minute); err != nil {
			w.problem("%v", err)
		}
		w.note("the last run ended %.0f s after the last load", time.Since(accepted).Seconds())
		most, err := peakMemory(s)
		if err != nil {
			return err
		}
		w.note("RSS at most %d MB", most>>20)
		if most > 768<<20 {
			w.problem("RSS rose to %d MB, more than 768", most>>20)
		}
		last := w.feeders[len(w.feeders)-1]
		last.entries = all // one ledger for the checks
		return w.finish(ctx, last, 20*rates[0]/2)
	}
}

// checkAnswers: every request was accepted or refused with words and a time to wait.
func (w *world) checkAnswers(f *feeder, rate int, from, to time.Time) {
	refused := 0
	for _, e := range f.between(from, to) {
		switch {
		case e.Outcome == outcomeOK:
		case (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) && e.RetryAfter != "":
			refused++
		default:
			w.problem("at %d/s alert %d was answered %d %s", rate, e.Number, e.Status, e.Error)
		}
	}
	w.Faults["refusal"] += refused
	w.note("%d/s: %d accepted, %d times refused, p99 of an acceptance %.0f ms", rate, len(f.acknowledged()), refused, seconds(f.answeredWithin(from, to))*1000)
}

// peakMemory is the most that the process has held, in bytes.
func peakMemory(s *harness.Server) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	_, err = fmt.Sscan(rest, &kilobytes)
	return kilobytes << 10, err
}

// watched is R22: many follow the list of runs by SSE; some of them never read, some leave and come back all the
// time. Senders do not notice, and nothing is left of them.
func watched(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	w.receiver.Always(notifytest.Reply{})
	f, err := w.feed(ctx, "diamond", 10, s)
	if err != nil {
		return err
	}
	if err := pause(ctx, w.span(20*time.Second, 5*time.Second)); err != nil {
		return err
	}
	before, err := usedBy(ctx, s)
	if err != nil {
		return err
	}
	calm := f.answeredWithin(time.Time{}, time.Now())
	audience := &audience{server: s, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	watching, leave := context.WithCancel(ctx)
	defer leave()
	readers, deaf, restless := w.count(980, 100), 20, w.count(200, 20)
	for range readers {
		audience.group.Go(func() { audience.problem(audience.follow(watching, true)) })
	}
	for range deaf {
		audience.group.Go(func() { audience.problem(audience.follow(watching, false)) })
	}
	for range restless {
		audience.group.Go(func() {
			for watching.Err() == nil {
				moment, end := context.WithTimeout(watching, between(500*time.Millisecond, 1500*time.Millisecond))
				audience.problem(audience.follow(moment, true))
				end()
			}
		})
	}
	w.Faults["subscriber"], w.Faults["subscriber that never reads"], w.Faults["subscriber that comes and goes"] = readers, deaf, restless
	began := time.Now()
	if err := pause(ctx, w.span(40*time.Second, 8*time.Second)); err != nil {
		return err
	}
	beside := f.answeredWithin(began, time.Now())
	leave()
	audience.group.Wait()
	w.note("p99 of an acceptance %.0f ms, beside subscribers %.0f ms; they got %d events", seconds(calm)*1000, seconds(beside)*1000, audience.events)
	if beside > 2*calm+500*time.Millisecond {
		w.problem("p99 of an acceptance rose from %s to %s", calm, beside)
	}
	if audience.events < readers {
		w.problem("%d subscribers got %d events", readers, audience.events)
	}
	for _, err := range audience.errs[:min(len(audience.errs), 3)] {
		w.problem("a subscriber (of %d): %v", len(audience.errs), err)
	}
	w.backToNormal(ctx, s, before)
	return w.finish(ctx, f, 40)
}

// audience is everybody who follows the list of runs.
type audience struct {
	server *harness.Server
	client *http.Client
	group  sync.WaitGroup

	mu     sync.Mutex
	events int
	errs   []error
}

func (a *audience) problem(err error) {
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.errs = append(a.errs, err)
	}
}

// follow subscribes until ctx ends; unless it reads, it takes nothing but the head of the answer.
func (a *audience) follow(ctx context.Context, reads bool) error {
	query, err := json.Marshal(map[string]string{"query": "subscription { runsChanged { cursor } }"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server.URL+"/graphql", bytes.NewReader(query))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.server.Client.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := a.client.Do(r)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it has left
	}
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("subscribe: %s", answer.Status)
	}
	if !reads {
		<-ctx.Done()
		return nil
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), "runsChanged") {
			a.mu.Lock()
			a.events++
			a.mu.Unlock()
		}
	}
	if ctx.Err() == nil {
		return fmt.Errorf("the stream ended: %w", lines.Err())
	}
	return nil
}
