// Package alerts reads what monitoring systems send. A Source turns one webhook request into alerts:
// pure, no I/O, the same bytes always give the same alerts. Identity of an occurrence is
// (source, fingerprint, startsAt).
package alerts

import (
	"net/http"
	"time"

	"penstock/drivers"
	"penstock/fault"
)

// Status of an alert: firing or resolved.
type Status string

const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Severity is normalised; the source's own word is kept beside it in [Alert.SeverityText].
type Severity string

const (
	Critical Severity = "critical"
	Error    Severity = "error"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Alert is one occurrence as its source describes it.
type Alert struct {
	Fingerprint  string // the source's own, else made from the identifying labels; never empty
	Name         string // alertname, title
	Host         string // host identity (labels host, hostname, instance without port, node, …); may be empty
	Status       Status
	Severity     Severity
	SeverityText string // as the source wrote it
	Summary      string // one line for people
	Description  string
	Labels       map[string]string
	Annotations  map[string]string
	StartsAt     time.Time  // UTC, microseconds; zero only if the source gives none (the engine then uses the time of arrival)
	EndsAt       *time.Time // nil while firing or unknown (0001-01-01 is unknown)
	URL          string     // where the alert comes from (generatorURL), http(s) only
	Links        []Link     // runbook, dashboard, silence …
}

// Link is a labelled http(s) address.
type Link struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

// Batch is what one request held.
type Batch struct {
	Alerts    []Alert
	Truncated int      // alerts the sender says it left out
	Notes     []string // elements that were skipped and why; never empty text of a vendor's secret
}

// Source parses the body of a webhook. It is strict about structure and lenient about single
// elements: one malformed alert becomes a note, not an error for the batch. A body that yields no
// alert is [ErrNoAlerts]; a body of another vendor is a fault.Unprocessable that says so.
type Source interface {
	Parse(header http.Header, body []byte) (Batch, error)
}

// Detector is implemented by sources that can recognise their body for certain (strict detection).
type Detector interface {
	// Detect reports whether body, already decoded with json.Number, can only be from this source.
	Detect(header http.Header, body map[string]any) bool
}

// Registry holds the sources; their order is the order of detection, generic last.
type Registry = drivers.Registry[Source]

// ErrNoAlerts is returned for a well-formed body that yields no alert.
var ErrNoAlerts = fault.New(fault.Unprocessable, "The body holds no alert.")
