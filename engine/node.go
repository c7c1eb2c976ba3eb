package engine

import (
	"context"
	"encoding/json"
	"time"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
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

	Payload  any              // of the run, plain data
	Document json.RawMessage  // the payload as it came, if the run has one of its own
	Incident map[string]any   // plain data, nil without one
	Alerts   []map[string]any // the alerts this run is about
	Upstream []UpstreamResult // results of all ancestors, nearest first
	Vars     expr.Vars        // the same data for expressions
	Services Services
	Target   *Target           // of a [Notifier], nil if it found none
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

// IntakeResult is what the intake of a delivery did, as one run sees it: its own incident, the
// counters of the whole delivery.
type IntakeResult struct {
	Source                                       string
	AlertsCreated, AlertsUpdated, AlertsResolved int
	IncidentsCreated, IncidentsUpdated           int
	IncidentID                                   string   // of this run: the most severe change of the delivery, or the child run's own
	IncidentIDs                                  []string // all, most severe first
	AlertFingerprint                             string   // of the most severe alert of IncidentID
	Severity                                     db.Severity
	Change                                       string // "<incident>@<revision>"
	Changed                                      bool   // false: nothing material changed for IncidentID
	Notes                                        []string
	Incident                                     map[string]any   // plain data of IncidentID after the intake
	Alerts                                       []map[string]any // of this delivery for IncidentID, plain data
}

// SubRun is what a node runs: a definition, version 0 for the newest.
type SubRun struct {
	Definition string
	Version    int
	Payload    json.RawMessage
	Wait       bool
}

// SubRunResult is a run that a node started: as it ended, or as it is if nobody waits.
type SubRunResult struct {
	RunID, Definition string
	Version           int
	Status            db.RunStatus
	Error             string
	Failed            []string        // nodes that failed
	Final             []ai.NodeOutput // results of the nodes that nothing follows
}

// Services is what the engine does for nodes.
type Services interface {
	// Intake takes the run's delivery in (once, however often it is called): alerts, incidents, and
	// child runs for further incidents. For a run without a delivery (execute), payload is parsed with
	// the named source driver ("" detects) and taken in as the run's own delivery.
	Intake(ctx context.Context, run RunInfo, payload any, driver string) (IntakeResult, error)
	// Channel builds the driver of a stored channel. fault.NotFound if there is none or it is inactive.
	Channel(ctx context.Context, name string) (kind string, d notify.Driver, err error)
	// DefaultChannel finds the stored channel a driver uses when the node names none: "default" if it
	// is of that driver, else the channel named like the driver.
	DefaultChannel(ctx context.Context, driver string) (name string, d notify.Driver, err error)
	// Driver builds a driver from settings written in a definition, references resolved.
	Driver(ctx context.Context, kind string, config json.RawMessage) (notify.Driver, error)
	// Provider builds an analyser from settings written in a definition, references resolved.
	Provider(ctx context.Context, kind string, config json.RawMessage) (ai.Provider, error)
	// SubRun starts a run of another definition for this node, and waits for its end if asked to. However
	// often it is called for a node of a run, it is one run.
	SubRun(ctx context.Context, in SubRun) (SubRunResult, error)
	// Raise reports alerts of the source check that this node has found: those that fire, and those that
	// no longer do if they did. Only what is new is passed on, once for a node of a run.
	Raise(ctx context.Context, found []alerts.Alert) error
	// Deliver sends the message of a [Notifier] and keeps the ledger of it. With update the message edits
	// the earlier one about the same incident in the same channel, where the receiver can; a resolve always does.
	Deliver(ctx context.Context, to Target, m notify.Message, update bool) (Delivered, error)
	// AlarmChannel finds a stored channel for the alarm of a run about the channel except. The note says why it is
	// not the configured one.
	AlarmChannel(ctx context.Context, in Input, except string) (to Target, note string, err error)
	// PublicURL is the address people reach Penstock at, "" if none is configured.
	PublicURL() string
}
