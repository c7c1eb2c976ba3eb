package notifytest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// Webhook is a receiver of JSON by HTTP. Its usual answer is 200 with an id.
type Webhook struct {
	*Sink
	URL    string
	server *http.Server
}

// Slack is an incoming webhook of Slack: it refuses what Slack refuses, else it answers "ok".
type Slack struct{ *Webhook }

// SlackApp is Slack's Web API, for chat.postMessage and chat.update: URL is the base_url, the bot token
// is [Canary], and a channel "#name" has the id "C-name". It edits only what was posted before.
type SlackApp struct{ *Webhook }

// PagerDuty is the Events API v2: 202 for a valid event, 400 otherwise. URL is the base_url.
type PagerDuty struct{ *Webhook }

// NewWebhook starts a Webhook for the time of a test.
func NewWebhook(t testing.TB) *Webhook { t.Helper(); return forTest(t, StartWebhook) }

// NewSlack starts a Slack for the time of a test.
func NewSlack(t testing.TB) *Slack { t.Helper(); return forTest(t, StartSlack) }

// NewSlackApp starts a SlackApp for the time of a test.
func NewSlackApp(t testing.TB) *SlackApp { t.Helper(); return forTest(t, StartSlackApp) }

// NewPagerDuty starts a PagerDuty for the time of a test.
func NewPagerDuty(t testing.TB) *PagerDuty { t.Helper(); return forTest(t, StartPagerDuty) }

// StartWebhook starts a Webhook on a free port of 127.0.0.1. The caller closes it.
func StartWebhook() (*Webhook, error) {
	return start(func(Request) Reply {
		return Reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"id":"message-1"}`}
	})
}

// StartSlack starts a Slack on a free port of 127.0.0.1. The caller closes it.
func StartSlack() (*Slack, error) {
	w, err := start(func(r Request) Reply {
		if word := slackProblem(r.Body); word != "" {
			return Reply{Status: http.StatusBadRequest, Body: word}
		}
		return Reply{Status: http.StatusOK, Body: "ok"}
	})
	if err != nil {
		return nil, err
	}
	w.URL += "/services/T0000/B0000/" + Canary
	return &Slack{w}, nil
}

// StartSlackApp starts a SlackApp on a free port of 127.0.0.1. The caller closes it.
func StartSlackApp() (*SlackApp, error) {
	var lock sync.Mutex
	posted := map[string]bool{} // "<channel>:<ts>"
	w, err := start(func(r Request) Reply {
		lock.Lock()
		defer lock.Unlock()
		var m struct{ Channel, TS string }
		word := slackProblem(r.Body)
		_ = json.Unmarshal(r.Body, &m) // slackProblem has looked
		switch {
		case r.Header.Get("Authorization") != "Bearer "+Canary:
			word = "invalid_auth"
		case word != "":
		case m.Channel == "":
			word = "channel_not_found"
		case r.Path == "/chat.postMessage":
			m.Channel = "C-" + strings.TrimPrefix(m.Channel, "#")
			m.TS = fmt.Sprintf("1700000000.%06d", len(posted)+1)
			posted[m.Channel+":"+m.TS] = true
		case r.Path != "/chat.update":
			word = "unknown_method"
		case !posted[m.Channel+":"+m.TS]:
			word = "message_not_found"
		}
		answer := map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS}
		if word != "" { // with 200 too, as Slack does
			answer = map[string]any{"ok": false, "error": word}
		}
		body, _ := json.Marshal(answer)
		return Reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(body)}
	})
	if err != nil {
		return nil, err
	}
	return &SlackApp{w}, nil
}

// StartPagerDuty starts a PagerDuty on a free port of 127.0.0.1. The caller closes it.
func StartPagerDuty() (*PagerDuty, error) {
	w, err := start(pagerDutyAnswer)
	if err != nil {
		return nil, err
	}
	return &PagerDuty{w}, nil
}

// Close ends the server and every request that hangs in it.
func (w *Webhook) Close() error {
	close(w.closed)
	return w.server.Close()
}

type closer interface{ Close() error }

func forTest[T closer](t testing.TB, start func() (T, error)) T {
	t.Helper()
	receiver, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	return receiver
}

func start(usual func(Request) Reply) (*Webhook, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start receiver: %w", err)
	}
	w := &Webhook{Sink: newSink(), URL: "http://" + listener.Addr().String()}
	w.server = &http.Server{IdleTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender went away before it had said everything: not a request
		}
		request := Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
		w.answer(rw, r, request, w.take(request), usual)
	})}
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

func (w *Webhook) answer(rw http.ResponseWriter, r *http.Request, request Request, reply Reply, usual func(Request) Reply) {
	if reply.Delay > 0 {
		select {
		case <-time.After(reply.Delay):
		case <-r.Context().Done():
		case <-w.closed:
		}
	}
	switch {
	case reply.Hang:
		select {
		case <-r.Context().Done():
		case <-w.closed:
		}
		panic(http.ErrAbortHandler)
	case reply.Cut:
		panic(http.ErrAbortHandler)
	case reply.Status == 0 && !reply.Endless && !reply.Echo:
		reply = usual(request)
	}
	maps.Copy(rw.Header(), reply.Header)
	status := reply.Status
	if status == 0 {
		status = http.StatusOK
	}
	if reply.Gzip {
		rw.Header().Set("Content-Encoding", "gzip")
	}
	rw.WriteHeader(status)
	switch {
	case reply.Endless:
		var out io.Writer = rw
		if reply.Gzip {
			out = gzip.NewWriter(rw)
		}
		for chunk := make([]byte, 64<<10); ; {
			if _, err := out.Write(chunk); err != nil {
				return
			}
		}
	case reply.Echo:
		fmt.Fprintf(rw, "%s %s\n", request.Method, request.Path)
		_ = request.Header.Write(rw)
		_, _ = rw.Write(request.Body)
	default:
		_, _ = io.WriteString(rw, reply.Body)
	}
}

// slackProblem is the word with which Slack refuses a message, or "".
func slackProblem(body []byte) string {
	type text struct{ Type, Text string }
	type block struct {
		Type             string
		Text             *text
		Fields, Elements []text
	}
	var m struct {
		Text        string
		Attachments []struct{ Blocks []block }
		Blocks      []block
	}
	if json.Unmarshal(body, &m) != nil {
		return "invalid_payload"
	}
	blocks := m.Blocks
	for _, a := range m.Attachments {
		blocks = append(blocks, a.Blocks...)
	}
	if m.Text == "" && len(blocks) == 0 {
		return "no_text"
	}
	total := 0
	bad := func(t text, limit int) bool {
		length := len(utf16.Encode([]rune(t.Text)))
		total += length
		return length == 0 || length > limit || (t.Type != "plain_text" && t.Type != "mrkdwn")
	}
	for _, b := range blocks {
		limit := 3000
		switch {
		case b.Type == "header":
			limit = 150
			if b.Text == nil || b.Text.Type != "plain_text" {
				return "invalid_blocks"
			}
		case b.Type == "section" && b.Text == nil && len(b.Fields) == 0, b.Type == "context" && len(b.Elements) == 0:
			return "invalid_blocks"
		}
		if len(b.Fields) > 10 || len(b.Elements) > 25 || (b.Text != nil && bad(*b.Text, limit)) {
			return "invalid_blocks"
		}
		for _, t := range append(b.Fields, b.Elements...) {
			if bad(t, map[bool]int{true: 2000, false: 3000}[len(b.Fields) > 0]) {
				return "invalid_blocks"
			}
		}
	}
	if len(blocks) > 50 {
		return "invalid_blocks"
	}
	if total > 13000 {
		return "msg_blocks_too_long"
	}
	return ""
}

func pagerDutyAnswer(r Request) Reply {
	var e struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Payload    struct{ Summary, Source, Severity string }
	}
	var errs []string
	need := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, problem)
		}
	}
	need(json.Unmarshal(r.Body, &e) == nil, "The body is not JSON")
	need(r.Path == "/v2/enqueue" && r.Method == http.MethodPost, "There is nothing here")
	need(len(r.Body) <= 512<<10, "The event is larger than 512 KB")
	need(e.RoutingKey != "", "'routing_key' is missing or blank")
	need(len([]rune(e.DedupKey)) <= 255, "'dedup_key' is longer than 255 characters")
	switch e.Action {
	case "trigger":
		need(e.Payload.Summary != "" && len([]rune(e.Payload.Summary)) <= 1024, "'payload.summary' is missing or too long")
		need(e.Payload.Source != "", "'payload.source' is missing or blank")
		need(strings.Contains(" critical error warning info ", " "+e.Payload.Severity+" "), "'payload.severity' is invalid")
	case "acknowledge", "resolve":
		need(e.DedupKey != "", "'dedup_key' is missing or blank")
	default:
		need(false, "'event_action' is invalid")
	}
	answer, status := map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey}, http.StatusAccepted
	if errs != nil {
		answer, status = map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": errs}, http.StatusBadRequest
	}
	body, _ := json.Marshal(answer)
	return Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(body)}
}
