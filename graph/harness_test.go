package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/db/dbtest"
	"penstock/db/seal"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/ai/local"
	"penstock/drivers/alerts/alertmanager"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

// stack is the API over a real store and a real engine. Callers are named by their scope:
// "Authorization: Bearer edit" is a token with read, operate and edit.
type stack struct {
	*httptest.Server
	t          testing.TB
	store      *db.Store
	engine     *engine.Engine
	stopEngine func()
	stopServer func() // as a server that begins to stop
	handler    *handler
	statements atomic.Int64
	log        *logBuffer

	mu      sync.Mutex
	gates   map[string]chan struct{} // by node id
	revoked map[string]bool          // callers
}

var callers = map[string][]auth.Scope{
	"ingest":  {auth.Ingest},
	"read":    {auth.Read},
	"operate": {auth.Read, auth.Operate},
	"edit":    {auth.Read, auth.Operate, auth.Edit},
	"admin":   {auth.Admin},

	"operate-only": {auth.Operate},
	"edit-only":    {auth.Edit},
}

// start makes a stack; change may set limits.
func start(t testing.TB, change ...func(*Limits)) *stack {
	t.Helper()
	s := &stack{t: t, gates: map[string]chan struct{}{}, revoked: map[string]bool{}, log: &logBuffer{}}
	hub := engine.NewHub()
	s.store = dbtest.Open(t, db.Options{
		URL: dbtest.SQLite(t), OnCommit: hub.Publish, OnQuery: func(string) { s.statements.Add(1) },
	})
	sealer, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	options := engine.Options{
		Store: s.store, Hub: hub, Sealer: sealer, Types: s.nodeTypes(), Drain: 50 * time.Millisecond,
		Sources: drivers.NewRegistry(alertmanager.Kind()),
		Notify:  drivers.NewRegistry(drivers.Define("fake", "Fake", newFakeDriver)),
		AI:      drivers.NewRegistry(local.Kind(ai.Deps{}), drivers.Define("mute", "Mute", newMute)),
	}
	if s.engine, err = engine.New(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.engine.Run(ctx) }()
	s.stopEngine = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	t.Cleanup(s.stopEngine)
	for s.engine.Ready(t.Context()) != nil {
		time.Sleep(time.Millisecond) // the engine has no signal for "up" but readiness
	}

	var limits Limits
	for _, c := range change {
		c(&limits)
	}
	accounts, err := auth.New(auth.Options{Store: s.store, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = NewHandler(Options{
		Auth: accounts, Store: s.store, Engine: s.engine, Sources: options.Sources, Notify: options.Notify, AI: options.AI,
		Authenticate: s.authenticate, Limits: limits, PublicURL: "https://penstock.example.org",
		Log: textLog(s.log),
	}).(*handler)
	closing, stop := context.WithCancel(context.Background())
	s.stopServer = stop
	var serving sync.WaitGroup // also sockets, which the server does not wait for
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		r = r.WithContext(ctx)
		if p, err := s.authenticate(r); err == nil { // as the server's middleware does
			r = r.WithContext(auth.With(r.Context(), p))
		}
		s.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		stop()
		s.Close()
		serving.Wait()
	})
	return s
}

func (s *stack) authenticate(r *http.Request) (auth.Principal, error) {
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind := auth.KindToken
	if cookie, err := r.Cookie("session"); err == nil && name == "" {
		name, kind = cookie.Value, auth.KindSession
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if scopes, ok := callers[name]; ok && !s.revoked[name] {
		return auth.Principal{Kind: kind, ID: "id-" + name, Name: name, Scopes: scopes}, nil
	}
	return auth.Principal{}, fault.New(fault.Unauthorized, "The token is not valid.")
}

func (s *stack) revoke(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[name] = true
}

// gate is the channel that a node of type "gate" with this id waits for, one value per attempt.
func (s *stack) gate(id string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates[id] == nil {
		s.gates[id] = make(chan struct{}, 100)
	}
	return s.gates[id]
}

type nodeFunc func(context.Context, engine.Input) (engine.Output, error)

func (f nodeFunc) Run(ctx context.Context, in engine.Input) (engine.Output, error) { return f(ctx, in) }

func (s *stack) nodeTypes() []engine.NodeType {
	kind := func(name string, run nodeFunc) engine.NodeType {
		return engine.NodeType{
			Type: definition.Type{
				Name: name, Title: strings.ToUpper(name), Description: "For tests.",
				Schema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"additionalProperties":false}`),
			},
			Build: func(json.RawMessage) (engine.Node, error) { return run, nil },
		}
	}
	return []engine.NodeType{
		kind("echo", func(_ context.Context, in engine.Input) (engine.Output, error) {
			return engine.Output{Data: map[string]any{"payload": in.Payload}}, nil
		}),
		kind("fail", func(context.Context, engine.Input) (engine.Output, error) {
			return engine.Output{}, fault.New(fault.Invalid, "It never works.")
		}),
		kind("talk", func(_ context.Context, in engine.Input) (engine.Output, error) {
			in.Log("about to talk")
			in.Emit("hello ")
			in.Emit("world")
			return engine.Output{Data: map[string]any{"said": "hello world"}}, nil
		}),
		kind("gate", func(ctx context.Context, in engine.Input) (engine.Output, error) {
			select {
			case <-s.gate(in.NodeID):
				return engine.Output{}, nil
			case <-ctx.Done():
				return engine.Output{}, ctx.Err()
			}
		}),
		kind("ingest", func(ctx context.Context, in engine.Input) (engine.Output, error) {
			r, err := in.Services.Intake(ctx, in.Run, in.Payload, "")
			return engine.Output{Data: map[string]any{"changed": r.Changed}, IncidentID: r.IncidentID, Change: r.Change}, err
		}),
	}
}

// fakeDriver accepts or refuses messages as its settings say.
type fakeDriver struct{ config fakeConfig }

type fakeConfig struct {
	URL    string         `json:"url" jsonschema:"title=Address"`
	Secret drivers.Secret `json:"secret,omitzero" jsonschema:"title=Secret"`
	Broken bool           `json:"broken,omitempty" jsonschema:"title=Broken"`
}

func newFakeDriver(_ context.Context, c fakeConfig) (notify.Driver, error) { return fakeDriver{c}, nil }

func (d fakeDriver) Send(context.Context, notify.Message) (notify.Receipt, error) {
	if d.config.Broken {
		return notify.Receipt{Status: 410, Response: "gone"}, fault.New(fault.Unprocessable, "The receiver answered 410.")
	}
	return notify.Receipt{MessageID: "m-1", Status: 200, Response: "ok"}, nil
}

// mute is an analyser that does not answer.
type mute struct{}

func newMute(context.Context, struct{}) (ai.Provider, error) { return mute{}, nil }

func (mute) Analyze(context.Context, ai.Request) iter.Seq2[ai.Chunk, error] {
	return func(yield func(ai.Chunk, error) bool) {
		yield(ai.Chunk{}, fault.New(fault.Unprocessable, "It says nothing."))
	}
}

func (mute) Missing() []string { return []string{"MUTE_KEY"} }

func (s *stack) define(name, nodes string) *db.PipelineDefinition {
	s.t.Helper()
	def, _, _, err := s.engine.SaveDefinition(s.t.Context(), engine.DefinitionInput{
		Name: name, Config: json.RawMessage(`{"version":"1.0","nodes":` + nodes + `}`), Actor: "seed",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return def
}

// begin starts a run and does not wait.
func (s *stack) begin(name string) string {
	s.t.Helper()
	run, err := s.engine.Execute(s.t.Context(), engine.ExecuteInput{Definition: name, Actor: "seed"})
	if err != nil {
		s.t.Fatal(err)
	}
	return run.ID
}

// finish waits for the end of a run.
func (s *stack) finish(id string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if r, err := s.engine.Wait(ctx, id); err != nil || !r.Status.Terminal() {
		s.t.Fatalf("run %s: %v, %v", id, r.Status, err)
	}
}

// result is an answer over HTTP.
type result struct {
	Status int
	Header http.Header
	Body   []byte
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
}

func (r result) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

// do sends a request with headers "Name: value"; the caller is admin unless a header says otherwise.
func (s *stack) do(method, query, body string, headers ...string) result {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+"/graphql"+query, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := result{Status: resp.StatusCode, Header: resp.Header}
	if out.Body, err = io.ReadAll(resp.Body); err != nil {
		s.t.Fatal(err)
	}
	_ = json.Unmarshal(out.Body, &out) // what is not JSON leaves it empty
	return out
}

// query sends an operation as caller and wants 200.
func (s *stack) query(caller, query string, variables any) result {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.do(http.MethodPost, "", string(body), "Content-Type: application/json", "Authorization: Bearer "+caller)
	if r.Status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", query, r.Status, r.Body)
	}
	return r
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// logBuffer is a log that tests read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
