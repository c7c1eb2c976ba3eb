// Package claude asks a Claude model by Anthropic's messages API.
package claude

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
	"github.com/anthropics/anthropic-sdk-go/shared"

	"penstock/drivers"
	"penstock/drivers/ai"
)

const (
	defaultModel  = anthropic.ModelClaudeHaiku5_5
	defaultTokens = 8192
	vendorURL     = "https://api.anthropic.com"
)

var vendor = ai.Vendor{Name: "Anthropic", KeyEnv: "ANTHROPIC_API_KEY", URLEnv: "ANTHROPIC_BASE_URL"}

// prices are Anthropic's list prices, read in November 2026; our prompts stay in the lower tier of
// models that have two.
var prices = ai.PriceList{
	"claude-haiku-5-5":  {Input: 0.10, Output: 0.50},
	"claude-sonnet-5-5": {Input: 2, Output: 10},
	"claude-opus-5-5":   {Input: 4, Output: 20},
	"claude-fable-5-1":  {Input: 10, Output: 50},
	"claude-sonnet-5":   {Input: 2, Output: 10},
	"claude-opus-5":     {Input: 5, Output: 25},
	"claude-haiku-4-5":  {Input: 1, Output: 5},
}

// Config is how a definition writes the provider's settings.
type Config struct {
	Model       string         `json:"model,omitempty" jsonschema:"title=Model,default=claude-haiku-5-5,minLength=1,maxLength=200,description=Name of the model. It must support structured output. The default is asked for little effort so that it answers in time."`
	APIKey      drivers.Secret `json:"api_key,omitzero" jsonschema:"title=API key,description=Without it ANTHROPIC_API_KEY of the server is used; never together with a base_url from here."`
	BaseURL     string         `json:"base_url,omitempty" jsonschema:"title=Base URL,maxLength=2000,description=Address of a compatible server or proxy without /v1. Default: ANTHROPIC_BASE_URL of the server\\, else Anthropic."`
	MaxTokens   int64          `json:"max_tokens,omitempty" jsonschema:"title=Tokens at most,default=8192,minimum=256,maximum=128000,description=Bound of one answer\\, thinking included."`
	Temperature *float64       `json:"temperature,omitempty" jsonschema:"title=Temperature,minimum=0,maximum=1,description=Many newer models refuse it: leave it out for those."`
	InputCost   *float64       `json:"input_cost,omitempty" jsonschema:"title=Input price,minimum=0,description=US dollars per million input tokens. Default: the list price of known models\\, else 0."`
	OutputCost  *float64       `json:"output_cost,omitempty" jsonschema:"title=Output price,minimum=0,description=US dollars per million output tokens. Default: the list price of known models\\, else 0."`
	Redact      []string       `json:"redact,omitempty" jsonschema:"title=Redact,maxItems=50,description=Regular expressions (RE2). What they match in alerts\\, context and prompt is sent as [redacted]."`
}

// Provider is an [ai.Provider].
type Provider struct {
	ai.Chat
	api    anthropic.MessageService
	params anthropic.MessageNewParams // without the user's message
}

// Kind returns the provider's kind.
func Kind(deps ai.Deps) drivers.Kind[ai.Provider] {
	return drivers.Define("claude", "Claude", func(_ context.Context, c Config) (ai.Provider, error) {
		endpoint, err := deps.Endpoint(vendor, c.APIKey, c.BaseURL)
		if err != nil {
			return nil, err
		}
		redact, err := ai.NewRedactor(c.Redact)
		if err != nil {
			return nil, err
		}
		model := cmp.Or(c.Model, defaultModel)
		p := &Provider{Chat: ai.Chat{
			Vendor: vendor, Endpoint: endpoint, Model: model, Redact: redact,
			Price: prices.Of(model, c.InputCost, c.OutputCost),
		}}
		if p.params, err = params(c, model, endpoint); err != nil {
			return nil, err
		}
		// Not anthropic.NewClient: it reads the environment and profiles by itself.
		p.api = anthropic.NewMessageService(
			option.WithHTTPClient(deps.HTTP),
			option.WithBaseURL(cmp.Or(endpoint.URL, vendorURL)),
			option.WithAPIKey(endpoint.Key),
			option.WithMaxRetries(0), // the engine retries
			option.WithoutOpenTelemetry(),
			option.WithMiddleware(p.Guard),
		)
		return p, nil
	})
}

func params(c Config, model string, endpoint ai.Endpoint) (anthropic.MessageNewParams, error) {
	p := anthropic.MessageNewParams{
		Model:     model,
		MaxTokens: cmp.Or(c.MaxTokens, defaultTokens),
		System:    []anthropic.TextBlockParam{{Text: ai.System}},
	}
	var schema map[string]json.RawMessage // one level only: below it the order of the keys is kept
	if err := json.Unmarshal(ai.WireSchema, &schema); err != nil {
		return p, err
	}
	p.OutputConfig.Format.Schema = make(map[string]any, len(schema))
	for key, value := range schema {
		p.OutputConfig.Format.Schema[key] = value
	}
	if c.Model == "" && endpoint.URL == "" {
		p.OutputConfig.Effort = anthropic.OutputConfigEffortLow
	}
	if c.Temperature != nil {
		p.Temperature = param.NewOpt(*c.Temperature)
	}
	return p, nil
}

// Analyze implements [ai.Provider].
func (p *Provider) Analyze(ctx context.Context, req ai.Request) iter.Seq2[ai.Chunk, error] {
	return p.Ask(ctx, req, p.stream)
}

func (p *Provider) stream(ctx context.Context, prompt string) iter.Seq2[ai.Delta, error] {
	return func(yield func(ai.Delta, error) bool) {
		params := p.params
		params.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))}
		stream := p.api.NewStreaming(ctx, params)
		defer stream.Close()
		for stream.Next() {
			if !yield(delta(stream.Current()), nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(ai.Delta{}, p.inStream(err))
		}
	}
}

func delta(event anthropic.MessageStreamEventUnion) ai.Delta {
	switch event.Type {
	case "message_start":
		u := event.Message.Usage
		return ai.Delta{
			Model:        event.Message.Model,
			InputTokens:  int(u.InputTokens + u.CacheCreationInputTokens + u.CacheReadInputTokens),
			OutputTokens: int(u.OutputTokens),
		}
	case "content_block_delta":
		if event.Delta.Type == "text_delta" { // and not what the model thinks
			return ai.Delta{Text: event.Delta.Text}
		}
	case "message_delta":
		return ai.Delta{OutputTokens: int(event.Usage.OutputTokens), Stop: stop(event.Delta.StopReason)}
	}
	return ai.Delta{}
}

func stop(reason anthropic.StopReason) ai.Stop {
	switch reason {
	case "":
		return ai.Running
	case anthropic.StopReasonRefusal:
		return ai.Refused
	case anthropic.StopReasonMaxTokens, anthropic.StopReasonModelContextWindowExceeded:
		return ai.TooLong
	}
	return ai.Complete
}

// inStream translates an error event to the HTTP status that it would have been before the answer began.
func (p *Provider) inStream(err error) error {
	event, ok := errors.AsType[*anthropic.Error](err)
	if !ok {
		return err
	}
	status := map[shared.ErrorType]int{
		anthropic.ErrorTypeInvalidRequestError: http.StatusBadRequest,
		anthropic.ErrorTypeAuthenticationError: http.StatusUnauthorized,
		anthropic.ErrorTypeBillingError:        http.StatusPaymentRequired,
		anthropic.ErrorTypePermissionError:     http.StatusForbidden,
		anthropic.ErrorTypeNotFoundError:       http.StatusNotFound,
		anthropic.ErrorTypeRateLimitError:      http.StatusTooManyRequests,
	}[event.Type()]
	return p.StatusError(cmp.Or(status, http.StatusServiceUnavailable), 0)
}
