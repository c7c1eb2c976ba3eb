package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is a WebSocket client that shows every message.
type client struct {
	*websocket.Conn
	t   testing.TB
	ctx context.Context
}

// dial connects as caller ("" for none) with headers "Name: value".
func (s *stack) dial(caller string, headers ...string) (*client, error) {
	s.t.Helper()
	h := http.Header{}
	if caller != "" {
		h.Set("Authorization", "Bearer "+caller)
	}
	protocols := []string{subprotocol}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Subprotocol" {
			protocols = strings.Fields(value)
			continue
		}
		h.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	s.t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, s.URL+"/graphql", &websocket.DialOptions{HTTPHeader: h, Subprotocols: protocols})
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%d", resp.StatusCode)
		}
		return nil, err
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{conn, s.t, ctx}, nil
}

// connect dials and waits for the acknowledgement.
func (s *stack) connect(caller string) *client {
	s.t.Helper()
	c, err := s.dial(caller)
	if err != nil {
		s.t.Fatal(err)
	}
	c.send(`{"type":"connection_init"}`)
	c.want("connection_ack", "")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("send %.100s: %v", text, err)
	}
}

func (c *client) subscribe(id, query string, variables any) {
	c.t.Helper()
	text, err := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": query, "variables": variables}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(string(text))
}

func (c *client) receive() (message, error) {
	_, data, err := c.Read(c.ctx)
	if err != nil {
		return message{}, err
	}
	var m message
	return m, json.Unmarshal(data, &m)
}

func (c *client) want(kind, id string) message {
	c.t.Helper()
	m, err := c.receive()
	if err != nil || m.Type != kind || m.ID != id {
		c.t.Fatalf("got %s %q %.300s (%v), want %s %q", m.Type, m.ID, m.Payload, err, kind, id)
	}
	return m
}

func (c *client) wantClosed(code websocket.StatusCode) {
	c.t.Helper()
	for {
		_, err := c.receive()
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			c.t.Errorf("closed with %d (%v), want %d", got, err, code)
		}
		return
	}
}

const followRun = `subscription($r: ID!) { runProgress(runId: $r) { sequence } }`

// TestRevokedTokenStartsNothing uses a socket that was opened before the revocation.
func TestRevokedTokenStartsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Recheck, l.Ping = time.Hour, time.Hour })
	c := s.connect("operate")
	c.subscribe("1", `{ viewer { name } }`, nil)
	c.want("next", "1")
	c.want("complete", "1")
	s.revoke("operate")
	c.subscribe("2", `mutation { executePipelineDefinition(input: {name: "x"}) { run { id } } }`, nil)
	if m, err := c.receive(); websocket.CloseStatus(err) != closeForbidden {
		t.Errorf("got %s %s (%v), want the socket closed", m.Type, m.Payload, err)
	}
}

func TestSocketRules(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Init = 100 * time.Millisecond; l.Operations = 3; l.Sockets = 4 })
	s.define("waits", `[{"id":"g","type":"gate"}]`)

	t.Run("another subprotocol is closed with 4406", func(t *testing.T) {
		for _, p := range []string{"Subprotocol: graphql-ws", "Subprotocol: "} {
			c, err := s.dial("read", p)
			if err != nil {
				t.Fatal(err)
			}
			c.wantClosed(closeSubprotocol)
		}
	})
	t.Run("no connection_init in time is closed with 4408", func(t *testing.T) {
		c, err := s.dial("read")
		if err != nil {
			t.Fatal(err)
		}
		c.wantClosed(closeInitTimeout)
	})
	for name, c := range map[string]struct {
		send string
		code websocket.StatusCode
	}{
		"not JSON":                   {`{"type":`, closeInvalid},
		"not an object":              {`[]`, closeInvalid},
		"no type":                    {`{"id":"1"}`, closeInvalid},
		"unknown type":               {`{"type":"start","id":"1"}`, closeInvalid},
		"a server's message":         {`{"type":"next","id":"1","payload":{}}`, closeInvalid},
		"subscribe without id":       {`{"type":"subscribe","payload":{"query":"{__typename}"}}`, closeInvalid},
		"subscribe with an empty id": {`{"type":"subscribe","id":"","payload":{"query":"{__typename}"}}`, closeInvalid},
		"subscribe without payload":  {`{"type":"subscribe","id":"1"}`, closeInvalid},
		"payload that is no object":  {`{"type":"subscribe","id":"1","payload":"{__typename}"}`, closeInvalid},
		"ping with a text payload":   {`{"type":"ping","payload":"x"}`, closeInvalid},
		"complete without id":        {`{"type":"complete"}`, closeInvalid},
		"a second connection_init":   {`{"type":"connection_init"}`, closeTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.connect("read")
			client.send(c.send)
			client.wantClosed(c.code)
		})
	}
	t.Run("a message that is too large is closed with 1009", func(t *testing.T) {
		c := start(t, func(l *Limits) { l.Body = 1000 }).connect("read") // small: the client is to have written all of it
		c.send(`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 2000) + `"}}`)
		c.wantClosed(websocket.StatusMessageTooBig)
	})
	t.Run("a binary message is closed with 4400", func(t *testing.T) {
		c := s.connect("read")
		if err := c.Write(c.ctx, websocket.MessageBinary, []byte(`{"type":"ping"}`)); err != nil {
			t.Fatal(err)
		}
		c.wantClosed(closeInvalid)
	})
	t.Run("subscribe before the acknowledgement is closed with 4401", func(t *testing.T) {
		c, err := s.dial("read")
		if err != nil {
			t.Fatal(err)
		}
		c.subscribe("1", "{ __typename }", nil)
		c.wantClosed(closeUnauthorized)
	})
	t.Run("an id that is in use is closed with 4409", func(t *testing.T) {
		c := s.connect("read")
		run := s.begin("waits")
		for range 2 {
			c.subscribe("1", followRun, map[string]any{"r": run})
		}
		c.wantClosed(closeDuplicate)
		s.gate("g") <- struct{}{}
		s.finish(run) // or it might take what is meant for the next
	})
	t.Run("ping is answered before and after the acknowledgement", func(t *testing.T) {
		c, err := s.dial("read")
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"type":"ping","payload":{"a":1}}`)
		if m := c.want("pong", ""); string(m.Payload) != `{"a":1}` {
			t.Errorf("payload %s", m.Payload)
		}
		c.send(`{"type":"connection_init","payload":{}}`)
		c.want("connection_ack", "")
		c.send(`{"type":"pong"}`)
		c.send(`{"type":"ping"}`)
		c.want("pong", "")
		c.send(`{"type":"complete","id":"unknown"}`)
		c.send(`{"type":"ping"}`)
		c.want("pong", "")
	})
	t.Run("a query gives next and complete, and its id is free again", func(t *testing.T) {
		c := s.connect("read")
		for range 3 {
			c.subscribe("1", "{ viewer { name } }", nil)
			if m := c.want("next", "1"); string(m.Payload) != `{"data":{"viewer":{"name":"read"}}}` {
				t.Errorf("payload %s", m.Payload)
			}
			c.want("complete", "1")
		}
	})
	t.Run("a request error is an error and nothing more, and harms no neighbour", func(t *testing.T) {
		c := s.connect("read")
		run := s.begin("waits")
		c.subscribe("live", followRun, map[string]any{"r": run})
		c.want("next", "live")
		for id, query := range map[string]string{"parse": "{", "unknown": "{ nope }", "forbidden": "subscription { runProgress(runId: \"none\") { cursor } }"} {
			c.subscribe(id, query, nil)
			for {
				m, err := c.receive()
				if err != nil {
					t.Fatal(err)
				}
				if m.ID == "live" {
					continue
				}
				if m.Type != "error" || m.ID != id || !strings.HasPrefix(string(m.Payload), `[{"message":`) {
					t.Errorf("%s: %s %s", id, m.Type, m.Payload)
				}
				break
			}
		}
		s.gate("g") <- struct{}{}
		for {
			m, err := c.receive()
			if err != nil || m.ID != "live" {
				t.Fatalf("after an error came %s %q (%v)", m.Type, m.ID, err)
			}
			if m.Type == "complete" {
				break
			}
		}
	})
	t.Run("more operations than allowed are answered with an error", func(t *testing.T) {
		c := s.connect("read")
		run := s.begin("waits")
		for i := range 4 {
			c.subscribe(fmt.Sprint(i), followRun, map[string]any{"r": run})
		}
		for {
			m, err := c.receive()
			if err != nil {
				t.Fatal(err)
			}
			if m.Type != "error" {
				continue
			}
			if m.ID != "3" || !strings.Contains(string(m.Payload), codeRateLimited) {
				t.Errorf("%q: %s", m.ID, m.Payload)
			}
			break
		}
		// One that ends makes room.
		c.send(`{"type":"complete","id":"0"}`)
		c.subscribe("4", "{ __typename }", nil)
		for {
			m, err := c.receive()
			if err != nil || m.Type == "error" {
				t.Fatalf("%s %s (%v)", m.Type, m.Payload, err)
			}
			if m.ID == "4" && m.Type == "complete" {
				break
			}
		}
		s.gate("g") <- struct{}{}
	})
	t.Run("more sockets than allowed are closed with 4429", func(t *testing.T) {
		var open []*client
		for range 4 {
			open = append(open, s.connect("operate"))
		}
		c, err := s.dial("operate")
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"type":"connection_init"}`)
		c.wantClosed(closeTooMany)
		for _, c := range open {
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
		s.connect("edit") // others are not affected
	})
}

func TestSocketCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Recheck = time.Millisecond; l.Ping = 20 * time.Millisecond })
	origin := "Origin: " + s.URL

	t.Run("the token may come in connection_init", func(t *testing.T) {
		c, err := s.dial("")
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer edit"}}`)
		c.want("connection_ack", "")
		c.subscribe("1", "{ viewer { name } }", nil)
		if m := c.want("next", "1"); !strings.Contains(string(m.Payload), `"edit"`) {
			t.Errorf("payload %s", m.Payload)
		}
	})
	for name, payload := range map[string]string{"no token": `{}`, "a wrong token": `{"Authorization":"Bearer wrong"}`} {
		t.Run(name+" is closed with 4403", func(t *testing.T) {
			c, err := s.dial("")
			if err != nil {
				t.Fatal(err)
			}
			c.send(`{"type":"connection_init","payload":` + payload + `}`)
			c.wantClosed(closeForbidden)
		})
	}
	for name, c := range map[string]struct {
		caller  string
		headers []string
		refused bool
	}{
		"a page of this host with a session":  {"", []string{"Cookie: session=read", origin}, false},
		"a page of the public URL":            {"", []string{"Cookie: session=read", "Origin: https://penstock.example.org"}, false},
		"a page of another site":              {"", []string{"Cookie: session=read", "Origin: https://evil.example"}, true},
		"a sandboxed page":                    {"", []string{"Cookie: session=read", "Origin: null"}, true},
		"a session without origin":            {"", []string{"Cookie: session=read"}, true},
		"a token from a page of another site": {"read", []string{"Origin: https://evil.example"}, true},
		"a token without origin":              {"read", nil, false},
		"a similar host is another host":      {"", []string{"Cookie: session=read", "Origin: https://penstock.example.org.evil.example"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := s.dial(c.caller, c.headers...)
			if refused := err != nil && err.Error() == "403"; refused != c.refused {
				t.Fatalf("refused: %v (%v)", refused, err)
			}
			if !c.refused {
				conn.send(`{"type":"connection_init"}`)
				conn.want("connection_ack", "")
			}
		})
	}
	t.Run("a revoked token closes idle and busy sockets with 4403", func(t *testing.T) {
		idle := s.connect("operate")
		inPayload, err := s.dial("")
		if err != nil {
			t.Fatal(err)
		}
		inPayload.send(`{"type":"connection_init","payload":{"Authorization":"Bearer operate"}}`)
		inPayload.want("connection_ack", "")
		s.revoke("operate")
		idle.wantClosed(closeForbidden)
		inPayload.wantClosed(closeForbidden)
	})
	t.Run("the end of the server closes with 1001", func(t *testing.T) {
		c := s.connect("read")
		s.stopServer()
		c.wantClosed(websocket.StatusGoingAway)
	})
}

// TestSocketFlood keeps a socket busy with nonsense and wants the server to be as it was afterwards.
func TestSocketFlood(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect("read")
	go func() {
		for i := range 3000 {
			text := fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"query":"{ __typename }"}}`, i)
			if c.Write(c.ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}()
	ended := map[string]bool{}
	for len(ended) < 3000 {
		m, err := c.receive()
		if err != nil {
			t.Fatalf("after %d: %v", len(ended), err)
		}
		if m.Type == "complete" || m.Type == "error" {
			if ended[m.ID] {
				t.Fatalf("%s ended twice", m.ID)
			}
			ended[m.ID] = true
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	for {
		s.handler.sockets.mu.Lock()
		open := len(s.handler.sockets.taken)
		s.handler.sockets.mu.Unlock()
		if open == 0 {
			break
		}
		if err := s.t.Context().Err(); err != nil {
			t.Fatal(errors.Join(err, fmt.Errorf("%d callers with open sockets", open)))
		}
		time.Sleep(time.Millisecond) // the handler ends after the client's close returns
	}
}
