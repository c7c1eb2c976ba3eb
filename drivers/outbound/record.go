package outbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// Exchange is one request and its answer as they went over the wire, without the credentials that are
// known by the name of their header. Secrets at other places are the caller's to remove.
type Exchange struct {
	Request string
	Answer  string // "" if there was none
}

// Recording holds what went out under the context that [Record] returned.
type Recording struct {
	mu          sync.Mutex
	entries     []*entry
	credentials []string
}

type entry struct {
	request, answer         string
	requestBody, answerBody capped
}

type recordingKey struct{}

// Record returns a context under which every exchange is kept, so that the test of a channel or an analyser
// can show exactly what was sent. It is no way to pass arguments: nothing behaves differently under it.
func Record(ctx context.Context) (context.Context, *Recording) {
	r := new(Recording)
	return context.WithValue(ctx, recordingKey{}, r), r
}

// Report adds an exchange that is not HTTP; it does nothing unless ctx is recorded.
func Report(ctx context.Context, request, answer string) {
	if r, ok := ctx.Value(recordingKey{}).(*Recording); ok {
		r.add(&entry{request: request, answer: answer})
	}
}

func (r *Recording) add(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
}

// Exchanges returns what was recorded so far, and the values of the headers that were left out of it, which
// an answer may repeat.
func (r *Recording) Exchanges() (list []Exchange, credentials []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		list = append(list, Exchange{Request: e.request + e.requestBody.String(), Answer: e.answer + e.answerBody.String()})
	}
	return list, slices.Clone(r.credentials)
}

// credentialHeaders hold nothing but credentials.
var credentialHeaders = []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "Cookie", "Set-Cookie"}

func (r *Recording) head(first string, h http.Header) string {
	var b bytes.Buffer
	b.WriteString(first + "\n")
	shown := h.Clone()
	for _, name := range credentialHeaders {
		for i, value := range shown.Values(name) {
			shown[name][i] = "[secret]"
			r.mu.Lock()
			r.credentials = append(r.credentials, value)
			r.mu.Unlock()
		}
	}
	_ = shown.Write(&b) // into memory
	b.WriteString("\n")
	return string(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n")))
}

// recorder is the transport of a [Client].
type recorder struct{ *http.Transport }

func (t recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(recordingKey{}).(*Recording)
	if !ok {
		return t.Transport.RoundTrip(req)
	}
	e := &entry{request: r.head(req.Method+" "+req.URL.Redacted(), req.Header)}
	r.add(e)
	if req.Body != nil {
		req = req.Clone(req.Context())
		req.Body = tee{req.Body, &e.requestBody}
	}
	resp, err := t.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	head := r.head(resp.Proto+" "+resp.Status, resp.Header)
	r.mu.Lock()
	e.answer = head
	r.mu.Unlock()
	resp.Body = tee{resp.Body, &e.answerBody}
	return resp, nil
}

// tee copies what is read of a body.
type tee struct {
	io.ReadCloser
	into *capped
}

func (t tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.into.add(p[:n])
	return n, err
}

// capped is the beginning of a body. The transport may still read a request when its answer is there.
type capped struct {
	mu   sync.Mutex
	text []byte
	more int
}

const recordLimit = 32 << 10 // bytes of a body

func (c *capped) add(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(p), recordLimit-len(c.text))
	c.text, c.more = append(c.text, p[:n]...), c.more+len(p)-n
}

func (c *capped) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more > 0 {
		return fmt.Sprintf("%s\n… and %d bytes more", c.text, c.more)
	}
	return string(c.text)
}
