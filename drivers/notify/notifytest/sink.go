// Package notifytest holds the suite that every notify driver runs ([Run]) and fakes of the
// receivers: a webhook, Slack, PagerDuty and an SMTP server. The fakes check what they get as the
// real ones do, record it, and answer as scripted. They also work outside of tests: StartX.
package notifytest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is what a receiver got: an HTTP request or a mail.
type Request struct {
	At     time.Time
	Header http.Header // of the request or the mail
	Body   []byte      // of the request, or the whole mail

	Method, Path string // HTTP

	From               string // SMTP: envelope
	To                 []string
	TLS                bool
	Username, Password string
}

// Reply is a scripted answer. The zero value is the receiver's usual one.
type Reply struct {
	Status int         // HTTP status or SMTP code
	Header http.Header // HTTP, for example Retry-After
	Body   string      // HTTP body or SMTP text

	Delay   time.Duration // HTTP: before the answer
	Hang    bool          // take the request, never answer
	Cut     bool          // take the request, close the connection without an answer
	Echo    bool          // answer with everything that was received
	Endless bool          // HTTP: a body without end
	Gzip    bool          // HTTP: the endless body compressed, a thousand times smaller on the wire
}

// Sink records requests and hands out replies. It is safe for concurrent use.
type Sink struct {
	lock     sync.Mutex
	requests []Request
	script   []Reply
	always   Reply
	arrived  chan struct{} // closed and replaced with every request
	closed   chan struct{}
}

func newSink() *Sink {
	return &Sink{arrived: make(chan struct{}), closed: make(chan struct{})}
}

// Script sets the answers to the next requests, one each; after them the usual one follows.
func (s *Sink) Script(replies ...Reply) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.script = slices.Clone(replies)
}

// Always sets the answer to every request for which none is scripted.
func (s *Sink) Always(r Reply) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.always = r
}

// Requests returns everything received so far.
func (s *Sink) Requests() []Request {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.requests)
}

// Count is the number of requests received so far.
func (s *Sink) Count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.requests)
}

// Reset forgets the requests and the script.
func (s *Sink) Reset() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.requests, s.script, s.always = nil, nil, Reply{}
}

// Wait returns the requests once there are at least n, or the context's error.
func (s *Sink) Wait(ctx context.Context, n int) ([]Request, error) {
	for {
		s.lock.Lock()
		requests, arrived := slices.Clone(s.requests), s.arrived
		s.lock.Unlock()
		if len(requests) >= n {
			return requests, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return requests, fmt.Errorf("%d of %d requests arrived: %w", len(requests), n, ctx.Err())
		}
	}
}

// take records r and returns how to answer it.
func (s *Sink) take(r Request) Reply {
	r.At = time.Now()
	s.lock.Lock()
	defer s.lock.Unlock()
	s.requests = append(s.requests, r)
	close(s.arrived)
	s.arrived = make(chan struct{})
	if len(s.script) > 0 {
		reply := s.script[0]
		s.script = s.script[1:]
		return reply
	}
	return s.always
}
