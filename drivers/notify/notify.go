// Package notify tells people. A Driver sends one message to one channel. It never retries: it
// marks errors that may pass with fault.Retry (timeouts, connection, 408, 425, 429, 5xx; with
// Retry-After) and the engine decides. Receivers can recognise a repeated attempt by Message.Key.
package notify

import (
	"context"
	"errors"
	"time"

	"penstock/drivers"
	"penstock/drivers/alerts"
)

// Action says what the message means for the incident at the receiver.
type Action string

const (
	Trigger Action = "trigger"
	Resolve Action = "resolve"
)

// Message is what a person should read, before any vendor's markup. All text is plain: the driver
// escapes it for its receiver and cuts it to the receiver's limits, with a note where it was cut.
type Message struct {
	Key      string // idempotency key: the same on every attempt of the same message
	DedupKey string // the same for trigger and resolve of one incident (PagerDuty dedup_key, mail thread)
	Action   Action
	Earlier  string // the receipt's MessageID of the message that this one follows, to be edited where the receiver can; else ""

	Channel  string // destination of the driver if the definition names one ("#incidents", an address), else ""
	Title    string
	Text     string // the body, several lines
	Severity alerts.Severity
	Status   string // firing or resolved, "" without an incident
	Host     string
	Since    time.Time // zero if unknown
	Source   string    // what it is about, for receivers that want one (host, else alert name, else "penstock")
	URL      string    // page of the incident or run, "" if no public URL is configured
	Links    []alerts.Link
	Facts    []Fact // short label and value pairs: host, severity, since, cpu …

	Tags     map[string]string // trace_id, run_id, pipeline_node
	Context  map[string]any    // incident_id, source, environment
	Incident map[string]any    // plain data of the incident, nil without one
	Alerts   []map[string]any  // plain data of the alerts of this message
}

// Fact is a label and its value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Receipt is what the receiver said. A Receipt comes back with an error too when there was an answer.
type Receipt struct {
	MessageID string         // the provider's id, if it gives one
	Request   string         // what was sent where, in a line without secrets
	Status    int            // HTTP status, SMTP code; 0 if there is none
	Response  string         // first 4 KiB of the answer, without secrets
	Data      map[string]any // what a later update needs (channel id, ts, dedup_key, message-id)
}

// ErrCredentials is in the chain of an error that says the receiver refuses the channel's credentials.
var ErrCredentials = errors.New("credentials refused")

// ErrRefused is in the chain of an error that says the receiver works but will never take this message. Another
// one may be taken.
var ErrRefused = errors.New("message refused")

// Driver sends. A nil error means the receiver accepted the message.
type Driver interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Readiness is implemented by drivers that can say, without I/O, which setting they still need
// ("webhook_url"). Validation reports it as a warning; Send returns an error that names it.
type Readiness interface {
	Missing() []string
}

// Registry holds the drivers.
type Registry = drivers.Registry[Driver]
