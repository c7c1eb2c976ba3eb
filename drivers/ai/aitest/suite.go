// Package aitest holds the rules every analyser keeps, as a suite, and servers that speak the
// vendors' APIs and misbehave as told.
package aitest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/fault"
)

// Suite is what a provider brings along.
type Suite struct {
	Kind func(ai.Deps) drivers.Kind[ai.Provider]
	// Fake and the rest are for providers that ask a vendor.
	Fake       func(testing.TB) *Fake
	KeyEnv     string
	URLEnv     string
	Transient  string // type of an error event that may pass
	Final      string // type of an error event that does not
	LongReason string // why the model stopped when its tokens were used up
}

// Run checks a provider against the rules.
func Run(t *testing.T, s Suite) {
	t.Run("schema of the configuration is complete", func(t *testing.T) { schema(t, s.Kind(ai.Deps{})) })
	t.Run("answers every request with one result", func(t *testing.T) {
		t.Parallel()
		for name, req := range Requests() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				before := encode(t, req)
				text, result, err := Collect(s.provider(t).Analyze(t.Context(), req))
				if err != nil {
					t.Fatal(err)
				}
				CheckResult(t, result)
				if text == "" {
					t.Error("nothing was streamed")
				}
				if encode(t, req) != before {
					t.Error("the request was changed")
				}
			})
		}
	})
	t.Run("returns the error of an ended context as it is", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		expectContext(t, s.provider(t), ctx, context.Canceled)
		ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		expectContext(t, s.provider(t), ctx, context.DeadlineExceeded)
	})
	t.Run("stops when nobody reads on", func(t *testing.T) {
		t.Parallel()
		for range s.provider(t).Analyze(t.Context(), firing()) {
			break
		}
	})
	t.Run("serves several runs at once", func(t *testing.T) {
		t.Parallel()
		p := s.provider(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := Collect(p.Analyze(t.Context(), firing())); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	if s.Fake != nil {
		remote(t, s)
	}
}

// Collect reads an analysis to its end: the streamed text and the result.
func Collect(chunks func(func(ai.Chunk, error) bool)) (text string, result *ai.Analysis, err error) {
	var b strings.Builder
	for chunk, e := range chunks {
		switch {
		case result != nil || err != nil:
			return b.String(), result, errors.New("aitest: the sequence goes on after its end")
		case e != nil:
			err = e
		case chunk.Result != nil:
			result = chunk.Result
		default:
			b.WriteString(chunk.Text)
		}
	}
	if result == nil && err == nil {
		err = errors.New("aitest: the sequence ended without a result and without an error")
	}
	return b.String(), result, err
}

var full = drivers.Compile("analysis", ai.Schema)

// CheckResult fails the test unless the result keeps the closed schema and its bounds.
func CheckResult(t testing.TB, a *ai.Analysis) {
	t.Helper()
	if a == nil {
		t.Fatal("no result")
	}
	if a.Model == "" || a.Summary == "" {
		t.Errorf("model %q, summary %q: both must say something", a.Model, a.Summary)
	}
	if size := len(encode(t, a)); size > ai.MaxResult {
		t.Errorf("the result has %d bytes", size)
	}
	answer := map[string]any{"summary": a.Summary, "description": a.Description, "recommendations": a.Recommendations}
	for _, p := range full.Validate(json.RawMessage(encode(t, answer))) {
		t.Errorf("result%s %s", p.Path, p.Message)
	}
	for _, r := range a.Recommendations {
		if r.Title == "" || len(r.Evidence) == 0 {
			t.Errorf("recommendation without title or evidence: %+v", r)
		}
	}
}

func (s Suite) provider(t testing.TB) ai.Provider {
	t.Helper()
	if s.Fake == nil {
		return s.build(t, ai.Deps{}, `{}`)
	}
	return s.remote(t, s.Fake(t), "")
}

func (s Suite) build(t testing.TB, deps ai.Deps, config string) ai.Provider {
	t.Helper()
	p, err := s.Kind(deps).Build(t.Context(), json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func expectContext(t *testing.T, p ai.Provider, ctx context.Context, want error) {
	t.Helper()
	_, _, err := Collect(p.Analyze(ctx, firing()))
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if _, retry := fault.Retryable(err); retry {
		t.Error("the end of the context is marked as one that may pass")
	}
}

func schema(t *testing.T, kind drivers.Kind[ai.Provider]) {
	var s struct {
		Properties map[string]struct{ Title, Description string }
		Closed     *bool `json:"additionalProperties"`
	}
	if err := json.Unmarshal(kind.Schema, &s); err != nil {
		t.Fatal(err)
	}
	if kind.Name == "" || kind.Title == "" || len(s.Properties) == 0 || s.Closed == nil || *s.Closed {
		t.Errorf("name %q, title %q, schema %s", kind.Name, kind.Title, kind.Schema)
	}
	for name, p := range s.Properties {
		if p.Title == "" || p.Description == "" {
			t.Errorf("%s has no title or no description", name)
		}
	}
	if problems := kind.Validate(json.RawMessage(`{"surely_unknown": 1}`)); len(problems) == 0 {
		t.Error("an unknown key is accepted")
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
