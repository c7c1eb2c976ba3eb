package engine

import (
	"context"
	"encoding/json"
	"time"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/engine/definition"
	"penstock/engine/expr"
)

// Node is one step of a compiled definition. It is built once per definition version and used by
// many runs at the same time. Run may be called again for the same attempt's work after a crash:
// effects outside must carry in.Key.
type Node interface {
	Run(ctx context.Context, in Input) (Output, error)
}

// NodeType is a kind of node: what validation knows of it, and how to build one.
type NodeType struct {
	definition.Type
	// Build is called with a configuration that passed validation. It does no I/O.
	Build func(config json.RawMessage) (Node, error)
}

// Input is what a node is given.
type Input struct {
	Run     RunInfo
	NodeID  string
	Attempt int
	Key     string    // idempotency key: the same for every attempt of this node for this change
	Now     time.Time // fixed per attempt

	Payload  any               // of the run, plain data
	Incident map[string]any    // plain data, nil without one
	Alerts   []map[string]any  // the alerts this run is about
	Upstream []UpstreamResult  // results of all ancestors, nearest first
	Vars     expr.Vars         // the same data for expressions
	Emit     func(text string) // streamed text for the live view
	Log      func(line string) // log line for the live view
}

// RunInfo identifies the run.
type RunInfo struct {
	ID, TraceID         string
	Definition          string
	DefinitionVersion   int
	Source, Environment string
	Trigger             db.Trigger
	DeliveryID          string
	IncidentID          string
	ParentRunID         string
	Change              string // "<incident>@<revision>", "" if the run is not about a change
	URL                 string // page of the run, "" without a public URL
}

// UpstreamResult is the final result of an ancestor.
type UpstreamResult struct {
	ai.NodeOutput
	Errors  []string
	Skipped bool
}

// Output is what a node returns.
type Output struct {
	Data   map[string]any // JSON-like; stored and seen as nodes.<id>.output
	Errors []string       // problems that did not fail the node, e.g. "fell back to local"; seen as nodes.<id>.errors
	Branch string         // outcome of a condition: only edges for it are taken

	// SkipRest, if not empty, is the reason why every node after this one is skipped.
	SkipRest string
	// IncidentID and Change, if not empty, become the run's: set by ingest.
	IncidentID, Change string
}
