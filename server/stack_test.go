package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/db/dbtest"
	"penstock/db/seal"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/ai/local"
	"penstock/drivers/ai/openai"
	"penstock/drivers/alerts/alertmanager"
	alertsgeneric "penstock/drivers/alerts/generic"
	"penstock/drivers/notify"
	"penstock/drivers/notify/generic"
	"penstock/drivers/outbound"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/graph"
	"penstock/server"
)

// stack is a server on a real store and a running engine, whose nodes a test steers by their ids:
// fail… fails for good, hang… waits until the test ends.
type stack struct {
	t      *testing.T
	url    string
	engine *engine.Engine
	store  *db.Store
	auth   *auth.Service
	tokens map[auth.Scope]string
	log    *buffer

	release chan struct{} // closed: hanging nodes go on
}

// buffer is a writer that many goroutines use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

type step struct{ release chan struct{} }

func (s step) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	switch {
	case strings.HasPrefix(in.NodeID, "fail"):
		return engine.Output{}, fault.New(fault.Unprocessable, "It was told to fail.")
	case strings.HasPrefix(in.NodeID, "hang"):
		select {
		case <-s.release:
		case <-ctx.Done():
			return engine.Output{}, ctx.Err()
		}
	}
	return engine.Output{Data: map[string]any{"node": in.NodeID, "payload": in.Payload}}, nil
}

type ingest struct{}

func (ingest) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	r, err := in.Services.Intake(ctx, in.Run, in.Payload, "")
	if err != nil {
		return engine.Output{}, err
	}
	return engine.Output{Data: map[string]any{"incident_id": r.IncidentID}, IncidentID: r.IncidentID, Change: r.Change}, nil
}

// tell is the smallest node that notifies: the channel ops.
type tell struct{}

func (tell) Target(ctx context.Context, in engine.Input) (engine.Target, error) {
	kind, d, err := in.Services.Channel(ctx, "ops")
	return engine.Target{Channel: "ops", Driver: kind, Sender: d}, err
}

func (tell) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	if in.Target == nil {
		return engine.Output{}, fault.New(fault.NotFound, "There is no channel ops.")
	}
	_, err := in.Services.Deliver(ctx, *in.Target, notify.Message{Key: in.Key, Title: "told", Severity: "warning"}, true)
	return engine.Output{}, err
}

func nodeTypes(release chan struct{}) []engine.NodeType {
	kind := func(name string, node engine.Node) engine.NodeType {
		return engine.NodeType{
			Type:  definition.Type{Name: name, Title: name, Schema: json.RawMessage(`{"type":"object"}`)},
			Build: func(json.RawMessage) (engine.Node, error) { return node, nil },
		}
	}
	return []engine.NodeType{kind("step", step{release}), kind("ingest", ingest{}), kind("tell", tell{})}
}

// newStack starts everything and a token for each scope.
func newStack(t *testing.T) *stack {
	t.Helper()
	hub := engine.NewHub()
	store := dbtest.Open(t, db.Options{URL: dbtest.SQLite(t), OnCommit: hub.Publish})
	s := &stack{t: t, store: store, tokens: map[auth.Scope]string{}, log: new(buffer), release: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sealer, err := seal.New(make([]byte, 32))
	must(t, err)
	out, err := outbound.New(outbound.Options{Allow: []string{"127.0.0.1"}})
	must(t, err)
	options := engine.Options{
		Store: store, Hub: hub, Sealer: sealer, Types: nodeTypes(s.release), Log: log, Drain: 50 * time.Millisecond,
		Sources: drivers.NewRegistry(alertmanager.Kind(), alertsgeneric.Kind()),
		Notify:  drivers.NewRegistry(generic.Kind(notify.Deps{HTTP: out.HTTP(), Now: time.Now})),
		AI: drivers.NewRegistry(local.Kind(ai.Deps{}), openai.Kind(ai.Deps{HTTP: out.HTTP(), Env: func(name string) string {
			return map[string]string{"OPENAI_API_KEY": "key-canary", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}[name]
		}})),
	}
	s.engine, err = engine.New(t.Context(), options)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	s.auth, err = auth.New(auth.Options{Store: store, Key: []byte("key of the test"), Log: log})
	must(t, err)
	front, err := server.New(server.Options{
		Store: store, Engine: s.engine, Auth: s.auth, Log: log, Recheck: 20 * time.Millisecond,
		GraphQL: graph.NewHandler(graph.Options{
			Store: store, Engine: s.engine, Sources: options.Sources, Notify: options.Notify, AI: options.AI, Auth: s.auth, Authenticate: s.auth.Confirm, Log: log,
		}),
	})
	must(t, err)
	srv := httptest.NewServer(front.Handler())
	t.Cleanup(srv.Close)
	s.url = srv.URL
	for _, scope := range auth.Scopes {
		s.tokens[scope], _, err = s.auth.CreateToken(t.Context(), auth.TokenInput{Name: string(scope), Scopes: []auth.Scope{scope}})
		must(t, err)
	}
	for s.engine.Ready(t.Context()) != nil {
		time.Sleep(2 * time.Millisecond) // the engine has no signal for "up" but readiness
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) define(name, nodes string) {
	s.t.Helper()
	_, _, _, err := s.engine.SaveDefinition(s.t.Context(), engine.DefinitionInput{
		Name: name, Config: json.RawMessage(`{"version":"1.0","nodes":` + nodes + `}`), Actor: "test",
	})
	must(s.t, err)
}

// request describes one call; the zero value is an anonymous GET.
type request struct {
	method, path, body string
	as                 auth.Scope
	header             http.Header
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *stack) do(q request) answer {
	s.t.Helper()
	if q.method == "" {
		q.method = http.MethodGet
	}
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), q.method, s.url+q.path, body)
	must(s.t, err)
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.as != "" {
		r.Header.Set("Authorization", "Bearer "+s.tokens[q.as])
	}
	for name, values := range q.header {
		if r.Header[name] = values; name == "Host" {
			r.Host = values[0]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	must(s.t, err)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	must(s.t, err)
	return answer{res.StatusCode, res.Header, string(data)}
}

// json decodes the body into plain data.
func (s *stack) json(a answer) map[string]any {
	s.t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		s.t.Fatalf("status %d, not a JSON object: %q", a.status, a.body)
	}
	return doc
}
