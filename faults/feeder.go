package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"penstock/e2e/harness"
)

// Outcomes of a request, as its sender knows them.
const (
	outcomeOK      = "ok"      // 2xx: a promise
	outcomeFailed  = "failed"  // answered otherwise, or nobody listens
	outcomeUnknown = "unknown" // sent and never answered
)

// entry is a line of the ledger: one request.
type entry struct {
	At         time.Time `json:"at"`
	Number     int64     `json:"number"`
	Outcome    string    `json:"outcome"`
	Status     int       `json:"status,omitempty"`
	RetryAfter string    `json:"retry_after,omitempty"`
	Run        string    `json:"run,omitempty"`
	TookMS     float64   `json:"took_ms"`
	Error      string    `json:"error,omitempty"`
}

// feeder posts alerts at a rate, each of a host of its own, whether or not anybody listens, and posts what was
// not acknowledged again after a second and then, as Alertmanager does, after longer and longer. Every request is a line of its ledger.
type feeder struct {
	clients  []*harness.Client // taken in turn
	path     string
	next     atomic.Int64
	cancel   context.CancelFunc
	senders  sync.WaitGroup
	giveUp   context.CancelFunc // of patience
	patience context.Context    // ends: what is not acknowledged by now is given up

	mu      sync.Mutex
	ledger  *bufio.Writer
	file    *os.File
	err     error
	entries []entry
}

// answerLimit is how long a sender waits: longer than a fault that is answered, shorter than one that is not.
const answerLimit = 10 * time.Second

// feed begins to post to the definition, rate times a second, to the servers in turn.
func (w *world) feed(ctx context.Context, definition string, rate int, servers ...*harness.Server) (*feeder, error) {
	if w.Load == "" {
		w.Load = fmt.Sprintf("%d/s", rate)
	}
	f, ctx, err := w.newFeeder(ctx, definition, servers)
	if err != nil {
		return nil, err
	}
	f.senders.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.senders.Go(func() { f.deliver(f.next.Add(1)) })
			case <-ctx.Done():
				return
			}
		}
	})
	return f, nil
}

// crowd begins to post to the definition: so many senders, each with its next alert as soon as the last is acknowledged.
func (w *world) crowd(ctx context.Context, definition string, senders int, s *harness.Server) (*feeder, error) {
	f, ctx, err := w.newFeeder(ctx, definition, []*harness.Server{s})
	if err != nil {
		return nil, err
	}
	for range senders {
		f.senders.Go(func() {
			for ctx.Err() == nil {
				f.deliver(f.next.Add(1))
			}
		})
	}
	return f, nil
}

// newFeeder makes a feeder; the context is that of its senders.
func (w *world) newFeeder(ctx context.Context, definition string, servers []*harness.Server) (*feeder, context.Context, error) {
	file, err := os.Create(filepath.Join(w.dir, fmt.Sprintf("ledger-%d.jsonl", len(w.feeders)+1)))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	patience, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	f := &feeder{
		path: "/orchestration/pipeline/?definition=" + definition, cancel: cancel,
		patience: patience, giveUp: giveUp, file: file, ledger: bufio.NewWriter(file),
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 5 * time.Second}
	for _, s := range servers {
		f.clients = append(f.clients, &harness.Client{URL: s.URL, Token: s.Client.Token, HTTP: &http.Client{Timeout: answerLimit, Transport: transport}})
	}
	f.next.Store(int64(len(w.feeders)) * 1_000_000) // no two feeders send the same alert
	w.feeders = append(w.feeders, f)
	return f, ctx, nil
}

// deliver posts one alert until it is acknowledged.
func (f *feeder) deliver(number int64) {
	body, wait := alertBody(number), time.Second
	for try := int64(0); ; try++ {
		if f.post(f.client(number+try), number, body).Outcome == outcomeOK {
			return
		}
		select {
		case <-time.After(wait):
		case <-f.patience.Done():
			return
		}
		wait = min(wait*3/2, 5*time.Second)
	}
}

func (f *feeder) post(c *harness.Client, number int64, body []byte) entry {
	at := time.Now()
	status, header, answer, err := c.Send(context.Background(), http.MethodPost, f.path, body)
	e := entry{At: at, Number: number, Status: status, TookMS: float64(time.Since(at).Microseconds()) / 1000}
	switch {
	case err != nil && errors.Is(err, syscall.ECONNREFUSED):
		e.Outcome, e.Error = outcomeFailed, err.Error()
	case err != nil:
		e.Outcome, e.Error = outcomeUnknown, err.Error()
	case status/100 == 2:
		var a struct {
			RunID string `json:"run_id"`
		}
		_ = json.Unmarshal(answer, &a) // an answer without a run is found by the checks
		e.Outcome, e.Run = outcomeOK, a.RunID
	default:
		e.Outcome, e.Error, e.RetryAfter = outcomeFailed, string(answer), header.Get("Retry-After")
	}
	f.record(e)
	return e
}

// record writes the entry down before the next request of the same alert; it is on disk when the feeder ends.
func (f *feeder) record(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, e)
	if f.ledger == nil { // a case that posts one by one keeps no file
		return
	}
	if err := json.NewEncoder(f.ledger).Encode(e); err != nil && f.err == nil {
		f.err = err
	}
}

// stop ends the feed. What is not acknowledged yet is posted again for at most patience.
func (f *feeder) stop(patience time.Duration) error {
	f.cancel()
	timer := time.AfterFunc(patience, f.giveUp)
	f.senders.Wait()
	timer.Stop()
	f.clients[0].HTTP.CloseIdleConnections() // of all: they share a transport
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.err, f.ledger.Flush(), f.file.Sync())
}

// end ends the feed, whatever is open, and closes the ledger. It is harmless after stop.
func (f *feeder) end() {
	f.cancel()
	f.giveUp()
	f.senders.Wait()
	_ = f.file.Close()
}

// acknowledged are the alerts that were answered 2xx, with the runs of their answers.
func (f *feeder) acknowledged() map[int64][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[int64][]string{}
	for _, e := range f.entries {
		if e.Outcome == outcomeOK {
			all[e.Number] = append(all[e.Number], e.Run)
		}
	}
	return all
}

// between are the requests that began in a span of time.
func (f *feeder) between(from, to time.Time) []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []entry
	for _, e := range f.entries {
		if !e.At.Before(from) && e.At.Before(to) {
			all = append(all, e)
		}
	}
	return all
}

// firstOK waits for the first request that begins after from and is acknowledged.
func (f *feeder) firstOK(ctx context.Context, from time.Time, limit time.Duration) (time.Time, error) {
	var at time.Time
	err := until(ctx, "a delivery is acknowledged again", limit, func() (bool, error) {
		for _, e := range f.between(from, time.Now()) {
			if e.Outcome == outcomeOK {
				at = e.At.Add(time.Duration(e.TookMS * float64(time.Millisecond)))
				return true, nil
			}
		}
		return false, nil
	})
	return at, err
}

// firstRefusal waits for the first request that begins after from and is not acknowledged.
func (f *feeder) firstRefusal(ctx context.Context, from time.Time, limit time.Duration) (time.Time, error) {
	var at time.Time
	err := until(ctx, "the fault is felt", limit, func() (bool, error) {
		for _, e := range f.between(from, time.Now()) {
			if e.Outcome != outcomeOK {
				at = e.At
				return true, nil
			}
		}
		return false, nil
	})
	return at, err
}

// moveTo sends what follows to another server.
func (f *feeder) moveTo(s *harness.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = []*harness.Client{{URL: s.URL, Token: s.Client.Token, HTTP: f.clients[0].HTTP}}
}

func (f *feeder) client(turn int64) *harness.Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clients[turn%int64(len(f.clients))]
}

// fingerprint of the alert with that number.
func fingerprint(number int64) string { return fmt.Sprintf("fault-%d", number) }

// begin makes the start of an alert the same every time it is posted.
var begin = time.Now().UTC()

// alertBody is an Alertmanager webhook with one alert that nobody has seen.
func alertBody(number int64) []byte {
	return fmt.Appendf(nil, `{"version":"4","status":"firing","receiver":"r","groupLabels":{},"commonLabels":{},"commonAnnotations":{},
		"externalURL":"","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","instance":"host-%d:9100","severity":"critical"},
		"annotations":{"summary":"Disk full"},"startsAt":"%s","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"%s"}]}`,
		number, begin.Add(time.Duration(number)*time.Millisecond).Format(time.RFC3339Nano), fingerprint(number))
}

// resolvedBody says that the alert with that number has ended.
func resolvedBody(number int64) []byte {
	text := strings.ReplaceAll(string(alertBody(number)), `"status":"firing"`, `"status":"resolved"`)
	return []byte(strings.Replace(text, "0001-01-01T00:00:00Z", time.Now().UTC().Format(time.RFC3339Nano), 1))
}
