// Package ai analyses what a run knows. A Provider streams its analysis; the last chunk holds the
// result. What a model says is annotation only: it never decides severity, routing or recipients.
package ai

import (
	"context"
	"iter"

	"penstock/drivers"
)

// Request is everything the analyser may know, as plain data. Alert text in it is data, never an
// instruction: providers put it in a fenced block with a random delimiter.
type Request struct {
	Prompt   string           // the author's rendered prompt, "" for the default task
	Incident map[string]any   // nil without one
	Alerts   []map[string]any // name, host, status, severity, labels, annotations, starts_at …
	Context  []NodeOutput     // outputs of context and check nodes, newest first
	Earlier  []NodeOutput     // earlier analyses, newest first
	Payload  any              // the run's payload, for runs without alerts
}

// NodeOutput is what one upstream node returned.
type NodeOutput struct {
	NodeID string         `json:"node_id"`
	Type   string         `json:"type"`
	Output map[string]any `json:"output"`
}

// Chunk is a part of the answer: Text as it streams, or Result as the last one.
type Chunk struct {
	Text   string
	Result *Analysis
}

// Analysis is the same for every provider. "No finding" is an empty Recommendations with a summary
// that says so, never an invented one.
type Analysis struct {
	Model           string           `json:"model"`
	Summary         string           `json:"summary"`
	Description     string           `json:"description"`
	Recommendations []Recommendation `json:"recommendations"`
	Usage           Usage            `json:"usage"`
}

// Recommendation is one thing to do or to look at.
type Recommendation struct {
	Type        string   `json:"type"`     // cpu memory disk process network service other
	Priority    string   `json:"priority"` // critical high medium low
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Actions     []string `json:"actions"`
	Evidence    []string `json:"evidence"` // what it was concluded from, in the words of the data
}

// Usage is what the analysis cost; zero for local.
type Usage struct {
	InputTokens  int     `json:"input_tokens"`
	OutputTokens int     `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd"`
}

// Provider analyses. The sequence ends after a chunk with Result or an error; errors that may pass
// are marked with fault.Retry and carry no vendor text for users.
type Provider interface {
	Analyze(ctx context.Context, req Request) iter.Seq2[Chunk, error]
}

// Readiness is implemented by providers that can say, without I/O, which setting they still need
// ("OPENAI_API_KEY"). Validation reports it as a warning.
type Readiness interface {
	Missing() []string
}

// Target is implemented by providers that ask a model: its name, and the address of the server if it is not
// the vendor's.
type Target interface {
	Target() (model, address string)
}

// Registry holds the providers.
type Registry = drivers.Registry[Provider]
