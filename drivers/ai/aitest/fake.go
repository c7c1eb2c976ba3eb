package aitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Canaries that must never get into an error.
const (
	KeyCanary  = "sk-canary-of-the-key"
	PathCanary = "canary-of-the-path" // an address may be a password, too
	BodyCanary = "canary of the vendor's words"
)

// Behaviour is what a [Fake] does with a request. The zero value answers with [Good].
type Behaviour struct {
	Answer string        // what the model says
	Hold   chan struct{} // in the middle of the answer, wait until it is closed or the client leaves
	Cut    bool          // in the middle of the answer, break the connection
	Error  string        // in the middle of the answer, send an error event of this type
	Reason string        // why the model stopped, in the vendor's words
	Refuse bool          // the model refuses

	Status      int    // answer with this status and an error body in place of a stream
	RetryAfter  string // with Status: the header
	Location    string // with Status: the header
	Raw         string // answer with 200 and this body
	ContentType string // of Raw, "" for an event stream
	Silent      bool   // never answer
}

// Good is an answer that every provider accepts.
const Good = `{"summary": "Disk /var on db-01 is \"nearly\" full.", "description": "Logs grew by 20\u00a0GB. \ud83d\udcbe", "recommendations": [
{"type": "disk", "priority": "high", "title": "Free space on db-01", "description": "97 % used.", "actions": ["Run du -xh /var", "Rotate the logs"], "evidence": ["disk 97 %"]}]}`

// Call is one request that a [Fake] was sent.
type Call struct {
	Path   string
	Header http.Header
	Body   []byte
	System string
	User   string
}

// Fake is a server that speaks a vendor's API. It is safe for concurrent use.
type Fake struct {
	URL string // base_url for the provider

	format format
	mu     sync.Mutex
	now    Behaviour
	calls  []Call
}

// format is what differs between vendors.
type format struct {
	prefix, path string
	begin        string
	text         func(piece string) string
	event        func(kind string) string // an error event
	refusal      string
	done         string // the reason of a complete answer
	end          func(reason string) string
	prompts      func(body []byte) (system, user string)
}

// Behave sets what the next requests meet.
func (f *Fake) Behave(b Behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = b
}

// Calls returns the requests so far.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

func serve(t testing.TB, format format) *Fake {
	f := &Fake{format: format}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.URL = server.URL + "/" + PathCanary + format.prefix
	return f
}

func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // before anything else: a handler that waits must see the client leave
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/"+PathCanary+f.format.prefix+f.format.path {
		http.Error(w, "aitest: "+r.Method+" "+r.URL.Path+" is not what the vendor offers", http.StatusTeapot)
		return
	}
	system, user := f.format.prompts(body)
	f.mu.Lock()
	b := f.now
	f.calls = append(f.calls, Call{r.URL.Path, r.Header.Clone(), body, system, user})
	f.mu.Unlock()

	switch {
	case b.Silent:
		<-r.Context().Done()
	case b.Status != 0:
		w.Header().Set("Content-Type", "application/json")
		if b.RetryAfter != "" {
			w.Header().Set("Retry-After", b.RetryAfter)
		}
		if b.Location != "" {
			w.Header().Set("Location", b.Location)
		}
		w.WriteHeader(b.Status)
		fmt.Fprintf(w, `{"error": {"type": "some_error", "code": "some_code", "message": "%s, key %s"}}`, BodyCanary, KeyCanary)
	case b.Raw != "":
		contentType := b.ContentType
		if contentType == "" {
			contentType = "text/event-stream"
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, b.Raw)
	default:
		f.stream(w, r, b)
	}
}

func (f *Fake) stream(w http.ResponseWriter, r *http.Request, b Behaviour) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	send := func(events string) {
		_, _ = io.WriteString(w, events)
		w.(http.Flusher).Flush()
	}
	send(f.format.begin)
	if b.Refuse {
		send(f.format.refusal)
		return
	}
	if b.Answer == "" {
		b.Answer = Good
	}
	pieces := split(b.Answer)
	for i, piece := range pieces {
		if i == len(pieces)/2 {
			switch {
			case b.Hold != nil:
				select {
				case <-b.Hold:
				case <-r.Context().Done():
					return
				}
			case b.Cut:
				panic(http.ErrAbortHandler)
			case b.Error != "":
				send(f.format.event(b.Error))
				return
			}
		}
		send(f.format.text(piece))
	}
	if b.Reason == "" {
		b.Reason = f.format.done
	}
	send(f.format.end(b.Reason))
}

// split cuts an answer as models do: in small pieces that respect characters and nothing else.
func split(answer string) []string {
	size := max(5, len(answer)/2000)
	var pieces []string
	for runes := []rune(answer); len(runes) > 0; {
		n := min(size, len(runes))
		pieces, runes = append(pieces, string(runes[:n])), runes[n:]
	}
	return pieces
}

// NewOpenAI serves the chat-completions API.
func NewOpenAI(t testing.TB) *Fake {
	chunk := func(delta, reason string) string {
		return fmt.Sprintf(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795300000,"model":"gpt-fake-2026-11-01","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}`+"\n\n", delta, reason)
	}
	return serve(t, format{
		prefix: "/v1", path: "/chat/completions",
		begin: ": keep-alive\n\n" + chunk(`{"role":"assistant","content":""}`, "null"),
		text:  func(piece string) string { return chunk(`{"content":`+quote(piece)+`}`, "null") },
		event: func(kind string) string {
			return fmt.Sprintf(`data: {"error":{"type":%s,"code":%s,"message":%s}}`+"\n\n", quote(kind), quote(kind), quote(BodyCanary))
		},
		refusal: chunk(`{"refusal":`+quote(BodyCanary)+`}`, "null") + chunk(`{}`, `"stop"`) + "data: [DONE]\n\n",
		done:    "stop",
		end: func(reason string) string {
			return chunk(`{}`, quote(reason)) +
				`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795300000,"model":"gpt-fake-2026-11-01","choices":[],"usage":{"prompt_tokens":1200,"completion_tokens":300,"total_tokens":1500}}` + "\n\ndata: [DONE]\n\n"
		},
		prompts: func(body []byte) (system, user string) {
			var b struct {
				Messages []struct{ Role, Content string }
			}
			if json.Unmarshal(body, &b) == nil && len(b.Messages) == 2 && b.Messages[0].Role == "system" && b.Messages[1].Role == "user" {
				return b.Messages[0].Content, b.Messages[1].Content
			}
			return "", ""
		},
	})
}

// NewClaude serves the messages API.
func NewClaude(t testing.TB) *Fake {
	event := func(name, data string) string {
		return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + data + "}\n\n"
	}
	thinking := event("content_block_start", `,"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}`) +
		event("content_block_delta", `,"index":0,"delta":{"type":"thinking_delta","thinking":"{\"summary\": \"a thought\"}"}`) +
		event("content_block_delta", `,"index":0,"delta":{"type":"signature_delta","signature":"c2ln"}`) +
		event("content_block_stop", `,"index":0`)
	stop := func(reason string) string {
		return event("message_delta", `,"delta":{"stop_reason":`+quote(reason)+`,"stop_sequence":null},"usage":{"output_tokens":300}`) + event("message_stop", "")
	}
	return serve(t, format{
		path: "/v1/messages",
		begin: event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-fake","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":200,"output_tokens":1}}`) +
			event("ping", "") + thinking + event("content_block_start", `,"index":1,"content_block":{"type":"text","text":""}`),
		text: func(piece string) string {
			return event("content_block_delta", `,"index":1,"delta":{"type":"text_delta","text":`+quote(piece)+`}`)
		},
		event: func(kind string) string {
			return event("error", `,"error":{"type":`+quote(kind)+`,"message":`+quote(BodyCanary)+`}`)
		},
		refusal: stop("refusal"),
		done:    "end_turn",
		end:     func(reason string) string { return event("content_block_stop", `,"index":1`) + stop(reason) },
		prompts: func(body []byte) (system, user string) {
			var b struct {
				System   []struct{ Text string }
				Messages []struct {
					Role    string
					Content []struct{ Text string }
				}
			}
			if json.Unmarshal(body, &b) == nil && len(b.System) == 1 && len(b.Messages) == 1 && b.Messages[0].Role == "user" && len(b.Messages[0].Content) == 1 {
				return b.System[0].Text, b.Messages[0].Content[0].Text
			}
			return "", ""
		},
	})
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// Divert is a transport that sends requests meant for the vendor's own address to the fake.
func Divert(f *Fake) http.RoundTripper { return divert{f} }

type divert struct{ fake *Fake }

func (d divert) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(d.fake.URL + d.fake.format.path)
	if err != nil || r.URL.Scheme != "https" || r.URL.Path != d.fake.format.prefix+d.fake.format.path {
		return nil, fmt.Errorf("aitest: %s is not the vendor's address", r.URL)
	}
	r = r.Clone(r.Context())
	r.URL, r.Host = to, to.Host
	return http.DefaultTransport.RoundTrip(r)
}
