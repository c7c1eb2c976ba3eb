package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/auth"
	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

const subprotocol = "graphql-transport-ws"

// Close codes of graphql-transport-ws.
const (
	closeInvalid      websocket.StatusCode = 4400
	closeUnauthorized websocket.StatusCode = 4401
	closeForbidden    websocket.StatusCode = 4403
	closeSubprotocol  websocket.StatusCode = 4406
	closeInitTimeout  websocket.StatusCode = 4408
	closeDuplicate    websocket.StatusCode = 4409
	closeTooMany      websocket.StatusCode = 4429
)

// socket is one WebSocket. Its read loop is the only one that changes its state; operations write.
type socket struct {
	h      *handler
	conn   *websocket.Conn
	out    *heldConn       // below conn
	ctx    context.Context // of the operations: ends with the socket
	cancel context.CancelFunc

	credential *http.Request // what the caller is authenticated by
	caller     auth.Principal
	release    func() // gives the caller's socket slot back; nil before the acknowledgement

	mu         sync.Mutex // guards operations
	operations map[string]*running
	wg         sync.WaitGroup
}

// running is an operation that has not ended.
type running struct{ cancel context.CancelFunc }

// message is any message of the protocol.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// serveSocket upgrades and serves until one side closes. The browser's page must be of this host or
// of the public URL; a caller without Origin is no browser, so a session cookie alone does not do.
func (h *handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	caller, known := auth.From(r.Context())
	if known && caller.Kind == auth.KindSession && r.Header.Get("Origin") == "" {
		writeJSON(w, http.StatusForbidden, mediaJSON, h.refusal(r.Context(), codeForbidden,
			fault.New(fault.Forbidden, "A browser session needs the header Origin; other callers use an API token.")))
		return
	}
	held := &holdingWriter{ResponseWriter: w, patience: h.limits.Write}
	conn, err := websocket.Accept(held, r, &websocket.AcceptOptions{
		Subprotocols:    []string{subprotocol},
		OriginPatterns:  h.origins,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != subprotocol {
		_ = conn.Close(closeSubprotocol, "Subprotocol not acceptable")
		return
	}
	conn.SetReadLimit(h.limits.Body)
	s := &socket{h: h, conn: conn, out: held.conn, credential: r, caller: caller, operations: map[string]*running{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	stopping := context.AfterFunc(r.Context(), func() { s.close(websocket.StatusGoingAway, "The server stops") })
	defer stopping()
	s.serve()
}

func (s *socket) serve() {
	defer s.wg.Wait()
	defer s.cancel()
	defer func() {
		if s.release != nil {
			s.release()
		}
	}()
	late := time.AfterFunc(s.h.limits.Init, func() { s.close(closeInitTimeout, "Connection initialisation timeout") })
	defer late.Stop()
	for {
		kind, data, err := s.conn.Read(s.ctx)
		if err != nil {
			return // closed, or too big: the library has sent 1009
		}
		m, err := parseMessage(kind, data)
		if err != nil {
			s.close(closeInvalid, err.Error())
			return
		}
		if !s.handle(m, late) {
			return
		}
	}
}

// handle does what the message asks; false after it closed the socket.
func (s *socket) handle(m message, late *time.Timer) bool {
	switch m.Type {
	case "connection_init":
		if s.release != nil {
			return s.close(closeTooMany, "Too many initialisation requests")
		}
		if !late.Stop() {
			return false // the timer is closing the socket
		}
		return s.init(m.Payload)
	case "ping":
		return s.send(message{Type: "pong", Payload: m.Payload})
	case "pong":
		return true
	case "subscribe":
		if s.release == nil {
			return s.close(closeUnauthorized, "Unauthorized")
		}
		return s.subscribe(m)
	default: // complete
		s.mu.Lock()
		op := s.operations[m.ID]
		s.mu.Unlock()
		s.forget(m.ID, op)
		return true
	}
}

// init authenticates with the token of the payload, if there is one, and acknowledges.
func (s *socket) init(payload json.RawMessage) bool {
	var p map[string]any
	_ = json.Unmarshal(payload, &p) // parseMessage has seen to it that it is an object
	for _, name := range []string{"Authorization", "authorization"} {
		if header, _ := p[name].(string); header != "" {
			s.credential = &http.Request{
				Method: http.MethodGet, URL: s.credential.URL, Host: s.credential.Host,
				RemoteAddr: s.credential.RemoteAddr, Header: http.Header{"Authorization": {header}},
			}
			s.credential = s.credential.WithContext(s.ctx)
			var err error
			if s.caller, err = s.h.authenticate(s.credential); err != nil {
				return s.close(closeForbidden, "Forbidden")
			}
			break
		}
	}
	if s.caller.IsAnonymous() {
		return s.close(closeForbidden, "Forbidden")
	}
	if s.release = s.h.sockets.take(s.caller); s.release == nil {
		return s.close(closeTooMany, "Too many sockets")
	}
	s.ctx = auth.With(s.ctx, s.caller)
	s.repeat(s.h.limits.Ping, s.h.limits.Ping, s.keepAlive)
	s.repeat(rand.N(s.h.limits.Recheck), s.h.limits.Recheck, s.recheck) // not on all sockets at the same moment
	return s.send(message{Type: "connection_ack"})
}

// keepAlive notices dead peers.
func (s *socket) keepAlive() bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.h.limits.Write)
	defer cancel()
	err := s.conn.Ping(ctx)
	if err != nil {
		_ = s.conn.CloseNow()
	}
	return err == nil
}

// recheck notices revoked credentials.
func (s *socket) recheck() bool {
	return s.h.revoked(s.credential, s.caller) == nil || s.close(closeForbidden, "Forbidden")
}

// repeat calls do every so often while the socket is open and do is true. A thousand sockets that wait with a timer
// instead of a goroutine are fewer stacks to look through for garbage while events go out.
func (s *socket) repeat(first, every time.Duration, do func() bool) {
	time.AfterFunc(first, func() {
		if s.ctx.Err() == nil && do() {
			s.repeat(every, every, do)
		}
	})
}

func (s *socket) subscribe(m message) bool {
	s.mu.Lock()
	_, double := s.operations[m.ID]
	full := len(s.operations) >= s.h.limits.Operations
	ctx, cancel := context.WithCancel(s.ctx)
	op := &running{cancel}
	if !double && !full {
		s.operations[m.ID] = op
	}
	s.mu.Unlock()
	switch {
	case double:
		cancel()
		return s.close(closeDuplicate, fmt.Sprintf("Subscriber for %.40q already exists", m.ID))
	case full:
		cancel()
		// 1 s, or as soon as one has completed.
		return s.send(failure(m.ID, gqlerror.List{rateLimited(1, "This socket has %d operations already. Complete one first.", s.h.limits.Operations)}))
	}
	s.wg.Go(func() {
		last := s.operate(ctx, m.ID, m.Payload)
		ended := ctx.Err() != nil
		s.forget(m.ID, op) // before the last message, so that the client can use the id again at once
		if !ended {
			s.send(last)
		}
	})
	return true
}

// operate runs one operation and returns the message that ends it: `error` or `complete`, never both,
// because clients close the socket over a `complete` that follows an `error`.
func (s *socket) operate(ctx context.Context, id string, payload json.RawMessage) message {
	if s.h.revoked(s.credential, s.caller) != nil {
		s.close(closeForbidden, "Forbidden")
		return message{ID: id, Type: "complete"}
	}
	req, err := parseRequest(payload)
	if err != nil {
		return failure(id, s.h.refusal(ctx, codeBadRequest, err).Errors)
	}
	prepared, refused := s.h.prepare(ctx, req)
	if refused != nil {
		return failure(id, refused.Errors)
	}
	defer s.out.release()
	next, stop := s.h.run(prepared)
	defer stop()
	head := fmt.Appendf(nil, `{"id":%s,"type":"next","payload":`, encode(id))
	var text bytes.Buffer
	for resp := next(); resp != nil && ctx.Err() == nil; resp = next() {
		if resp.Data == nil {
			return failure(id, resp.Errors)
		}
		text.Reset()
		text.Write(head)
		answerOf(resp).writeTo(&text)
		text.WriteByte('}')
		s.out.hold(prepared.past.more)
		if !s.write(text.Bytes()) {
			break
		}
	}
	return message{ID: id, Type: "complete"}
}

// forget ends an operation, unless its id stands for another one by now.
func (s *socket) forget(id string, op *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op != nil && s.operations[id] == op {
		op.cancel()
		delete(s.operations, id)
	}
}

func failure(id string, errs gqlerror.List) message {
	return message{ID: id, Type: "error", Payload: encode(errs)}
}

func (s *socket) send(m message) bool { return s.write(encode(m)) }

// write sends a message, or holds it if more follows.
func (s *socket) write(text []byte) bool {
	return s.conn.Write(context.Background(), websocket.MessageText, text) == nil
}

// close ends the socket with a code; it returns false for the read loop.
func (s *socket) close(code websocket.StatusCode, reason string) bool {
	_ = s.conn.Close(code, reason)
	return false
}

var (
	messageTypes = []string{"connection_init", "ping", "pong", "subscribe", "complete"}
	errMessage   = errors.New("Invalid message received") // read by people on the other side of the socket
)

// parseMessage checks the shape that the protocol prescribes for each type.
func parseMessage(kind websocket.MessageType, data []byte) (message, error) {
	if kind != websocket.MessageText {
		return message{}, errMessage
	}
	doc, err := strictjson.Decode(data)
	object, ok := doc.(map[string]any)
	if err != nil || !ok {
		return message{}, errMessage
	}
	var m message
	m.Type, _ = object["type"].(string)
	m.ID, _ = object["id"].(string)
	payload, hasPayload := object["payload"]
	_, isObject := payload.(map[string]any)
	hasPayload = hasPayload && payload != nil
	switch {
	case !slices.Contains(messageTypes, m.Type):
		return m, errMessage
	case (m.Type == "subscribe" || m.Type == "complete") && m.ID == "":
		return m, errMessage
	case m.Type == "subscribe" && !isObject, m.Type != "complete" && hasPayload && !isObject:
		return m, errMessage
	}
	if hasPayload {
		var raw map[string]json.RawMessage // a map, so that the key is matched exactly
		if json.Unmarshal(data, &raw) != nil {
			return m, errMessage
		}
		m.Payload = raw["payload"]
	}
	return m, nil
}
