package nodetest

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"sync"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

// World is what nodes reach in a test. It records what they do. Set its fields before it is used.
type World struct {
	IntakeResult engine.IntakeResult
	IntakeError  error
	Channels     map[string]string     // driver of each stored channel, by name
	Fails        map[string]error      // what sending by a driver fails with, by driver
	Needs        map[string][]string   // settings a driver without configuration misses, by driver
	Skip         string                // why messages are not sent, "" if they are
	Analysers    map[string]AnalyserFn // by provider
	SubRuns      func(engine.SubRun) (engine.SubRunResult, error)

	mu      sync.Mutex
	sent    []Sent
	asked   []Asked
	taken   []Taken
	raised  []alerts.Alert
	emitted string
	lines   []string
}

// AnalyserFn is a fake analyser.
type AnalyserFn func(ctx context.Context, req ai.Request) iter.Seq2[ai.Chunk, error]

// Sent is a message that was handed to a driver.
type Sent struct {
	Driver, Channel string          // Channel: of the store, "" if settings were written in the node
	Config          json.RawMessage // as written in the node
	Message         notify.Message
}

// Asked is a question to an analyser.
type Asked struct {
	Provider string
	Config   json.RawMessage
	Request  ai.Request
}

// Taken is a call of Intake.
type Taken struct {
	Payload any
	Driver  string
}

// Sent returns the messages so far.
func (w *World) Sent() []Sent { w.mu.Lock(); defer w.mu.Unlock(); return w.sent }

// Asked returns the questions to analysers so far.
func (w *World) Asked() []Asked { w.mu.Lock(); defer w.mu.Unlock(); return w.asked }

// Taken returns the calls of Intake so far.
func (w *World) Taken() []Taken { w.mu.Lock(); defer w.mu.Unlock(); return w.taken }

// Emitted returns the text for the live view so far.
func (w *World) Emitted() string { w.mu.Lock(); defer w.mu.Unlock(); return w.emitted }

// LogLines returns the lines for the live view so far.
func (w *World) LogLines() []string { w.mu.Lock(); defer w.mu.Unlock(); return w.lines }

// Intake implements [engine.Services].
func (w *World) Intake(ctx context.Context, _ engine.RunInfo, payload any, driver string) (engine.IntakeResult, error) {
	if ctx.Err() != nil {
		return engine.IntakeResult{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = append(w.taken, Taken{payload, driver})
	return w.IntakeResult, w.IntakeError
}

// Channel implements [engine.Services].
func (w *World) Channel(_ context.Context, name string) (string, notify.Driver, error) {
	kind, ok := w.Channels[name]
	if !ok {
		return "", nil, fault.New(fault.NotFound, "There is no channel %q.", name)
	}
	return kind, sender{w, Sent{Driver: kind, Channel: name}}, nil
}

// DefaultChannel implements [engine.Services].
func (w *World) DefaultChannel(_ context.Context, driver string) (string, notify.Driver, error) {
	for _, name := range []string{"default", driver} {
		if w.Channels[name] == driver {
			return name, sender{w, Sent{Driver: driver, Channel: name}}, nil
		}
	}
	return "", nil, fault.New(fault.NotFound, "No channel is configured for %s: create one named %q.", driver, driver)
}

// Driver implements [engine.Services].
func (w *World) Driver(_ context.Context, kind string, config json.RawMessage) (notify.Driver, error) {
	return sender{w, Sent{Driver: kind, Config: config}}, nil
}

// Provider implements [engine.Services].
func (w *World) Provider(_ context.Context, kind string, config json.RawMessage) (ai.Provider, error) {
	answer := w.Analysers[kind]
	if answer == nil {
		return nil, fault.New(fault.NotFound, "There is no analyser %q in this test.", kind)
	}
	return analyser{w, kind, config, answer}, nil
}

// Raise implements [engine.Services].
func (w *World) Raise(ctx context.Context, found []alerts.Alert) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raised = found
	return ctx.Err()
}

// Raised returns what the newest Raise was given.
func (w *World) Raised() []alerts.Alert { w.mu.Lock(); defer w.mu.Unlock(); return w.raised }

// SubRun implements [engine.Services].
func (w *World) SubRun(ctx context.Context, in engine.SubRun) (engine.SubRunResult, error) {
	if ctx.Err() != nil {
		return engine.SubRunResult{}, ctx.Err()
	}
	return w.SubRuns(in)
}

// Deliver implements [engine.Services]: it sends.
func (w *World) Deliver(ctx context.Context, to engine.Target, m notify.Message, _ bool) (engine.Delivered, error) {
	if w.Skip != "" {
		return engine.Delivered{Status: db.NotificationSkipped, Reason: w.Skip}, nil
	}
	m.Channel = to.Destination
	receipt, err := to.Sender.Send(ctx, m)
	return engine.Delivered{Receipt: receipt, Status: db.NotificationSent}, err
}

// AlarmChannel implements [engine.Services]: the first other channel by name.
func (w *World) AlarmChannel(_ context.Context, _ engine.Input, except string) (engine.Target, string, error) {
	for _, name := range slices.Sorted(maps.Keys(w.Channels)) {
		if name != except {
			return engine.Target{Channel: name, Driver: w.Channels[name], Sender: sender{w, Sent{Driver: w.Channels[name], Channel: name}}}, "", nil
		}
	}
	return engine.Target{}, "", fault.New(fault.Unprocessable, "There is no other channel than %q.", except)
}

// PublicURL implements [engine.Services].
func (w *World) PublicURL() string { return "https://penstock.example.com" }

func (w *World) emit(text string) { w.mu.Lock(); defer w.mu.Unlock(); w.emitted += text }

func (w *World) log(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

func (w *World) catalog() map[string]definition.Channel {
	channels := map[string]definition.Channel{}
	for name, driver := range w.Channels {
		channels[name] = definition.Channel{Driver: driver, IsActive: true}
	}
	return channels
}

type sender struct {
	w    *World
	sent Sent
}

func (s sender) Missing() []string {
	if len(s.sent.Config) > 0 || s.sent.Channel != "" {
		return nil
	}
	return s.w.Needs[s.sent.Driver]
}

func (s sender) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if ctx.Err() != nil {
		return notify.Receipt{}, ctx.Err()
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.sent.Message = m
	s.w.sent = append(s.w.sent, s.sent)
	if err := s.w.Fails[s.sent.Driver]; err != nil {
		return notify.Receipt{Status: 500, Response: "it said no"}, err
	}
	return notify.Receipt{MessageID: "message-1", Status: 200, Response: "ok"}, nil
}

type analyser struct {
	w      *World
	kind   string
	config json.RawMessage
	answer AnalyserFn
}

func (a analyser) Analyze(ctx context.Context, req ai.Request) iter.Seq2[ai.Chunk, error] {
	a.w.mu.Lock()
	a.w.asked = append(a.w.asked, Asked{a.kind, a.config, req})
	a.w.mu.Unlock()
	return a.answer(ctx, req)
}

// Says is an analyser that streams text and then answers.
func Says(text string, result ai.Analysis) AnalyserFn {
	return func(ctx context.Context, _ ai.Request) iter.Seq2[ai.Chunk, error] {
		return func(yield func(ai.Chunk, error) bool) {
			if ctx.Err() != nil {
				yield(ai.Chunk{}, ctx.Err())
			} else if yield(ai.Chunk{Text: text}, nil) {
				yield(ai.Chunk{Result: &result}, nil)
			}
		}
	}
}

// Fails is an analyser that fails.
func Fails(err error) AnalyserFn {
	return func(context.Context, ai.Request) iter.Seq2[ai.Chunk, error] {
		return func(yield func(ai.Chunk, error) bool) { yield(ai.Chunk{}, err) }
	}
}

// Hangs is an analyser that never answers.
func Hangs(ctx context.Context, _ ai.Request) iter.Seq2[ai.Chunk, error] {
	return func(yield func(ai.Chunk, error) bool) {
		<-ctx.Done()
		yield(ai.Chunk{}, ctx.Err())
	}
}
