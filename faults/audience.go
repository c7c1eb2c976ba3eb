package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// watched is R22: many follow the list of runs by SSE and by WebSocket; some of them never read, some leave and come
// back all the time. Senders do not notice, and nothing is left of them.
func watched(ctx context.Context, w *world) error {
	// Every change of a run goes to everybody, and all of them live on the machine that is measured.
	s, err := w.installation(ctx, "PENSTOCK_GRAPHQL_LIMITS=sockets=1000,streams=2000")
	if err != nil {
		return err
	}
	w.receiver.Always(notifytest.Reply{})
	f, err := w.feed(ctx, "diamond", w.count(3, 10), s)
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
	// Twelve hundred, of whom two hundred have a WebSocket.
	for _, group := range []struct {
		by                      string
		follow                  func(ctx context.Context, reads bool) error
		readers, deaf, restless int
	}{
		{"SSE", audience.stream, w.count(820, 80), 15, w.count(165, 16)},
		{"WebSocket", audience.socket, w.count(160, 20), 5, w.count(35, 4)},
	} {
		w.Faults["subscriber by "+group.by] = group.readers
		w.Faults["that never reads, by "+group.by] = group.deaf
		w.Faults["that comes and goes, by "+group.by] = group.restless
		audience.readers += group.readers
		for range group.readers {
			audience.group.Go(func() { audience.problem(group.follow(watching, true)) })
		}
		for range group.deaf {
			audience.group.Go(func() { audience.problem(group.follow(watching, false)) })
		}
		for range group.restless {
			audience.group.Go(func() {
				for watching.Err() == nil {
					moment, end := context.WithTimeout(watching, between(500*time.Millisecond, 1500*time.Millisecond))
					audience.problem(group.follow(moment, true))
					end()
				}
			})
		}
	}
	if err := pause(ctx, w.span(15*time.Second, 3*time.Second)); err != nil { // until all have taken their seats
		return err
	}
	began := time.Now()
	if err := pause(ctx, w.span(40*time.Second, 8*time.Second)); err != nil {
		return err
	}
	beside := f.answeredWithin(began, time.Now())
	leave()
	audience.group.Wait()
	w.note("p99 of an acceptance %.0f ms, beside subscribers %.0f ms; they got %d events", ms(calm), ms(beside), audience.events)
	// Twice as long is promised; here those who watch take their time from the same two cores.
	if beside > 2*calm+1500*time.Millisecond {
		w.problem("p99 of an acceptance rose from %s to %s", calm, beside)
	}
	if audience.events < audience.readers {
		w.problem("%d subscribers got %d events", audience.readers, audience.events)
	}
	for _, err := range audience.errs[:min(len(audience.errs), 3)] {
		w.problem("a subscriber (of %d): %v", len(audience.errs), err)
	}
	w.backToNormal(ctx, s, before)
	if err := w.checkMemory(s, 512); err != nil {
		return err
	}
	return w.finish(ctx, f, 40)
}

// audience is everybody who follows the list of runs.
type audience struct {
	server  *harness.Server
	client  *http.Client
	group   sync.WaitGroup
	readers int // those who stay

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

func (a *audience) got() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events++
}

const everyRun = `{"query": "subscription { runsChanged { cursor } }"}`

// stream subscribes by SSE until ctx ends; unless it reads, it takes nothing but the head of the answer.
func (a *audience) stream(ctx context.Context, reads bool) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server.URL+"/graphql", strings.NewReader(everyRun))
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
			a.got()
		}
	}
	if ctx.Err() == nil {
		return fmt.Errorf("the stream ended: %w", lines.Err())
	}
	return nil
}

// socket subscribes by WebSocket until ctx ends; unless it reads, it takes nothing but the acknowledgement.
func (a *audience) socket(ctx context.Context, reads bool) error {
	conn, _, err := websocket.Dial(ctx, a.server.URL+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"},
		HTTPHeader:   http.Header{"Authorization": {"Bearer " + a.server.Client.Token}},
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it has left
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	type message struct {
		ID      string          `json:"id,omitempty"`
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}
	var m message
	err = wsjson.Write(ctx, conn, message{Type: "connection_init"})
	if err == nil {
		err = wsjson.Read(ctx, conn, &m)
	}
	if err == nil && m.Type != "connection_ack" {
		err = fmt.Errorf("connection_init was answered %s", m.Type)
	}
	if err == nil {
		err = wsjson.Write(ctx, conn, message{ID: "1", Type: "subscribe", Payload: json.RawMessage(everyRun)})
	}
	if err == nil && !reads {
		<-ctx.Done()
	}
	for err == nil && ctx.Err() == nil {
		m = message{}
		if err = wsjson.Read(ctx, conn, &m); err == nil && m.Type != "next" {
			err = fmt.Errorf("the subscription got %s %s", m.Type, m.Payload)
		} else if err == nil {
			a.got()
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it has left
	}
	return err
}
