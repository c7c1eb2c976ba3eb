// Package openai asks a model by the OpenAI chat-completions API: OpenAI's own, or by base_url any
// server that speaks it (Ollama, vLLM, LiteLLM and others).
package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/shared"

	"penstock/drivers"
	"penstock/drivers/ai"
)

const (
	defaultModel  = openai.ChatModelGPT6Luna
	defaultTokens = 8192
	vendorURL     = "https://api.openai.com/v1"
)

var vendor = ai.Vendor{Name: "OpenAI", KeyEnv: "OPENAI_API_KEY", URLEnv: "OPENAI_BASE_URL"}

// prices are OpenAI's list prices for standard requests, read in November 2026.
var prices = ai.PriceList{
	"gpt-6-astra":   {Input: 10, Output: 50},
	"gpt-6-sol":     {Input: 2, Output: 10},
	"gpt-6-luna":    {Input: 0.10, Output: 0.50},
	"gpt-5.6-terra": {Input: 2, Output: 12},
	"gpt-5.6-luna":  {Input: 0.20, Output: 1.20},
	"gpt-5.4":       {Input: 2.50, Output: 15},
	"gpt-5.4-mini":  {Input: 0.75, Output: 4.50},
}

// Config is how a definition writes the provider's settings.
type Config struct {
	Model       string         `json:"model,omitempty" jsonschema:"title=Model,default=gpt-6-luna,minLength=1,maxLength=200,description=Name of the model. It must support structured output. The default is asked for little reasoning so that it answers in time."`
	APIKey      drivers.Secret `json:"api_key,omitzero" jsonschema:"title=API key,description=Without it OPENAI_API_KEY of the server is used; never together with a base_url from here."`
	BaseURL     string         `json:"base_url,omitempty" jsonschema:"title=Base URL,maxLength=2000,description=Address of a compatible server up to and with /v1. Default: OPENAI_BASE_URL of the server\\, else OpenAI."`
	MaxTokens   int64          `json:"max_tokens,omitempty" jsonschema:"title=Tokens at most,default=8192,minimum=256,maximum=128000,description=Bound of one answer\\, reasoning included."`
	Temperature *float64       `json:"temperature,omitempty" jsonschema:"title=Temperature,minimum=0,maximum=2,description=Many newer models refuse it: leave it out for those."`
	InputCost   *float64       `json:"input_cost,omitempty" jsonschema:"title=Input price,minimum=0,description=US dollars per million input tokens. Default: the list price of known models\\, else 0."`
	OutputCost  *float64       `json:"output_cost,omitempty" jsonschema:"title=Output price,minimum=0,description=US dollars per million output tokens. Default: the list price of known models\\, else 0."`
	Redact      []string       `json:"redact,omitempty" jsonschema:"title=Redact,maxItems=50,description=Regular expressions (RE2). What they match in alerts\\, context and prompt is sent as [redacted]."`
}

// Provider is an [ai.Provider].
type Provider struct {
	ai.Chat
	api    openai.ChatCompletionService
	params openai.ChatCompletionNewParams // without the messages
}

// Kind returns the provider's kind.
func Kind(deps ai.Deps) drivers.Kind[ai.Provider] {
	return drivers.Define("openai", "OpenAI and compatible", func(_ context.Context, c Config) (ai.Provider, error) {
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
		p.params = params(c, model, endpoint)
		// Not openai.NewClient: it reads the environment by itself.
		p.api = openai.NewChatCompletionService(
			option.WithHTTPClient(deps.HTTP),
			option.WithBaseURL(cmp.Or(endpoint.URL, vendorURL)),
			option.WithAPIKey(endpoint.Key),
			option.WithMaxRetries(0), // the engine retries
			option.WithMiddleware(p.Guard),
		)
		return p, nil
	})
}

func params(c Config, model string, endpoint ai.Endpoint) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{
		Model:         model,
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
			OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
				JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
					Name: "analysis", Strict: openai.Bool(true), Schema: ai.WireSchema,
				},
			},
		},
	}
	tokens := openai.Int(cmp.Or(c.MaxTokens, defaultTokens))
	if endpoint.URL == "" || endpoint.URL == vendorURL {
		p.MaxCompletionTokens = tokens
	} else {
		p.MaxTokens = tokens // what OpenAI's own models refuse by now is all that many servers know
	}
	if c.Model == "" && endpoint.URL == "" {
		p.ReasoningEffort = shared.ReasoningEffortLow
	}
	if c.Temperature != nil {
		p.Temperature = param.NewOpt(*c.Temperature)
	}
	return p
}

// Analyze implements [ai.Provider].
func (p *Provider) Analyze(ctx context.Context, req ai.Request) iter.Seq2[ai.Chunk, error] {
	return p.Ask(ctx, req, p.stream)
}

func (p *Provider) stream(ctx context.Context, prompt string) iter.Seq2[ai.Delta, error] {
	return func(yield func(ai.Delta, error) bool) {
		params := p.params
		params.Messages = []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(ai.System), openai.UserMessage(prompt)}
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

func delta(chunk openai.ChatCompletionChunk) ai.Delta {
	d := ai.Delta{
		Model:        chunk.Model,
		InputTokens:  int(chunk.Usage.PromptTokens),
		OutputTokens: int(chunk.Usage.CompletionTokens),
	}
	if len(chunk.Choices) == 0 { // the last chunk brings the usage only
		return d
	}
	choice := chunk.Choices[0]
	d.Text = choice.Delta.Content
	switch {
	case choice.Delta.Refusal != "", choice.FinishReason == "content_filter":
		d.Stop = ai.Refused
	case choice.FinishReason == "length":
		d.Stop = ai.TooLong
	case choice.FinishReason != "":
		d.Stop = ai.Complete
	}
	return d
}

// inStream translates an error event to the HTTP status that it would have been before the answer began.
func (p *Provider) inStream(err error) error {
	event, ok := errors.AsType[*ssestream.StreamError](err)
	if !ok {
		return err
	}
	var body struct {
		Error struct {
			Type string `json:"type"`
			Code any    `json:"code"` // a text, or with some servers a number
		} `json:"error"`
	}
	_ = json.Unmarshal(event.Event.Data, &body) // what cannot be read is a problem of the server's
	switch {
	case body.Error.Code == "rate_limit_exceeded", body.Error.Type == "insufficient_quota":
		return p.StatusError(http.StatusTooManyRequests, 0)
	case body.Error.Type == "invalid_request_error":
		return p.StatusError(http.StatusBadRequest, 0)
	}
	return p.StatusError(http.StatusInternalServerError, 0)
}
