package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// percentile is the least of all that so many per cent do not exceed; 0 of none.
func percentile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)*percent/100]
}

// answeredWithin is the p99 of the time in which requests of a span were acknowledged.
func (f *feeder) answeredWithin(from, to time.Time) time.Duration {
	accepted, _ := took(f.between(from, to))
	return percentile(accepted, 99)
}

// took is how long requests took until they were acknowledged, and until they were refused.
func took(entries []entry) (accepted, refused []time.Duration) {
	for _, e := range entries {
		d := time.Duration(e.TookMS * float64(time.Millisecond))
		if e.Outcome == outcomeOK {
			accepted = append(accepted, d)
		} else {
			refused = append(refused, d)
		}
	}
	return accepted, refused
}

// forLoad is an installation whose receiver answers at once, with the definition "short".
func (w *world) forLoad(ctx context.Context) (*harness.Server, error) {
	s, err := w.installation(ctx)
	if err != nil {
		return nil, err
	}
	w.receiver.Always(notifytest.Reply{})
	w.needs = shortNeeds
	return s, s.Client.Definition(ctx, "short", short)
}

// borne is R19: so many alerts a second, for minutes. All are accepted, soon, and told soon.
func borne(ctx context.Context, w *world) error {
	s, err := w.forLoad(ctx)
	if err != nil {
		return err
	}
	const rate, span = 100, 3 * time.Minute
	w.Load = fmt.Sprintf("%d/s for %s", rate, span)
	f, err := w.feed(ctx, "short", rate, s)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, span); err != nil {
		return err
	}
	ended := time.Now()
	if err := w.settle(ctx, f, s); err != nil {
		w.problem("%v", err)
	}
	w.checkAnswers("the load", f, began, ended, 0)
	pages := w.toldAfter(f, began, ended)
	w.note("from an acceptance to its page p50 %.0f ms, p99 %.0f ms", ms(percentile(pages, 50)), ms(percentile(pages, 99)))
	// 250 ms and 2 s on a machine that has nothing else to do; another load decides beyond that.
	if p99 := f.answeredWithin(began, ended); p99 > 2*time.Second {
		w.problem("p99 of an acceptance is %s", p99)
	}
	if p99 := percentile(pages, 99); p99 > 10*time.Second {
		w.problem("p99 from an acceptance to its page is %s", p99)
	}
	if err := w.checkMemory(s, 512); err != nil {
		return err
	}
	return w.finish(ctx, f, int(span.Seconds())*rate*9/10)
}

// overloaded is R20: what this machine can bear is found out; then comes two fifths of it, five times as much as that,
// and two fifths again. What is not accepted is refused at once with a time to wait; what is accepted is worked.
func overloaded(ctx context.Context, w *world) error {
	s, err := w.forLoad(ctx)
	if err != nil {
		return err
	}
	var ledger []entry
	phase := func(f *feeder, span time.Duration) (began, ended time.Time, err error) {
		began = time.Now()
		if err := pause(ctx, span); err != nil {
			return began, ended, err
		}
		ended = time.Now()
		err = f.stop(30 * time.Second)
		ledger = append(ledger, f.between(time.Time{}, time.Now())...)
		return began, ended, err
	}
	const settling = 5 * time.Second
	crowd, err := w.crowd(ctx, "short", 64, s)
	if err != nil {
		return err
	}
	began, ended, err := phase(crowd, 20*time.Second)
	if err != nil {
		return err
	}
	peak := w.toldPerSecond(began.Add(settling), ended)
	normal := int(peak * 2 / 5)
	if normal == 0 {
		return fmt.Errorf("nobody was told while 64 senders posted")
	}
	w.Load = fmt.Sprintf("%d, %d, %d /s", normal, 5*normal, normal)
	w.note("64 senders that wait for their answers: %.0f alerts/s accepted and told; overloads are measured by it", peak)

	f, err := w.feed(ctx, "short", normal, s)
	if err != nil {
		return err
	}
	if began, ended, err = phase(f, 20*time.Second); err != nil {
		return err
	}
	w.checkAnswers("load", f, began, ended, 0)
	calm := f.answeredWithin(began, ended)

	over, err := w.feed(ctx, "short", 5*normal, s)
	if err != nil {
		return err
	}
	over.giveUp() // or those who come again would make it more and more
	overBegan, overEnded, err := phase(over, 40*time.Second)
	if err != nil {
		return err
	}
	w.checkAnswers("overload", over, overBegan, overEnded, time.Second)
	goodput := w.toldPerSecond(overBegan.Add(settling), overEnded)
	w.note("goodput %.0f/s, %.0f %% of the peak", goodput, 100*goodput/peak)
	// Eighty per cent are promised; the senders of the overload are on the same two cores.
	if goodput < peak*6/10 {
		w.problem("the goodput of an overload is %.0f/s, less than 60 %% of the %.0f/s that this machine can bear", goodput, peak)
	}

	if f, err = w.feed(ctx, "short", normal, s); err != nil {
		return err
	}
	if began, ended, err = phase(f, 40*time.Second); err != nil {
		return err
	}
	began = began.Add(30 * time.Second)
	w.checkAnswers("load again", f, began, ended, 0)
	after := f.answeredWithin(began, ended)
	w.note("p99 of an acceptance before the overload %.0f ms, 30 s after it %.0f ms", ms(calm), ms(after))
	if after > 2*calm+500*time.Millisecond {
		w.problem("p99 of an acceptance is %s, 30 s after an overload; before it was %s", after, calm)
	}
	if err := w.settledWithin(ctx, s, 5*time.Minute); err != nil {
		w.problem("%v", err)
	}
	w.recovered("the end of every run after the last load", time.Since(ended), time.Minute)

	pages := w.toldAfter(over, overBegan, overEnded)
	w.note("overload: from an acceptance to its page p50 %.1f s, p99 %.1f s, at most %.1f s",
		percentile(pages, 50).Seconds(), percentile(pages, 99).Seconds(), percentile(pages, 100).Seconds())
	// How many may wait is a number: a slower machine takes longer for them.
	if last, limit := percentile(pages, 100), max(10*time.Second, time.Duration(2*2000/peak*float64(time.Second))); last > limit {
		w.problem("a page left %s after its alert was accepted, not within %s", last, limit)
	}
	if err := w.checkMemory(s, 768); err != nil {
		return err
	}
	f.entries = ledger // one for the checks
	return w.finish(ctx, f, 1000)
}

// checkAnswers: every request of a span was accepted, or refused with a time to wait, soon. Without a limit none may be
// refused.
func (w *world) checkAnswers(load string, f *feeder, from, to time.Time, limit time.Duration) {
	entries := f.between(from, to)
	for _, e := range entries {
		refused := (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) && e.RetryAfter != ""
		if e.Outcome != outcomeOK && (limit == 0 || !refused) {
			w.problem("%s: alert %d was answered %d %s", load, e.Number, e.Status, e.Error)
		}
	}
	accepted, refused := took(entries)
	w.Faults["refusal"] += len(refused)
	w.note("%s: %d accepted, p99 %.0f ms; %d refused, p50 %.0f ms, p99 %.0f ms", load,
		len(accepted), ms(percentile(accepted, 99)), len(refused), ms(percentile(refused, 50)), ms(percentile(refused, 99)))
	// 100 ms is promised; the senders here are on the same two cores.
	if p99 := percentile(refused, 99); limit > 0 && p99 > limit {
		w.problem("%s: p99 of a refusal is %s, more than %s", load, p99, limit)
	}
}

// toldPerSecond is how many messages the receiver got in a span.
func (w *world) toldPerSecond(from, to time.Time) float64 {
	n := 0
	for _, r := range w.receiver.Requests() {
		if r.At.After(from) && r.At.Before(to) {
			n++
		}
	}
	return float64(n) / to.Sub(from).Seconds()
}

// toldAfter is how long it took from the acceptances of a span to the last message of their runs.
func (w *world) toldAfter(f *feeder, from, to time.Time) (all []time.Duration) {
	last := w.lastTold()
	for _, e := range f.between(from, to) {
		if at := last[e.Run]; e.Outcome == outcomeOK && !at.IsZero() {
			all = append(all, at.Sub(e.At)-time.Duration(e.TookMS*float64(time.Millisecond)))
		}
	}
	return all
}

// lastTold is when the receiver got the message of the node "last", by run.
func (w *world) lastTold() map[string]time.Time {
	last := map[string]time.Time{}
	for _, r := range w.receiver.Requests() {
		var message struct {
			Tags struct {
				RunID string `json:"run_id"`
				Node  string `json:"pipeline_node"`
			}
		}
		if json.Unmarshal(r.Body, &message) == nil && message.Tags.Node == "last" {
			last[message.Tags.RunID] = r.At
		}
	}
	return last
}

// checkMemory: the process has never held more than so many megabytes.
func (w *world) checkMemory(s *harness.Server, limit int64) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return err
	}
	w.note("RSS at most %d MB", kilobytes>>10)
	if kilobytes>>10 > limit {
		w.problem("RSS rose to %d MB, more than %d", kilobytes>>10, limit)
	}
	return nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
