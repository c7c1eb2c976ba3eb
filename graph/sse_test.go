package graph

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// event of a stream.
type event struct{ name, data string }

// events opens a stream and returns a function for the next event; false at the end.
func (s *stack) events(method, query, variables string, headers ...string) (next func() (event, bool), stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	s.t.Cleanup(cancel)
	target, body := s.URL+"/graphql", `{"query":`+string(encode(query))+`,"variables":`+variables+`}`
	if method == http.MethodGet {
		target, body = target+"?"+url.Values{"query": {query}, "variables": {variables}}.Encode(), ""
	}
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer read"}, "Accept": {mediaStream}, "Content-Type": {mediaJSON}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != mediaStream+"; charset=utf-8" {
		s.t.Fatalf("%d %s", resp.StatusCode, got)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func() (event, bool) {
		var e event
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "event":
				e.name = value
			case name == "data":
				e.data = value
			case name == "" && e.name != "":
				return e, true
			}
		}
		return e, false
	}, cancel
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Recheck = time.Millisecond; l.Ping = 20 * time.Millisecond })
	s.define("waits", `[{"id":"g","type":"gate"}]`)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		t.Run(method+" follows a run to its end", func(t *testing.T) {
			run := s.begin("waits")
			next, _ := s.events(method, `subscription($r: ID!) { runProgress(runId: $r) { __typename } }`, `{"r":"`+run+`"}`)
			if e, _ := next(); e != (event{"next", `{"data":{"runProgress":{"__typename":"RunStatusChanged"}}}`}) {
				t.Fatalf("first event %v", e)
			}
			s.gate("g") <- struct{}{}
			var last event
			for e, ok := next(); ok; e, ok = next() {
				if e.name == "complete" {
					if !strings.Contains(last.data, "RunFinished") || e.data != "" {
						t.Errorf("complete %q after %v", e.data, last)
					}
					return
				}
				last = e
			}
			t.Fatalf("no complete after %v", last)
		})
	}
	t.Run("takes a query too", func(t *testing.T) {
		next, _ := s.events(http.MethodPost, `{ viewer { name } }`, `{}`)
		if e, _ := next(); e != (event{"next", `{"data":{"viewer":{"name":"read"}}}`}) {
			t.Errorf("%v", e)
		}
		if e, _ := next(); e.name != "complete" {
			t.Errorf("%v", e)
		}
	})
	t.Run("a refused request is an event, because EventSource cannot read a 4xx", func(t *testing.T) {
		for _, query := range []string{`{`, `{ nope }`, `subscription { runProgress(runId: "none") { cursor } }`} {
			next, _ := s.events(http.MethodGet, query, `{}`)
			e, _ := next()
			var a struct{ Errors []json.RawMessage }
			if err := json.Unmarshal([]byte(e.data), &a); err != nil || len(a.Errors) != 1 || strings.Contains(e.data, `"data"`) {
				t.Errorf("%s: %v", query, e)
			}
			if e, _ := next(); e.name != "complete" {
				t.Errorf("%s: %v", query, e)
			}
		}
	})
	t.Run("a mutation by GET is 405", func(t *testing.T) {
		r := s.do(http.MethodGet, "?query="+url.QueryEscape(`mutation { cancelRun(input: {runId: "x"}) { run { id } } }`), "", "Accept: "+mediaStream)
		if r.Status != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "POST" {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
	t.Run("clients that take both get a stream for subscriptions only", func(t *testing.T) {
		const accept = "Accept: application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
		run := s.begin("waits")
		next, stop := s.events(http.MethodPost, followRun, `{"r":"`+run+`"}`, accept)
		if e, _ := next(); e.name != "next" {
			t.Errorf("%v", e)
		}
		stop()
		if r := s.do("POST", "", `{"query":"{ __typename }"}`, sendJSON, accept); r.Header.Get("Content-Type") != mediaGraphQL+"; charset=utf-8" {
			t.Errorf("%s", r.Header.Get("Content-Type"))
		}
		s.gate("g") <- struct{}{}
		s.finish(run) // or the next run takes its turn
	})
	t.Run("a revoked token ends an idle stream with words", func(t *testing.T) {
		run := s.begin("waits")
		next, _ := s.events(http.MethodPost, followRun, `{"r":"`+run+`"}`, "Authorization: Bearer operate")
		s.revoke("operate")
		for e, ok := next(); ok; e, ok = next() {
			if strings.Contains(e.data, codeUnauthenticated) {
				if e, _ := next(); e.name != "complete" {
					t.Errorf("%v", e)
				}
				return
			}
		}
		t.Error("the stream ended without an error")
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Streams = 2; l.Ping = 20 * time.Millisecond })
	s.define("waits", `[{"id":"g","type":"gate"}]`)
	run := s.begin("waits")
	var stops []func()
	for range 2 {
		next, stop := s.events(http.MethodPost, followRun, `{"r":"`+run+`"}`)
		if e, _ := next(); e.name != "next" {
			t.Fatalf("%v", e)
		}
		stops = append(stops, stop)
	}
	body := string(encode(map[string]any{"query": followRun, "variables": map[string]string{"r": run}}))
	for accept, media := range map[string]string{mediaStream: mediaStream, mediaGraphQL + ", " + mediaStream: mediaGraphQL} {
		r := s.do(http.MethodPost, "", body, sendJSON, "Accept: "+accept, "Authorization: Bearer read")
		if r.Status != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "1" || r.Header.Get("Content-Type") != media+"; charset=utf-8" ||
			!strings.Contains(string(r.Body), `"retryAfter":1`) || !strings.Contains(string(r.Body), codeRateLimited) {
			t.Errorf("%s: %d %v %s", accept, r.Status, r.Header, r.Body)
		}
	}
	s.query("read", `{ viewer { name } }`, nil) // no stream
	stops[0]()
	for s.do(http.MethodPost, "", `{"query":"{ viewer { name } }"}`, sendJSON, "Accept: "+mediaStream, "Authorization: Bearer read").Status != http.StatusOK {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the handler ends after the client's close returns
	}
	s.gate("g") <- struct{}{}
	s.finish(run)
}

// TestSubscriptionHasOneField counts fields as they are executed: by alias, without those skipped.
func TestSubscriptionHasOneField(t *testing.T) {
	t.Parallel()
	s := start(t)
	const field = `runProgress(runId: "x") { cursor }`
	for query, want := range map[string]string{
		`subscription { a: ` + field + ` b: ` + field + ` }`:                                       "GRAPHQL_VALIDATION_FAILED",
		`subscription { ` + field + ` ...F } fragment F on Subscription { b: ` + field + ` }`:      "GRAPHQL_VALIDATION_FAILED",
		`subscription { runProgress(runId: "x") @skip(if: true) { cursor } }`:                      "GRAPHQL_VALIDATION_FAILED",
		`subscription { ` + field + ` ... on Subscription { ` + field + ` } }`:                     codeNotFound, // the same field
		`subscription { ` + field + ` b: runProgress(runId: "y") @include(if: false) { cursor } }`: codeNotFound,
	} {
		r := s.do("POST", "", string(encode(map[string]string{"query": query})), sendJSON, "Accept: "+mediaStream)
		if !strings.Contains(string(r.Body), `"code":"`+want+`"`) {
			t.Errorf("%s: %s", query, r.Body)
		}
	}
	if log := s.log.String(); log != "" {
		t.Errorf("logged: %s", log)
	}
}
