package nodes_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/drivers/ai"
	"penstock/engine"
	"penstock/fault"
	"penstock/nodes/nodetest"
)

var found = ai.Analysis{
	Model: "gpt-test", Summary: "Disk is full.", Description: "Logs grew.",
	Recommendations: []ai.Recommendation{{
		Type: "disk", Priority: "high", Title: "Free space on db-1", Description: "97 % used.",
		Actions: []string{"Rotate the logs"}, Evidence: []string{"disk 97 %"},
	}},
	Usage: ai.Usage{InputTokens: 10, OutputTokens: 20, CostUSD: 0.25},
}

var rules = ai.Analysis{Model: "rules", Summary: "No finding.", Description: "Nothing to look at."}

// world has an analyser openai that does what is given, and rules.
func world(openai nodetest.AnalyserFn) *nodetest.World {
	return &nodetest.World{Analysers: map[string]nodetest.AnalyserFn{"openai": openai, "local": nodetest.Says("rules", rules)}}
}

func TestIntelligence(t *testing.T) {
	t.Parallel()
	w := world(nodetest.Says("Disk is full.", found))
	out, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai", "provider_config": {"model": "m"}}`, nodetest.Input(w))
	if err != nil {
		t.Fatal(err)
	}
	want := nodetest.Object(t, `{"provider": "openai", "model": "gpt-test", "summary": "Disk is full.", "description": "Logs grew.", "count": 1,
		"recommendations": [{"type": "disk", "priority": "high", "title": "Free space on db-1", "description": "97 % used.", "actions": ["Rotate the logs"], "evidence": ["disk 97 %"]}],
		"usage": {"input_tokens": 10, "output_tokens": 20, "cost_usd": 0.25}, "fallback_used": false, "fallback_reason": ""}`)
	if !reflect.DeepEqual(out.Data, want) || len(out.Errors) > 0 {
		t.Errorf("output %v, errors %q", out.Data, out.Errors)
	}
	if w.Emitted() != "Disk is full.Disk is full." { // it ran twice
		t.Errorf("streamed %q", w.Emitted())
	}
	if asked := w.Asked()[0]; asked.Provider != "openai" || string(asked.Config) != `{"model": "m"}` {
		t.Errorf("asked %+v", asked)
	}
}

func TestIntelligenceIsGivenWhatTheRunKnows(t *testing.T) {
	t.Parallel()
	w := world(nodetest.Says("", found))
	in := nodetest.Input(w)
	in.Incident = nodetest.Object(t, `{"title": "DiskFull on db-1", "severity": "critical"}`)
	in.Alerts = []map[string]any{nodetest.Object(t, `{"name": "DiskFull", "labels": {"team": "db"}, "annotations": {"summary": "full"}}`)}
	in.Payload = map[string]any{"raw": true}
	in = nodetest.With(in,
		nodetest.Result(t, "later", "intelligence", `{"provider": "claude", "summary": "later"}`),
		nodetest.Result(t, "cut", "transform", `{"transformed": {"cpu": 1}, "source_node": "metrics"}`),
		nodetest.Result(t, "short", "transform", `{"transformed": "text", "source_node": "later", "unverified": true}`),
		nodetest.Result(t, "metrics", "context", `{"system": {}}`),
		engine.UpstreamResult{NodeOutput: ai.NodeOutput{NodeID: "skipped", Type: "context"}, Skipped: true},
		nodetest.Result(t, "failed", "intelligence", ""),
		nodetest.Result(t, "health", "check", `{"status": "ok"}`),
		nodetest.Result(t, "ingest", "ingest", `{"changed": true}`),
		nodetest.Result(t, "told", "notify", `{"response": "secret of the receiver"}`),
		nodetest.Result(t, "first", "intelligence", `{"provider": "local", "summary": "first"}`))
	config := `{"provider": "openai", "prompt": "What of {{ incident.title }}? {{ nodes.metrics.output.system.none }}"}`
	out, err := nodetest.Run(t, nodeType(t, "intelligence"), config, in)
	if err != nil {
		t.Fatal(err)
	}
	req := w.Asked()[0].Request
	ids := func(list []ai.NodeOutput) (ids []string) {
		for _, o := range list {
			ids = append(ids, o.NodeID)
		}
		return ids
	}
	if got := ids(req.Context); !slices.Equal(got, []string{"cut", "metrics", "health"}) {
		t.Errorf("context %v", got)
	}
	if got := ids(req.Earlier); !slices.Equal(got, []string{"later", "short", "first"}) {
		t.Errorf("earlier analyses %v", got)
	}
	if req.Prompt != "What of DiskFull on db-1? " || req.Payload != nil || !reflect.DeepEqual(req.Incident, in.Incident) || !reflect.DeepEqual(req.Alerts, in.Alerts) {
		t.Errorf("request %+v", req)
	}
	if len(out.Errors) != 1 || !strings.Contains(out.Errors[0], `there is no "none"`) {
		t.Errorf("notes %q", out.Errors)
	}

	in.Alerts = nil
	if _, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai"}`, in); err != nil {
		t.Fatal(err)
	}
	if last := w.Asked()[len(w.Asked())-1].Request; !reflect.DeepEqual(last.Payload, in.Payload) || last.Prompt != "" {
		t.Errorf("without alerts the payload is %v", last.Payload)
	}
}

func TestIntelligenceFallsBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		openai nodetest.AnalyserFn
		config string
		reason string
	}{
		"an error that may pass": {nodetest.Fails(fault.Retry(fault.New(fault.RateLimited, "OpenAI takes no more requests for now (429)."), time.Hour)), ``, "OpenAI takes no more requests for now (429)."},
		"a final error":          {nodetest.Fails(fault.New(fault.Unprocessable, "OpenAI does not accept the API key (401).")), ``, "OpenAI does not accept the API key (401)."},
		"an error nobody marked": {nodetest.Fails(errors.New("canary of the vendor")), ``, "openai failed with an internal error."},
		"no result":              {ends, ``, "openai ended its answer without a result."},
		"broken while streaming": {breaksOff, ``, "OpenAI ended its answer in the middle."},
		"a prompt that fails":    {nodetest.Says("", found), `, "prompt": "{{ 1 / size(alerts) }}"`, `The expression "1 / size(alerts)" failed: division by zero.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world(c.openai)
			out, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai"`+c.config+`}`, nodetest.Input(w))
			if err != nil {
				t.Fatal(err)
			}
			if out.Data["provider"] != "local" || out.Data["summary"] != "No finding." || out.Data["fallback_used"] != true {
				t.Errorf("output %v", out.Data)
			}
			if reason := out.Data["fallback_reason"].(string); !strings.HasSuffix(strings.TrimSpace(reason), strings.TrimSpace(c.reason)) {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
			if len(out.Errors) != 1 || out.Errors[0] != "Fell back to local: "+out.Data["fallback_reason"].(string) {
				t.Errorf("errors %q", out.Errors)
			}
			if len(w.LogLines()) == 0 || strings.Contains(strings.Join(w.LogLines(), "")+w.Emitted(), "canary") {
				t.Errorf("log %q, live text %q", w.LogLines(), w.Emitted())
			}
		})
	}
}

func ends(context.Context, ai.Request) iter.Seq2[ai.Chunk, error] {
	return func(yield func(ai.Chunk, error) bool) { yield(ai.Chunk{Text: "half"}, nil) }
}

func breaksOff(context.Context, ai.Request) iter.Seq2[ai.Chunk, error] {
	return func(yield func(ai.Chunk, error) bool) {
		if yield(ai.Chunk{Text: "half"}, nil) {
			yield(ai.Chunk{}, fault.New(fault.Unavailable, "OpenAI ended its answer in the middle."))
		}
	}
}

func TestIntelligenceFails(t *testing.T) {
	t.Parallel()
	later := fault.Retry(fault.New(fault.Unavailable, "OpenAI has a problem of its own (503)."), 7*time.Second)
	t.Run("without a fallback, to be tried again", func(t *testing.T) {
		t.Parallel()
		_, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai", "fallback": "none"}`, nodetest.Input(world(nodetest.Fails(later))))
		if after, ok := fault.Retryable(err); !ok || after != 7*time.Second || fault.Of(err).Message != "OpenAI has a problem of its own (503)." {
			t.Errorf("error %v", err)
		}
	})
	t.Run("when the fallback fails too, with both reasons", func(t *testing.T) {
		t.Parallel()
		w := world(nodetest.Fails(later))
		w.Analysers["claude"] = nodetest.Fails(fault.Retry(fault.New(fault.RateLimited, "Anthropic takes no more requests."), 0))
		_, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai", "fallback": "claude"}`, nodetest.Input(w))
		want := "OpenAI has a problem of its own (503). The fallback claude failed too: Anthropic takes no more requests."
		if _, ok := fault.Retryable(err); !ok || fault.Of(err).Message != want {
			t.Errorf("error %v", err)
		}
	})
	t.Run("local does not fall back to itself", func(t *testing.T) {
		t.Parallel()
		w := &nodetest.World{Analysers: map[string]nodetest.AnalyserFn{"local": nodetest.Fails(later)}}
		_, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "local"}`, nodetest.Input(w))
		if err == nil || strings.Contains(err.Error(), "fallback") {
			t.Errorf("error %v", err)
		}
	})
}

// A page that waits for an analysis gets one in the time of the attempt, whatever the provider does,
// and at once when it is known to fail.
func TestIntelligenceDoesNotDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nt := nodeType(t, "intelligence")
		w := world(nodetest.Hangs)
		in := nodetest.Input(w)
		run := func(config string) (engine.Output, time.Duration) {
			t.Helper()
			node, err := nt.Build([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), nt.Timeout)
			defer cancel()
			began := time.Now()
			out, err := node.Run(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			return out, time.Since(began)
		}
		const openai = `{"provider": "openai"}`
		for range 3 {
			out, took := run(openai)
			if took != 19*time.Second || out.Data["fallback_reason"] != "openai did not answer within 19s." {
				t.Fatalf("took %v, %v", took, out.Data)
			}
		}
		if out, took := run(openai); took != 0 || out.Data["fallback_reason"] !=
			"openai is not asked for another 1m0s because it failed 3 times in a row. The last time: openai did not answer within 19s." {
			t.Errorf("took %v, %v", took, out.Data)
		}
		if _, took := run(`{"provider": "openai", "provider_config": {"base_url": "http://other"}}`); took != 19*time.Second {
			t.Errorf("another server pays for the first: %v", took)
		}

		time.Sleep(time.Minute)
		var storm sync.WaitGroup
		waited := make(chan time.Duration, 50)
		for range 50 {
			storm.Go(func() { _, took := run(openai); waited <- took })
		}
		storm.Wait()
		close(waited)
		slow := 0
		for took := range waited {
			if took > 0 {
				slow++
			}
		}
		if slow != 1 {
			t.Errorf("%d runs tried the provider again, want one", slow)
		}

		time.Sleep(time.Minute)
		w.Analysers["openai"] = nodetest.Says("", found)
		for range 2 {
			if out, took := run(openai); took != 0 || out.Data["provider"] != "openai" {
				t.Errorf("it works again: took %v, %v", took, out.Data)
			}
		}
	})
}

func TestIntelligenceOfAnEndedRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nt := nodeType(t, "intelligence")
		w := world(nodetest.Hangs)
		node, err := nt.Build([]byte(`{"provider": "openai"}`))
		if err != nil {
			t.Fatal(err)
		}
		cancelled := errors.New("cancelled by a person")
		for range 5 { // more often than would open the circuit
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cancelled) })
			if _, err := node.Run(ctx, nodetest.Input(w)); !errors.Is(err, cancelled) {
				t.Fatalf("error %v", err)
			}
		}
		for _, asked := range w.Asked() {
			if asked.Provider != "openai" {
				t.Errorf("a cancelled run asks %s", asked.Provider)
			}
		}
	})
}

func TestIntelligenceIsBounded(t *testing.T) {
	t.Parallel()
	huge := ai.Analysis{Summary: strings.Repeat("é", 1<<20), Description: strings.Repeat("x", 1<<20)}
	for range 100 {
		huge.Recommendations = append(huge.Recommendations, ai.Recommendation{Title: strings.Repeat("t", 1<<16), Actions: slices.Repeat([]string{"a"}, 1000)})
	}
	w := world(func(context.Context, ai.Request) iter.Seq2[ai.Chunk, error] {
		return func(yield func(ai.Chunk, error) bool) {
			for range 1000 {
				if !yield(ai.Chunk{Text: strings.Repeat("é", 500)}, nil) {
					return
				}
			}
			yield(ai.Chunk{Result: &huge}, nil)
		}
	})
	node, err := nodeType(t, "intelligence").Build([]byte(`{"provider": "openai"}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.Run(t.Context(), nodetest.Input(w))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w.Emitted()); n == 0 || n > 64<<10 {
		t.Errorf("%d bytes streamed", n)
	}
	if n := len(out.Data["recommendations"].([]any)); n > ai.MaxRecommendations || len(out.Data["summary"].(string)) > 4*ai.MaxSummary {
		t.Errorf("%d recommendations, summary of %d bytes", n, len(out.Data["summary"].(string)))
	}
	if len(huge.Recommendations) != 100 || len(huge.Recommendations[0].Actions) != 1000 {
		t.Error("the provider's own result was changed")
	}
}

func TestIntelligenceSummaryOfLast(t *testing.T) {
	t.Parallel()
	terse := found
	terse.Summary, terse.Description = "", ""
	out, err := nodetest.Run(t, nodeType(t, "intelligence"), `{"provider": "openai"}`, nodetest.Input(world(nodetest.Says("", terse))))
	if err != nil || out.Data["summary"] != "Free space on db-1" || out.Data["description"] != "97 % used." {
		t.Errorf("output %v, %v", slices.Sorted(maps.Keys(out.Data)), err)
	}
}
