package engine

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"penstock/db"
	"penstock/db/seal"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine/definition"
)

// Options is what an engine is made of. Store, Sealer, the registries and Types are required.
type Options struct {
	Store        *db.Store
	Hub          *Hub // the one whose Publish was given to db.Open as OnCommit
	Sealer       *seal.Sealer
	Sources      *alerts.Registry
	Notify       *notify.Registry
	AI           *ai.Registry
	Types        []NodeType
	Env          func(string) string // environment for {"env": …} references; nil: os.Getenv
	Workers      int                 // stages that run at the same time; default 256
	Backlog      int                 // runs that may wait for a start before deliveries are refused; default 5,000
	Drain        time.Duration       // how long running stages may go on after Run's context has ended; default 12 s
	Clock        func() time.Time    // what schedules follow; nil: time.Now
	PublicURL    string              // "" or an absolute URL without trailing slash, for links in messages
	HTTP         *http.Client        // guarded; for the heartbeat
	Heartbeat    Heartbeat
	Retain       Retention     // how much history is kept; zero: all
	SourcesEvery time.Duration // how often silent sources are looked for; default 5 s
	Tidy         time.Duration // how often what is old is looked for; default 10 s
	Version      string        // of the program, for people
	Log          *slog.Logger  // nil: discard

	NotifyRetryFor time.Duration // how long a message without a written number of retries is tried; default 24 h
	RestAfter      time.Duration // a run that has only to wait, and longer than this, leaves the memory; default 5 s
	Crowd          int           // messages that wait for one channel in memory; the runs of further ones rest; default 512
	AlarmChannel   string        // stored channel for alarms about other channels; "" takes any that works
}

// Retention says how much history is kept; zero of anything keeps all of it. Runs that have not ended and what
// belongs to incidents that are open stay in any case: see [db.Expiry].
type Retention struct {
	Runs      time.Duration // ended runs, and deliveries that no run is left of
	Bodies    time.Duration // what deliveries brought
	Incidents time.Duration // resolved or closed incidents with their alerts, since they were last touched
	MaxRuns   int           // the oldest ended runs beyond this number go earlier
	MaxBytes  int64         // on SQLite: the oldest ended runs go while the file holds more data
}

// Inbound is a webhook request after authentication.
type Inbound struct {
	Definition  string // as named by the caller; "" routes the alerts
	Source      string // declared by the caller or URL; "" detects
	ContentType string
	Header      http.Header
	Body        []byte
	Actor       string // token name, for created_by

	replayOf string    // id of the delivery that this one repeats
	ofAlerts bool      // which held alerts
	heard    time.Time // when that was received
}

// Accepted is what a webhook is answered, after the commit. Runs of one delivery share its trace id.
type Accepted struct {
	DeliveryID string  `json:"delivery_id"`
	TraceID    string  `json:"trace_id"`
	RunID      *string `json:"run_id"`
	Definition *string `json:"definition"`
	Status     string  `json:"status"` // accepted
}

// ExecuteInput starts a run by hand or API.
type ExecuteInput struct {
	Definition     string // name
	Version        int    // 0: newest
	Payload        json.RawMessage
	Source         string // default api
	Environment    string // default production
	TraceID        string // default: made
	IncidentID     string
	IdempotencyKey string // the same key and definition give the same run
	Trigger        db.Trigger
	Actor          string
}

// RerunInput runs a run again from one of its nodes.
type RerunInput struct {
	RunID       string
	FromNode    string
	Input       json.RawMessage // replaces the payload; nil or null keeps it
	AlreadySent string          // AlreadySentSkip, AlreadySendAgain; "" if there is nothing to decide
	Trigger     db.Trigger      // default api
	Actor       string
}

// What a rerun does with nodes that have had their effect in the earlier run.
const (
	AlreadySentSkip  = "skip"
	AlreadySendAgain = "send_again"
)

// NodeResult is the final state of one node of a run, in the shape of the REST API.
type NodeResult struct {
	NodeID     string          `json:"node_id"`
	NodeType   string          `json:"node_type"`
	Status     db.StageStatus  `json:"status"`
	Attempt    int             `json:"attempt"`
	Output     json.RawMessage `json:"output"`
	Errors     []string        `json:"errors"`
	DurationMS int64           `json:"duration_ms"`
	Skipped    bool            `json:"skipped"`
	SkipReason string          `json:"skip_reason"`
	CopiedFrom string          `json:"copied_from,omitempty"` // the run that this is the result of; it did not run here
}

// RunResult is a run with its nodes, in the shape of the REST API (execute and run detail).
type RunResult struct {
	TraceID           string                `json:"trace_id"`
	RunID             string                `json:"run_id"`
	Definition        string                `json:"definition"`
	DefinitionVersion int                   `json:"definition_version"`
	Status            db.RunStatus          `json:"status"`
	Source            string                `json:"source"`
	Environment       string                `json:"environment"`
	Trigger           db.Trigger            `json:"trigger"`
	IncidentID        *string               `json:"incident_id"`
	ParentRunID       *string               `json:"parent_run_id"`
	RerunOfRunID      *string               `json:"rerun_of_run_id"`
	RerunFrom         *string               `json:"rerun_from"`
	ExecutedNodes     []string              `json:"executed_nodes"` // in the order they finished
	SkippedNodes      []string              `json:"skipped_nodes"`
	NodeResults       map[string]NodeResult `json:"node_results"`
	ScheduledAt       *time.Time            `json:"scheduled_at"` // of a scheduled run: which time of the schedule it is for
	CreatedAt         time.Time             `json:"created_at"`
	StartedAt         *time.Time            `json:"started_at"`
	FinishedAt        *time.Time            `json:"finished_at"`
	DurationMS        int64                 `json:"duration_ms"`
	Error             *string               `json:"error"`
	WaitingFor        *string               `json:"waiting_for"` // of a run that has not ended: what, and
	WaitingSince      *time.Time            `json:"waiting_since"`
}

// ScheduleState is a schedule of a definition, in the shape of the REST API. Its times are written as the
// clocks of its time zone show them.
type ScheduleState struct {
	Definition           string          `json:"definition"`
	IsActive             bool            `json:"is_active"` // its definition is
	Cron                 string          `json:"cron"`
	TimeZone             string          `json:"time_zone"`
	Overlap              db.Overlap      `json:"overlap"`
	CatchUp              db.CatchUp      `json:"catch_up"`
	CatchUpWindowSeconds int             `json:"catch_up_window_seconds"`
	Environment          string          `json:"environment"`
	Payload              json.RawMessage `json:"payload"`
	LastTick             *time.Time      `json:"last_tick"` // the last time that had a run
	LastRunID            *string         `json:"last_run_id"`
	QueuedTick           *time.Time      `json:"queued_tick"` // waits for the end of the last run
	Skipped              int             `json:"skipped"`     // times that had none
	SkippedTick          *time.Time      `json:"skipped_tick"`
	SkipReason           string          `json:"skip_reason"`
	Next                 []time.Time     `json:"next"` // five; none while the definition is not active
}

// DefinitionInput saves a definition. Nil fields keep what is stored.
type DefinitionInput struct {
	Name            string
	Description     *string
	Config          json.RawMessage // JSON or YAML
	Tags            map[string]string
	IsActive        *bool
	Message         string
	ExpectedVersion *int
	MustCreate      bool // fault.Conflict if the name exists
	MustExist       bool // fault.NotFound if it does not
	Actor           string
	Admin           bool // may write {"env": …} references
}

// Validation is the result of checking a document.
type Validation struct {
	Valid    bool               `json:"valid"`
	Errors   []definition.Issue `json:"errors"`
	Warnings []definition.Issue `json:"warnings"`
}

// InvalidError is returned when a document is refused; it carries the whole validation and is a
// fault.Unprocessable.
type InvalidError struct{ Validation Validation }

// ChannelInput saves a channel. Nil fields keep what is stored; a secret setting that is absent
// from Config or written as "[secret]" keeps its stored value.
type ChannelInput struct {
	Name        string
	Driver      string
	Config      json.RawMessage
	Description *string
	IsActive    *bool
	MustCreate  bool
	MustExist   bool
	Actor       string
	Admin       bool
}
