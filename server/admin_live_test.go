package server_test

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/auth"
	"penstock/engine"
)

// message is one event of a stream.
type message struct{ id, event, data string }

// follow opens the live stream of a run and passes its messages on until it ends or ctx does.
func (s *stack) follow(ctx context.Context, run, after, lastEventID string) <-chan message {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/admin/runs/"+run+"/live?after="+after, nil)
	must(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.tokens[auth.Read])
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := http.DefaultClient.Do(r)
	must(s.t, err)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		s.t.Fatalf("stream: %d %v", res.StatusCode, res.Header)
	}
	out := make(chan message)
	go func() {
		defer close(out)
		defer func() { _ = res.Body.Close() }()
		var m message
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case lines.Text() == "" && m != message{}:
				select {
				case out <- m:
				case <-ctx.Done():
					return
				}
				m = message{}
			case field == "id":
				m.id = value
			case field == "event":
				m.event = value
			case field == "data":
				m.data += value + "\n"
			}
		}
	}()
	return out
}

var logLine = regexp.MustCompile(`<li id="(log-\d+)"`)

func logLines(html string) []string {
	var ids []string
	for _, m := range logLine.FindAllStringSubmatch(html, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestLive(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("slow", `[{"id":"first","type":"step"},{"id":"hang","type":"step"},{"id":"last","type":"step"}]`)
	run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "slow"})
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	first, drop := context.WithCancel(ctx)
	var seen []string
	lastID := ""
	for m := range s.follow(first, run.ID, "0", "") {
		if m.id == "" || m.event != "" || !strings.Contains(m.data, `hx-target="#run-head"`) {
			t.Errorf("a message before the end is %+v, want an id and parts of the page", m)
		}
		lastID = m.id
		seen = append(seen, logLines(m.data)...)
		if strings.Contains(m.data, `id="stage-hang"`) {
			break // the node hangs: drop the connection here
		}
	}
	drop()

	page := s.do(request{path: "/admin/runs/" + run.ID, as: auth.Read})
	if !strings.Contains(page.body, `hx-sse:connect="/admin/runs/`+run.ID+`/live?after=`) || !strings.Contains(page.body, "Waits for <bdi>hang") {
		t.Error("the page of a run that works does not follow it, or does not say what it waits for")
	}
	close(s.release)
	_, err = s.engine.Wait(ctx, run.ID)
	must(t, err)

	var end message
	var resumed string
	for m := range s.follow(ctx, run.ID, "0", lastID) { // the header wins over the address
		end = m
		resumed += m.data
		seen = append(seen, logLines(m.data)...)
	}
	if end.event != "end" {
		t.Errorf("the stream ends with %+v, want event: end", end)
	}
	for _, part := range []string{`id="stage-hang"`, `id="stage-last"`, "Completed"} {
		if !strings.Contains(resumed, part) {
			t.Errorf("after the reconnect %q is missing", part)
		}
	}
	page = s.do(request{path: "/admin/runs/" + run.ID, as: auth.Read})
	if want := logLines(page.body); !slices.Equal(seen, want) || len(want) < 7 {
		t.Errorf("lines over both connections %v, the page has %v", seen, want)
	}
	if strings.Contains(page.body, "hx-sse:connect") {
		t.Error("the page of a run that has ended still follows it")
	}

	t.Run("a cursor at the end gets the word that there is no more", func(t *testing.T) {
		var events []string
		for m := range s.follow(ctx, run.ID, "9999", "") {
			events = append(events, m.event)
		}
		if len(events) == 0 || events[len(events)-1] != "end" {
			t.Errorf("events %v", events)
		}
	})
	t.Run("what is no cursor, and no run, is refused", func(t *testing.T) {
		if a := s.do(request{path: "/admin/runs/" + run.ID + "/live?after=x", as: auth.Read}); a.status != http.StatusBadRequest {
			t.Errorf("cursor x: %d", a.status)
		}
		if a := s.do(request{path: "/admin/runs/none/live", as: auth.Read}); a.status != http.StatusNotFound {
			t.Errorf("no run: %d", a.status)
		}
	})
}

func TestLiveSignedOut(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("waits", `[{"id":"hang","type":"step"}]`)
	run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "waits"})
	must(t, err)
	secret, token, err := s.auth.CreateToken(t.Context(), auth.TokenInput{Name: "leaver", Scopes: []auth.Scope{auth.Read}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	leaver := *s
	leaver.tokens = map[auth.Scope]string{auth.Read: secret}
	messages := leaver.follow(ctx, run.ID, "0", "")
	must(t, s.auth.RevokeToken(t.Context(), token.ID))
	var last message
	for m := range messages {
		last = m
	}
	if last.event != "signed-out" {
		t.Errorf("the last message is %+v, want event: signed-out", last)
	}
}
