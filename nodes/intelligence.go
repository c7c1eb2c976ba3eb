package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

const noFallback = "none"

type intelligenceConfig struct {
	Provider       string          `json:"provider" jsonschema:"title=Provider,description=The analyser to ask. local needs nothing."`
	ProviderConfig json.RawMessage `json:"provider_config,omitempty" jsonschema:"title=Provider settings,description=Settings of the provider."`
	Prompt         string          `json:"prompt,omitempty" jsonschema:"title=Prompt,format=template,minLength=1,description=Template of the task. Without it: what is wrong and what to do. The analyser is always given what the run knows. local does not read it."`
	Fallback       string          `json:"fallback,omitempty" jsonschema:"title=Fallback,default=local,description=The analyser that answers when the provider fails\\, with its default settings. none: the node fails instead."`
}

const intelligenceAbout = "Analyses everything that the run knows: incident, alerts, context and check results, earlier analyses. " +
	"Output: provider (the one that answered), model, recommendations [{type, priority, title, description, actions, evidence}], count, summary, description, " +
	"usage {input_tokens, output_tokens, cost_usd}, fallback_used and fallback_reason. An analysis never decides severity, routing or recipients."

func intelligenceType(d Deps) engine.NodeType {
	schema := patched(drivers.SchemaOf[intelligenceConfig](), settingsOf("provider", "provider_config", d.AI)...)
	shared := &circuits{}
	return define(definition.Type{
		Name: "intelligence", Title: "Intelligence", Description: intelligenceAbout, Timeout: 20 * time.Second,
		Schema: patched(schema, oneOf("fallback", append(d.AI.Names(), noFallback)...)),
	}, func(cfg intelligenceConfig, c *definition.Checker) {
		if cfg.Prompt != "" {
			c.Template("/prompt", cfg.Prompt)
		}
		cfg = cfg.withDefaults()
		if kind, err := d.AI.Get(cfg.Provider); err == nil {
			if missing := checkSettings(c, "/provider_config", kind, cfg.ProviderConfig); len(missing) > 0 {
				c.Warn("/provider", definition.CodeMissingSetting, "%s cannot be asked until %s is set. %s", kind.Name, words(missing), cfg.instead())
			}
		}
		if kind, err := d.AI.Get(cfg.Fallback); err == nil && cfg.Fallback != cfg.Provider {
			if missing := checkSettings(c, "/fallback", kind, nil); len(missing) > 0 {
				c.Warn("/fallback", definition.CodeMissingSetting, "%s cannot answer as the fallback until %s is set.", kind.Name, words(missing))
			}
		}
	}, func(cfg intelligenceConfig) (engine.Node, error) {
		prompt, err := expr.CompileTemplate(cfg.Prompt)
		return &intelligence{cfg.withDefaults(), prompt, shared}, err
	})
}

func (cfg intelligenceConfig) withDefaults() intelligenceConfig {
	if cfg.Fallback == "" {
		cfg.Fallback = "local"
	}
	return cfg
}

func (cfg intelligenceConfig) instead() string {
	if cfg.Fallback == noFallback || cfg.Fallback == cfg.Provider {
		return "Until then the node fails."
	}
	return "Until then " + cfg.Fallback + " answers."
}

type intelligence struct {
	intelligenceConfig
	prompt   *expr.Template
	circuits *circuits
}

func (n *intelligence) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	var out engine.Output
	prompt, notes, err := n.prompt.Render(ctx, in.Vars)
	out.Errors = notes
	req := request(in, prompt)
	answered, reason := n.Provider, ""
	var analysis *ai.Analysis
	if err == nil {
		analysis, err = n.ask(ctx, in, req)
	}
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case n.Fallback == noFallback || n.Fallback == n.Provider:
			return out, err
		}
		answered, reason = n.Fallback, n.why(err)
		in.Log(fmt.Sprintf("%s Asking %s instead.", reason, n.Fallback))
		if analysis, err = collect(ctx, in, n.Fallback, nil, req); err != nil {
			if ctx.Err() != nil {
				return out, context.Cause(ctx)
			}
			failed := fault.Of(err)
			return out, fault.Wrap(err, failed.Code, "%s The fallback %s failed too: %s", reason, n.Fallback, failed.Message)
		}
		out.Errors = append(out.Errors, fmt.Sprintf("Fell back to %s: %s", n.Fallback, reason))
	}
	out.Data = expr.Plain(analysis).(map[string]any)
	if recommendations, _ := out.Data["recommendations"].([]any); len(recommendations) > 0 {
		first, _ := recommendations[0].(map[string]any)
		for key, from := range map[string]string{"summary": "title", "description": "description"} {
			if out.Data[key] == "" {
				out.Data[key] = first[from]
			}
		}
	}
	out.Data["provider"], out.Data["count"] = answered, len(analysis.Recommendations)
	out.Data["fallback_used"], out.Data["fallback_reason"] = reason != "", reason
	return out, nil
}

// ask asks the provider, unless it has failed too often, for as long as leaves time for the fallback.
func (n *intelligence) ask(ctx context.Context, in engine.Input, req ai.Request) (*ai.Analysis, error) {
	key := n.Provider + string(n.ProviderConfig)
	if why, left, blocked := n.circuits.blocked(key); blocked {
		return nil, fault.Retry(fault.New(fault.Unavailable, "%s is not asked for another %s because it failed %d times in a row. The last time: %s",
			n.Provider, max(left.Round(time.Second), time.Second), breakAfter, why), left)
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	began := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		limited, cancel = context.WithDeadline(ctx, deadline.Add(-n.reserve(time.Until(deadline))))
	}
	defer cancel()
	analysis, err := collect(limited, in, n.Provider, n.ProviderConfig, req)
	switch {
	case err == nil:
		n.circuits.worked(key)
		return analysis, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx) // the run has ended: nobody's fault
	case limited.Err() != nil:
		err = fault.Retry(fault.Wrap(err, fault.Unavailable, "%s did not answer within %s.", n.Provider, time.Since(began).Round(100*time.Millisecond)), 0)
	}
	n.circuits.failed(key, n.why(err))
	return nil, err
}

// reserve is what the fallback gets of the time that is left. Another vendor needs more than rules.
func (n *intelligence) reserve(left time.Duration) time.Duration {
	switch n.Fallback {
	case noFallback:
		return 0
	case "local":
		return min(time.Second, left/5)
	}
	return left / 3
}

// why is a sentence for people. What is not marked as theirs does not get into it.
func (n *intelligence) why(err error) string {
	if f := fault.Of(err); f.Code != fault.Internal {
		return strings.Join(strings.Fields(f.Message), " ")
	}
	return n.Provider + " failed with an internal error."
}

// collect builds a provider and reads its answer to the end; the text of it streams into the live view.
func collect(ctx context.Context, in engine.Input, provider string, settings json.RawMessage, req ai.Request) (*ai.Analysis, error) {
	p, err := in.Services.Provider(ctx, provider, settings)
	if err != nil {
		return nil, err
	}
	live := stream{emit: in.Emit}
	defer live.flush()
	var analysis *ai.Analysis
	for chunk, err := range p.Analyze(ctx, req) {
		if err != nil {
			return nil, err
		}
		live.add(chunk.Text)
		if chunk.Result != nil {
			analysis = new(*chunk.Result)
		}
	}
	if analysis == nil {
		return nil, fault.Retry(fault.New(fault.Unavailable, "%s ended its answer without a result.", provider), 0)
	}
	analysis.Fit()
	return analysis, nil
}

// request is everything that the run knows.
func request(in engine.Input, prompt string) ai.Request {
	req := ai.Request{Prompt: prompt, Incident: in.Incident, Alerts: in.Alerts}
	if len(in.Alerts) == 0 {
		req.Payload = in.Payload
	}
	for _, u := range in.Upstream {
		switch {
		case u.Skipped || u.Output == nil:
		case u.Type == "intelligence" || unverified(u):
			req.Earlier = append(req.Earlier, u.NodeOutput)
		case u.Type == "context" || u.Type == "check" || u.Type == "transform" || u.Type == "pipeline":
			req.Context = append(req.Context, u.NodeOutput)
		}
	}
	return req
}

const (
	streamEvery = 100 * time.Millisecond // between two parts: each is stored
	streamLimit = 64 << 10               // bytes of one analysis
)

// stream hands text on in parts of a readable size.
type stream struct {
	emit func(string)
	text strings.Builder
	sent int
	last time.Time
}

func (s *stream) add(text string) {
	if room := streamLimit - s.sent - s.text.Len(); len(text) > room {
		text = strings.ToValidUTF8(text[:room], "")
	}
	s.text.WriteString(text)
	if time.Since(s.last) >= streamEvery {
		s.flush()
	}
}

func (s *stream) flush() {
	if s.text.Len() == 0 {
		return
	}
	s.emit(s.text.String())
	s.sent += s.text.Len()
	s.text.Reset()
	s.last = time.Now()
}
