package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// subject takes deliveries in and passes them on to the receiver of its ledger.
type subject struct {
	url, token string
	ledger     *ledger
	drain      time.Duration
}

// load is what is sent: by a number of senders, each waiting for its answer, or at a rate, whatever
// the answers.
type load struct {
	senders, rate int
	duration      time.Duration
}

// measurement of one load.
type measurement struct {
	Senders    int       `json:"senders,omitempty"`
	Rate       int       `json:"rate,omitempty"`
	Accepted   float64   `json:"accepted_per_second"`
	Completed  float64   `json:"completed_per_second"` // arrived while the load ran
	Ack        quantiles `json:"ack"`
	EndToEnd   quantiles `json:"webhook_to_receiver"`
	Shed       int       `json:"shed"` // answered 429 or 503
	Failed     int       `json:"failed"`
	CPUSeconds float64   `json:"cpu_seconds_per_1000,omitempty"`

	arrived int
}

var sender = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true},
}

// senders is the state that the senders of one load share.
type senders struct {
	subject      *subject
	ctx          context.Context // ends with the load
	shed, failed atomic.Int64
	firstError   atomic.Pointer[error]
}

// run sends the load, waits until what was accepted has arrived, and measures.
func (s *subject) run(ctx context.Context, l load) (measurement, error) {
	first, begin := s.ledger.count.Load()+1, time.Now()
	during, stop := context.WithDeadline(ctx, begin.Add(l.duration))
	defer stop()
	all := &senders{subject: s, ctx: during}
	var wg sync.WaitGroup
	if l.rate > 0 {
		for due := begin; due.Before(begin.Add(l.duration)); due = due.Add(time.Second / time.Duration(l.rate)) {
			wait(during, time.Until(due))
			wg.Go(func() { all.send(due) })
		}
	}
	for range l.senders {
		wg.Go(func() {
			for during.Err() == nil {
				wait(during, all.send(time.Now()))
			}
		})
	}
	<-during.Done()
	end, seconds := int64(time.Since(s.ledger.begin)), time.Since(begin).Seconds()
	wg.Wait()
	if err := s.drained(ctx); err != nil {
		return measurement{}, err
	}
	m := measurement{
		Senders: l.senders, Rate: l.rate, Shed: int(all.shed.Load()), Failed: int(all.failed.Load()),
		Ack: s.ledger.latencies(first, s.ledger.acked), EndToEnd: s.ledger.latencies(first, s.ledger.received),
	}
	accepted, completed := 0, 0
	for n := first; n <= s.ledger.count.Load(); n++ {
		if at := s.ledger.acked[n].Load(); at != 0 && at <= end {
			accepted++
		}
		if at := s.ledger.received[n].Load(); at != 0 {
			m.arrived++
			if at <= end {
				completed++
			}
		}
	}
	m.Accepted, m.Completed = float64(accepted)/seconds, float64(completed)/seconds
	if err := all.firstError.Load(); accepted == 0 && err != nil {
		return m, *err
	}
	return m, nil
}

// drained waits until everything acknowledged has arrived. Giving up is not an error here: the
// report counts what is lost.
func (s *subject) drained(ctx context.Context) error {
	for deadline := time.Now().Add(s.drain); s.ledger.missing() > 0 && time.Now().Before(deadline); {
		wait(ctx, 5*time.Millisecond)
	}
	return ctx.Err()
}

// send posts a new alert and returns how long the subject wants the sender to wait.
func (a *senders) send(due time.Time) (pause time.Duration) {
	n, err := a.subject.ledger.add(due)
	if err != nil {
		a.fail(err)
		return time.Second
	}
	// The request outlives the load: what is on its way is to be answered.
	ctx := context.WithoutCancel(a.ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.subject.url, bytes.NewReader(delivery(n)))
	if err != nil {
		a.fail(err)
		return time.Second
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+a.subject.token)
	answer, err := sender.Do(request)
	if err != nil {
		a.fail(err)
		return 100 * time.Millisecond
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	switch {
	case err != nil:
		a.fail(err)
	case answer.StatusCode/100 == 2:
		a.subject.ledger.acknowledge(n)
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable:
		a.shed.Add(1)
		after, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil {
			a.fail(fmt.Errorf("%d without Retry-After: %s", answer.StatusCode, text))
			after = 1
		}
		return time.Duration(after) * time.Second
	default:
		a.fail(fmt.Errorf("%d: %s", answer.StatusCode, text))
		return 100 * time.Millisecond
	}
	return 0
}

func (a *senders) fail(err error) {
	a.failed.Add(1)
	a.firstError.CompareAndSwap(nil, &err)
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// delivery is an Alertmanager webhook with one alert that nobody has seen: its own fingerprint,
// start and host, so that each is a new incident.
func delivery(n int64) []byte {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	return fmt.Appendf(nil, `{"version":"4","groupKey":"{}:{alertname=\"DiskFull\"}","truncatedAlerts":0,"status":"firing","receiver":"penstock",`+
		`"groupLabels":{"alertname":"DiskFull"},"commonLabels":{"alertname":"DiskFull","job":"node","severity":"critical"},"commonAnnotations":{},`+
		`"externalURL":"http://alertmanager.example.com:9093","alerts":[{"status":"firing","labels":{"alertname":"DiskFull",`+
		`"instance":"host-%d.example.com:9100","job":"node","mountpoint":"/var","severity":"critical"},"annotations":{`+
		`"summary":"Disk /var is 97 %% full","description":"Less than 3 %% of /var is free; it fills up within the hour."},`+
		`"startsAt":"%s","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example.com:9090/graph","fingerprint":"`+mark+`%d"}]}`, n, now, n)
}

// mark precedes the delivery's number in its fingerprint, by which the receiver knows it.
const mark = "bench-"

// numberIn finds the delivery's number in what the receiver got.
func numberIn(body []byte) (int64, error) {
	_, rest, found := bytes.Cut(body, []byte(mark))
	if !found {
		return 0, errors.New("no fingerprint of ours in it")
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return 0, errors.New("the fingerprint does not end")
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}
