package db

import (
	"encoding/json"
	"time"

	"github.com/uptrace/bun"
)

// RunStatus is the state of a run.
type RunStatus string

const (
	RunPending   RunStatus = "pending"
	RunRunning   RunStatus = "running"
	RunCompleted RunStatus = "completed"
	RunPartial   RunStatus = "partial"
	RunFailed    RunStatus = "failed"
	RunCancelled RunStatus = "cancelled"
)

// Terminal reports whether the run has ended.
func (s RunStatus) Terminal() bool { return s != RunPending && s != RunRunning }

// StageStatus is the state of one attempt of one node.
type StageStatus string

const (
	StagePending   StageStatus = "pending"
	StageRunning   StageStatus = "running"
	StageRetrying  StageStatus = "retrying" // this attempt failed; the next one starts at NotBefore
	StageSucceeded StageStatus = "succeeded"
	StageFailed    StageStatus = "failed"
	StageSkipped   StageStatus = "skipped"
	StageCancelled StageStatus = "cancelled"
)

// Done reports whether the node needs no further attempt: its result is final.
func (s StageStatus) Done() bool { return s == StageSucceeded || s == StageSkipped }

// Trigger is what started a run.
type Trigger string

const (
	TriggerWebhook  Trigger = "webhook"  // a delivery named the definition
	TriggerAlert    Trigger = "alert"    // a delivery was routed
	TriggerAPI      Trigger = "api"      // REST or GraphQL
	TriggerManual   Trigger = "manual"   // a person in the admin or on the command line
	TriggerPipeline Trigger = "pipeline" // another run
	TriggerSchedule Trigger = "schedule"
)

// Overlap is what happens at a tick of a schedule whose last run has not ended.
type Overlap string

const (
	OverlapSkip   Overlap = "skip"
	OverlapQueue  Overlap = "queue"
	OverlapCancel Overlap = "cancel"
)

// CatchUp is what happens to the ticks of a schedule that passed while nobody could start a run.
type CatchUp string

const (
	CatchUpNone CatchUp = "none"
	CatchUpOne  CatchUp = "one"
	CatchUpAll  CatchUp = "all"
)

// IncidentStatus is the state of an incident.
type IncidentStatus string

const (
	IncidentOpen         IncidentStatus = "open"
	IncidentAcknowledged IncidentStatus = "acknowledged"
	IncidentResolved     IncidentStatus = "resolved" // by its alerts or by a person; reopens when an alert fires again
	IncidentClosed       IncidentStatus = "closed"   // final: a new alert opens a new incident
)

// Severity of an alert or incident.
type Severity string

const (
	SeverityCritical Severity = "critical"
	SeverityError    Severity = "error"
	SeverityWarning  Severity = "warning"
	SeverityInfo     Severity = "info"
)

// Rank orders severities: critical is 4, info 1, anything else 0.
func (s Severity) Rank() int {
	switch s {
	case SeverityCritical:
		return 4
	case SeverityError:
		return 3
	case SeverityWarning:
		return 2
	case SeverityInfo:
		return 1
	}
	return 0
}

// PipelineDefinition is a named pipeline with its newest configuration.
type PipelineDefinition struct {
	bun.BaseModel `bun:"table:pipeline_definitions,alias:pd"`

	ID          string            `bun:"id,pk"`
	Name        string            `bun:"name"`
	Description string            `bun:"description"`
	Version     int               `bun:"version"` // number of the newest version
	Config      json.RawMessage   `bun:"config"`
	Tags        map[string]string `bun:"tags,type:json"`
	IsActive    bool              `bun:"is_active"`
	NodeCount   int               `bun:"node_count"`
	CreatedBy   string            `bun:"created_by"`
	CreatedAt   time.Time         `bun:"created_at"`
	UpdatedAt   time.Time         `bun:"updated_at"`
	DeletedAt   time.Time         `bun:"deleted_at,nullzero"` // the name is free again; versions stay for the runs pinned to them
}

// PipelineDefinitionVersion is an immutable copy of a definition's configuration.
type PipelineDefinitionVersion struct {
	bun.BaseModel `bun:"table:pipeline_definition_versions,alias:pv"`

	ID             string          `bun:"id,pk"`
	DefinitionID   string          `bun:"definition_id"`
	DefinitionName string          `bun:"definition_name"`
	Number         int             `bun:"number"`
	Config         json.RawMessage `bun:"config"`
	Checksum       string          `bun:"checksum"` // hex SHA-256 of the compact configuration
	Author         string          `bun:"author"`
	Message        string          `bun:"message"`
	CreatedAt      time.Time       `bun:"created_at"`
}

// Delivery is one accepted webhook request.
type Delivery struct {
	bun.BaseModel `bun:"table:deliveries,alias:dl"`

	ID          string            `bun:"id,pk"`
	TraceID     string            `bun:"trace_id"`
	Source      string            `bun:"source"`     // driver name: alertmanager, grafana, generic
	Definition  string            `bun:"definition"` // as named by the caller, "" if routed
	ContentType string            `bun:"content_type"`
	Headers     map[string]string `bun:"headers,type:json"` // without credentials
	Body        []byte            `bun:"body"`
	Parsed      json.RawMessage   `bun:"parsed,nullzero"` // alerts.Batch
	Status      string            `bun:"status"`          // accepted, no_alerts, rejected
	Error       string            `bun:"error"`
	Intake      json.RawMessage   `bun:"intake,nullzero"`    // outcome of the intake, set once
	ReplayOf    string            `bun:"replay_of,nullzero"` // the delivery that a person has sent through again
	HeardAt     time.Time         `bun:"heard_at,nullzero"`  // of a replay: when the first of its kind was received
	ReceivedAt  time.Time         `bun:"received_at"`
	IntakeAt    time.Time         `bun:"intake_at,nullzero"`
}

// Alert is one occurrence from a source, identified by (source, fingerprint, starts_at).
type Alert struct {
	bun.BaseModel `bun:"table:alerts,alias:al"`

	ID           string            `bun:"id,pk"`
	Source       string            `bun:"source"`
	Fingerprint  string            `bun:"fingerprint"`
	StartsAt     time.Time         `bun:"starts_at"`
	EndsAt       time.Time         `bun:"ends_at,nullzero"`
	Name         string            `bun:"name"`
	Host         string            `bun:"host"`
	Status       string            `bun:"status"` // firing, resolved
	Severity     Severity          `bun:"severity"`
	SeverityText string            `bun:"severity_text"`
	Summary      string            `bun:"summary"`
	Description  string            `bun:"description"`
	Labels       map[string]string `bun:"labels,type:json"`
	Annotations  map[string]string `bun:"annotations,type:json"`
	URL          string            `bun:"url"`
	Links        json.RawMessage   `bun:"links,nullzero"`
	IncidentID   string            `bun:"incident_id,nullzero"`
	DeliveryID   string            `bun:"delivery_id"`       // the newest delivery that mentioned it
	HeardAt      time.Time         `bun:"heard_at,nullzero"` // when that delivery was received: older news changes nothing
	Repeats      int               `bun:"repeats"`           // deliveries that changed nothing
	CreatedAt    time.Time         `bun:"created_at"`
	UpdatedAt    time.Time         `bun:"updated_at"`
}

// Incident is what people work on: alerts of one name on one host.
type Incident struct {
	bun.BaseModel `bun:"table:incidents,alias:inc"`

	ID             string         `bun:"id,pk"`
	GroupKey       string         `bun:"group_key"` // unique among incidents that are not closed
	Title          string         `bun:"title"`
	Status         IncidentStatus `bun:"status"`
	Severity       Severity       `bun:"severity"` // highest of its firing alerts; the last one's when resolved
	AlertName      string         `bun:"alert_name"`
	Host           string         `bun:"host"`
	Source         string         `bun:"source"`
	Summary        string         `bun:"summary"`
	AlertCount     int            `bun:"alert_count"`
	FiringCount    int            `bun:"firing_count"`
	Occurrence     int            `bun:"occurrence"` // 1, raised by every reopening
	Revision       int            `bun:"revision"`   // raised by every material change
	StartedAt      time.Time      `bun:"started_at"` // of this occurrence
	AcknowledgedAt time.Time      `bun:"acknowledged_at,nullzero"`
	AcknowledgedBy string         `bun:"acknowledged_by"`
	ResolvedAt     time.Time      `bun:"resolved_at,nullzero"`
	ClosedAt       time.Time      `bun:"closed_at,nullzero"`
	CreatedAt      time.Time      `bun:"created_at"`
	UpdatedAt      time.Time      `bun:"updated_at"`
}

// IncidentActionKind is what a person did to an incident.
type IncidentActionKind string

const (
	ActionAcknowledged IncidentActionKind = "acknowledged"
	ActionResolved     IncidentActionKind = "resolved"
	ActionClosed       IncidentActionKind = "closed"
	ActionReopened     IncidentActionKind = "reopened"
	ActionNote         IncidentActionKind = "note"
)

// IncidentAction is something a person did to an incident, or said about it.
type IncidentAction struct {
	bun.BaseModel `bun:"table:incident_actions,alias:ia"`

	ID         string             `bun:"id,pk"`
	IncidentID string             `bun:"incident_id"`
	Kind       IncidentActionKind `bun:"kind"`
	Actor      string             `bun:"actor"`
	Text       string             `bun:"text"` // of a note
	CreatedAt  time.Time          `bun:"created_at"`
}

// DecisionOutcome is what a change of an incident led to.
type DecisionOutcome string

const (
	DecisionStarted          DecisionOutcome = "started"
	DecisionNoRoute          DecisionOutcome = "no_route"           // no active definition matched
	DecisionRepeat           DecisionOutcome = "repeat"             // nothing material changed
	DecisionNothingToResolve DecisionOutcome = "nothing_to_resolve" // alerts ended that nobody had heard of
)

// Decision says why one change of an incident by one delivery did or did not start runs. Without an
// incident it is about alerts that ended and that nobody had heard of.
type Decision struct {
	bun.BaseModel `bun:"table:decisions,alias:dec"`

	ID         string          `bun:"id,pk" json:"id"`
	DeliveryID string          `bun:"delivery_id" json:"delivery_id"`
	IncidentID string          `bun:"incident_id,nullzero" json:"incident_id,omitempty"`
	Change     string          `bun:"change" json:"change"`     // created, severity_changed, resolved, reopened, repeated
	Revision   int             `bun:"revision" json:"revision"` // of the incident after the change
	Outcome    DecisionOutcome `bun:"outcome" json:"outcome"`
	AlertIDs   []string        `bun:"alert_ids,type:json" json:"alert_ids"` // of the delivery, the most severe first
	Considered []Considered    `bun:"considered,type:json" json:"considered"`
	CreatedAt  time.Time       `bun:"created_at" json:"created_at"`
}

// Considered is one definition that was looked at for a decision, in the order they were asked.
type Considered struct {
	Definition string            `json:"definition"`
	Version    int               `json:"version"`
	Priority   int               `json:"priority"`
	Expression string            `json:"expression,omitempty"`
	Outcome    ConsideredOutcome `json:"outcome"`
	Detail     string            `json:"detail,omitempty"` // why, in words
	Values     []ConsideredValue `json:"values,omitempty"`
	RunID      string            `json:"run_id,omitempty"`
}

// ConsideredOutcome is what a definition said to a change of an incident.
type ConsideredOutcome string

const (
	ConsideredMatched    ConsideredOutcome = "matched"
	ConsideredNotMatched ConsideredOutcome = "not_matched"
	ConsideredMissing    ConsideredOutcome = "missing" // the expression reads something that is not there: no match
	ConsideredFailed     ConsideredOutcome = "failed"  // the expression cannot be evaluated: no match
	ConsideredNotOn      ConsideredOutcome = "not_on"  // the trigger does not take this kind of change
	ConsideredInvalid    ConsideredOutcome = "invalid" // the definition cannot run at the moment
	ConsideredNamed      ConsideredOutcome = "named"   // the caller named it
	ConsideredGated      ConsideredOutcome = "gated"   // the caller named it, but nothing material changed
)

// ConsideredValue is what an expression found under a path.
type ConsideredValue struct {
	Path    string `json:"path"`
	Value   string `json:"value"` // JSON, cut
	Missing bool   `json:"missing,omitempty"`
}

// Run is one execution of one definition version. Its ID is the run_id (UUIDv7).
type Run struct {
	bun.BaseModel `bun:"table:runs,alias:r"`

	ID                string          `bun:"id,pk"`
	TraceID           string          `bun:"trace_id"`
	Status            RunStatus       `bun:"status"`
	Source            string          `bun:"source"`
	Environment       string          `bun:"environment"`
	Trigger           Trigger         `bun:"trigger_type"`
	DefinitionID      string          `bun:"definition_id"`
	DefinitionName    string          `bun:"definition_name"`
	VersionID         string          `bun:"version_id"`
	DefinitionVersion int             `bun:"definition_version"`
	DeliveryID        string          `bun:"delivery_id,nullzero"`
	IncidentID        string          `bun:"incident_id,nullzero"`
	ParentRunID       string          `bun:"parent_run_id,nullzero"`
	RerunOfRunID      string          `bun:"rerun_of_run_id,nullzero"`
	RerunFrom         string          `bun:"rerun_from,nullzero"`      // node where the rerun begins
	EffectKey         string          `bun:"effect_key,nullzero"`      // of a rerun: what its idempotency keys begin with
	IdempotencyKey    string          `bun:"idempotency_key,nullzero"` // of the caller, or the time of a schedule; unique with the definition
	Change            string          `bun:"change,nullzero"`          // the incident change it works on: "<incident>@<revision>"
	Payload           json.RawMessage `bun:"payload,nullzero"`
	Error             string          `bun:"error"`
	Epoch             int             `bun:"epoch"` // raised by every (re)start; writes of an older epoch are refused
	CreatedBy         string          `bun:"created_by"`
	ScheduledAt       time.Time       `bun:"scheduled_at,nullzero"` // the time of the schedule that it is the run of
	CreatedAt         time.Time       `bun:"created_at"`
	StartedAt         time.Time       `bun:"started_at,nullzero"`
	FinishedAt        time.Time       `bun:"finished_at,nullzero"`
	WakeAt            time.Time       `bun:"wake_at,nullzero"`   // of a running run that no process works: when it goes on; see [Rest]
	WaitsFor          string          `bun:"waits_for,nullzero"` // the channel whose turn makes it go on earlier
}

// AwaitedBy is the run that may wait for this one to end, "" if none does.
func (r *Run) AwaitedBy() string {
	if r.Trigger != TriggerPipeline {
		return ""
	}
	return r.ParentRunID
}

// Schedule is an entry of a definition's triggers.schedule, and how far it has got. A tick is a time at
// which it comes round.
type Schedule struct {
	bun.BaseModel `bun:"table:schedules,alias:sch"`

	ID                   string          `bun:"id,pk"`
	DefinitionID         string          `bun:"definition_id"`
	DefinitionName       string          `bun:"definition_name"`
	Entry                string          `bun:"entry"`    // cron and time zone: what makes it another schedule if it changes
	Position             int             `bun:"position"` // in the definition, from 0
	Cron                 string          `bun:"cron"`
	TimeZone             string          `bun:"time_zone"`
	Overlap              Overlap         `bun:"overlap"`
	CatchUp              CatchUp         `bun:"catch_up"`
	CatchUpWindowSeconds int             `bun:"catch_up_window_seconds"`
	Payload              json.RawMessage `bun:"payload,nullzero"`
	Environment          string          `bun:"environment"`

	Revision     int       `bun:"revision"`               // raised by every change; a change of an older one is refused
	HandledUntil time.Time `bun:"handled_until,nullzero"` // every tick up to here is dealt with; zero while the definition is not active
	NextTick     time.Time `bun:"next_tick,nullzero"`     // the first one after that
	QueuedTick   time.Time `bun:"queued_tick,nullzero"`   // waits for the end of the last run
	LastTick     time.Time `bun:"last_tick,nullzero"`     // of the last run
	LastRunID    string    `bun:"last_run_id,nullzero"`
	Skipped      int       `bun:"skipped"` // ticks without a run
	SkippedTick  time.Time `bun:"skipped_tick,nullzero"`
	SkipReason   string    `bun:"skip_reason"` // of SkippedTick
	CreatedAt    time.Time `bun:"created_at"`
}

// StageExecution is one attempt of one node in one run, or a skip. It is the engine's checkpoint.
type StageExecution struct {
	bun.BaseModel `bun:"table:stage_executions,alias:se"`

	RunID      string          `bun:"run_id,pk"`
	NodeID     string          `bun:"node_id,pk"`
	Attempt    int             `bun:"attempt,pk"` // from 1
	NodeType   string          `bun:"node_type"`
	Position   int             `bun:"position"` // of the node in the definition, from 0
	Status     StageStatus     `bun:"status"`
	Output     json.RawMessage `bun:"output,nullzero"`
	Errors     []string        `bun:"errors,type:json,nullzero"`
	SkipReason string          `bun:"skip_reason"`
	CopiedFrom string          `bun:"copied_from_run_id,nullzero"` // the run whose result this is; the node did not run here
	NotBefore  time.Time       `bun:"not_before,nullzero"`         // when the next attempt may start
	StartedAt  time.Time       `bun:"started_at,nullzero"`
	FinishedAt time.Time       `bun:"finished_at,nullzero"`
}

// RunEvent is one step of a run's progress. Sequence is gap-free per run, from 1.
type RunEvent struct {
	bun.BaseModel `bun:"table:run_events,alias:ev"`

	RunID    string    `bun:"run_id,pk"`
	Sequence int64     `bun:"seq,pk"`
	Kind     string    `bun:"kind"` // run, stage, log, text
	NodeID   string    `bun:"node_id"`
	Attempt  int       `bun:"attempt"`
	Status   string    `bun:"status"` // of the run or stage, "" for log and text
	Text     string    `bun:"text"`   // log line, streamed text, error or skip reason
	At       time.Time `bun:"at"`
}

// Channel is a named, stored driver configuration.
type Channel struct {
	bun.BaseModel `bun:"table:channels,alias:ch"`

	ID          string          `bun:"id,pk"`
	Name        string          `bun:"name"`
	Driver      string          `bun:"driver"`
	Description string          `bun:"description"`
	Config      json.RawMessage `bun:"config"` // secrets are references: {"secret": "…"}
	IsActive    bool            `bun:"is_active"`
	TestedAt    time.Time       `bun:"tested_at,nullzero"`
	TestError   string          `bun:"test_error"` // "" if the newest test passed
	CreatedBy   string          `bun:"created_by"`
	CreatedAt   time.Time       `bun:"created_at"`
	UpdatedAt   time.Time       `bun:"updated_at"`
}

// APIToken is a hashed credential with scopes.
type APIToken struct {
	bun.BaseModel `bun:"table:api_tokens,alias:tok"`

	ID        string    `bun:"id,pk"`
	Name      string    `bun:"name"`
	Prefix    string    `bun:"prefix"` // first characters, to recognise it
	Hash      string    `bun:"hash"`   // hex SHA-256
	Scopes    []string  `bun:"scopes,type:json"`
	CreatedBy string    `bun:"created_by"`
	CreatedAt time.Time `bun:"created_at"`
	ExpiresAt time.Time `bun:"expires_at,nullzero"`
	RevokedAt time.Time `bun:"revoked_at,nullzero"`
	UsedAt    time.Time `bun:"used_at,nullzero"`
}

// User is a person who signs in with a password.
type User struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID           string    `bun:"id,pk"`
	Name         string    `bun:"name"`
	PasswordHash string    `bun:"password_hash"`
	Role         string    `bun:"role"` // viewer, responder, editor, admin
	CreatedAt    time.Time `bun:"created_at"`
	UpdatedAt    time.Time `bun:"updated_at"`
	DisabledAt   time.Time `bun:"disabled_at,nullzero"`
}
