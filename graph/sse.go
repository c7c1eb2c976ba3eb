package graph

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/auth"
	"penstock/fault"
)

// tooManyStreams refuses a stream. Those that are open end by themselves or with their clients, which is noticed at
// the next sign of life.
func (h *handler) tooManyStreams() *gqlerror.Error {
	return rateLimited(max(int(math.Ceil(h.limits.Ping.Seconds())), 1), "You have %d streams open already. Close one first.", h.limits.Streams)
}

// once gives one answer.
func once(resp *graphql.Response) func() *graphql.Response {
	return func() *graphql.Response {
		defer func() { resp = nil }()
		return resp
	}
}

// stream writes Server-Sent Events (graphql-sse, distinct connections mode): `next` with an answer
// each, then `complete`. Errors of the request come as an answer too, because EventSource cannot read
// the body of a 4xx. It calls stop before it returns.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, status int, next func() *graphql.Response, stop func()) {
	answers := make(chan []byte)
	gone := make(chan struct{})
	var pump sync.WaitGroup
	defer pump.Wait()
	defer stop()
	defer close(gone)
	pump.Go(func() {
		defer close(answers)
		for resp := next(); resp != nil; resp = next() {
			var data bytes.Buffer
			answerOf(resp).writeTo(&data)
			select {
			case answers <- data.Bytes(): // encoded here: the next call overwrites resp.Data
			case <-gone:
				return
			}
		}
	})

	head := w.Header()
	head.Set("Content-Type", mediaStream+"; charset=utf-8")
	head.Set("X-Accel-Buffering", "no") // nginx
	w.WriteHeader(status)
	out := http.NewResponseController(w)
	write := func(event string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(h.limits.Write)) // a recorder has none
		_, err := io.WriteString(w, event)
		return err == nil && out.Flush() == nil
	}
	const complete = "event: complete\ndata: \n\n"
	if !write(":\n\n") {
		return
	}
	alive, recheck := time.NewTicker(h.limits.Ping), time.NewTicker(h.limits.Recheck)
	defer alive.Stop()
	defer recheck.Stop()
	p, _ := auth.From(r.Context())
	refused := h.watchCredential(r, p)
	for {
		event := ":\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
		case <-recheck.C:
			event = ""
		case data, more := <-answers:
			if !more {
				write(complete)
				return
			}
			event = "event: next\ndata: " + string(data) + "\n\n"
		}
		if f := refused(); f != nil {
			data := encode(answer{Errors: gqlerror.List{coded(codeUnauthenticated, "%s", f.Message)}})
			write("event: next\ndata: " + string(data) + "\n\n" + complete)
			return
		}
		if event != "" && !write(event) {
			return
		}
	}
}

// watchCredential returns a function that is [handler.revoked], but asks at most every [Limits.Recheck], and not all
// streams at the same moment.
func (h *handler) watchCredential(r *http.Request, p auth.Principal) func() *fault.Error {
	last := time.Now().Add(-rand.N(h.limits.Recheck))
	return func() *fault.Error {
		if time.Since(last) < h.limits.Recheck {
			return nil
		}
		last = time.Now()
		return h.revoked(r, p)
	}
}

// revoked says why r's credential no longer stands for p with the same rights, nil while it does. A
// store that cannot be asked revokes nothing.
func (h *handler) revoked(r *http.Request, p auth.Principal) *fault.Error {
	now, err := h.authenticate(r)
	switch f := fault.Of(err); {
	case err == nil && now.Kind == p.Kind && now.ID == p.ID && slices.Equal(now.Scopes, p.Scopes):
		return nil
	case err == nil:
		return fault.New(fault.Forbidden, "Your rights have changed. Connect again.")
	case f.Code == fault.Unauthorized || f.Code == fault.Forbidden:
		return f
	}
	return nil
}
