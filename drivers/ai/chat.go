package ai

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"strings"
	"time"

	"penstock/drivers/outbound"
	"penstock/fault"
)

// Bounds of what a vendor may answer.
const (
	maxStream = 4 << 20  // bytes of the whole response; every few characters come in an envelope
	maxAnswer = 64 << 10 // bytes of the answer itself
)

// Chat is what the providers that ask a vendor's model have in common: the prompt, the streaming
// of readable text, the check of the answer and the errors. A provider adds the vendor's wire format.
type Chat struct {
	Vendor   Vendor
	Endpoint Endpoint
	Model    string
	Redact   Redactor
	Price    Price
}

// Stop is why a model ended its answer.
type Stop int

// The reasons for which a model ends its answer.
const (
	Running Stop = iota
	Complete
	TooLong // the model used up its tokens
	Refused
)

// Delta is one step of a vendor's stream. Tokens are totals so far; zero values say nothing.
type Delta struct {
	Text                      string
	Model                     string
	InputTokens, OutputTokens int
	Stop                      Stop
}

// Missing is [Readiness] for every provider that embeds a Chat.
func (c Chat) Missing() []string { return c.Endpoint.Missing(c.Vendor) }

// Target is [Target] for every provider that embeds a Chat.
func (c Chat) Target() (model, address string) { return c.Model, c.Endpoint.URL }

// Ask sends the request through stream and reads the answer. Errors of the stream that are not
// marked mean that it does not follow the vendor's format; their text is the vendor's and is dropped.
func (c Chat) Ask(ctx context.Context, req Request, stream func(ctx context.Context, prompt string) iter.Seq2[Delta, error]) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		if len(c.Missing()) > 0 {
			yield(Chunk{}, c.problem(fault.Unprocessable, "has no API key. Set api_key, or %s for the server.", c.Vendor.KeyEnv))
			return
		}
		prompt, err := Prompt(req, c.Redact)
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		var (
			answer strings.Builder
			text   reader
			last   Stop
			result = Analysis{Model: c.Model}
		)
		for delta, err := range stream(ctx, prompt) {
			if err != nil {
				yield(Chunk{}, c.streamError(ctx, err))
				return
			}
			if answer.Len()+len(delta.Text) > maxAnswer {
				yield(Chunk{}, c.problem(fault.Unprocessable, "gave an answer of more than %d KiB.", maxAnswer>>10))
				return
			}
			answer.WriteString(delta.Text)
			if delta.Model != "" {
				result.Model = cut(Plain(delta.Model), MaxTitle)
			}
			result.Usage.InputTokens = max(result.Usage.InputTokens, delta.InputTokens)
			result.Usage.OutputTokens = max(result.Usage.OutputTokens, delta.OutputTokens)
			last = max(last, delta.Stop)
			if part := text.add(delta.Text); part != "" && !yield(Chunk{Text: part}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Chunk{}, err)
			return
		}
		if err := c.finish(last, answer.String(), &result); err != nil {
			yield(Chunk{}, err)
			return
		}
		result.Usage.CostUSD = c.Price.of(result.Usage)
		yield(Chunk{Result: &result}, nil)
	}
}

// finish checks the complete answer and puts it into result.
func (c Chat) finish(why Stop, answer string, result *Analysis) error {
	switch why {
	case Running:
		return fault.Retry(c.problem(fault.Unavailable, "ended its answer in the middle."), 0)
	case TooLong:
		return c.problem(fault.Unprocessable, "did not finish its answer within max_tokens. Raise max_tokens, or use a model that thinks less.")
	case Refused:
		return c.problem(fault.Unprocessable, "refused to analyse this run.")
	}
	// Servers without structured output like to put the object into a code block.
	from, to := strings.IndexByte(answer, '{'), strings.LastIndexByte(answer, '}')
	if from < 0 || to < from || !json.Valid([]byte(answer[from:to+1])) {
		return c.problem(fault.Unprocessable, "did not answer with JSON. Use a model that supports structured output.")
	}
	object := json.RawMessage(answer[from : to+1])
	if problems := wire.Validate(object); len(problems) > 0 {
		where := problems[0].Path // of keys that the schema knows: nothing of the answer gets into the error
		return c.problem(fault.Unprocessable, "did not answer in the agreed form (at %q). Use a model that supports structured output.", where)
	}
	if err := json.Unmarshal(object, result); err != nil {
		return c.problem(fault.Unprocessable, "did not answer in the agreed form.")
	}
	result.plain()
	result.Fit()
	return nil
}

func (a *Analysis) plain() {
	a.Summary, a.Description = Plain(a.Summary), Plain(a.Description)
	for i := range a.Recommendations {
		r := &a.Recommendations[i]
		r.Title, r.Description = Plain(r.Title), Plain(r.Description)
		for _, lines := range [][]string{r.Actions, r.Evidence} {
			for i, line := range lines {
				lines[i] = Plain(line)
			}
		}
	}
}

// Guard is a middleware for the vendors' SDKs. It lets only an event stream through and turns
// everything else into an error of ours, so that no text of a vendor gets into one; and it bounds
// what is read.
func (c Chat) Guard(req *http.Request, next func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	res, err := next(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		err = c.StatusError(res.StatusCode, outbound.RetryAfter(res.Header, time.Now()))
	case media != "text/event-stream":
		err = c.problem(fault.Unprocessable, "did not answer with an event stream. Check base_url.")
	default:
		res.Body = &body{res: res.Body, chat: c, left: maxStream}
		return res, nil
	}
	_, _ = outbound.ReadBody(res, 0) // only so that the connection can be used again
	return nil, err
}

// StatusError says what an HTTP status of the vendor means and whether to try again. Vendors also
// report errors inside a stream; providers translate those to the status that they stand for.
func (c Chat) StatusError(status int, after time.Duration) error {
	switch {
	case status == http.StatusTooManyRequests:
		e := c.problem(fault.RateLimited, "takes no more requests for now (429): a rate limit or the account's quota is used up.")
		e.After = after
		return fault.Retry(e, after)
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly, status >= 500:
		// 409 is a lock that was not free in time: the vendors' own clients try again, too.
		e := c.problem(fault.Unavailable, "has a problem of its own (%d).", status)
		e.After = after
		return fault.Retry(e, after)
	case status == http.StatusUnauthorized:
		return c.problem(fault.Unprocessable, "does not accept the API key (401). Check api_key, or %s of the server.", c.Vendor.KeyEnv)
	case status == http.StatusPaymentRequired:
		return c.problem(fault.Unprocessable, "wants to be paid first (402). Check the account that api_key belongs to.")
	case status == http.StatusForbidden:
		return c.problem(fault.Unprocessable, "does not allow this (403). Check that api_key may use model %q.", c.Model)
	case status == http.StatusNotFound:
		return c.problem(fault.Unprocessable, "does not know the model %q or the address (404). Check model and base_url.", c.Model)
	case status < 400:
		return c.problem(fault.Unprocessable, "answered with a redirect or without content (%d). Set base_url to the final address.", status)
	}
	return c.problem(fault.Unprocessable, "refuses the request (%d). Check model, max_tokens and temperature.", status)
}

func (c Chat) problem(code fault.Code, format string, args ...any) *fault.Error {
	return fault.New(code, c.Vendor.Name+" "+format, args...)
}

func (c Chat) unreachable(err error) error {
	err = outbound.Classify(err)
	marked, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	return fault.Wrap(err, marked.Code, "%s: %s", c.Vendor.Name, marked.Message)
}

func (c Chat) streamError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return c.problem(fault.Unprocessable, "does not answer in the format of its API. Check base_url.")
}

// body bounds and classifies what is read of a stream.
type body struct {
	res  io.ReadCloser
	chat Chat
	left int
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.res.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, b.chat.problem(fault.Unprocessable, "sends more than %d MiB.", maxStream>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.chat.unreachable(err)
	}
	return n, err
}

func (b *body) Close() error { return b.res.Close() }
