package alerts

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"penstock/fault"
)

// Limits of one request. More alerts are refused; longer texts and more labels are cut with a note.
const (
	MaxAlerts      = 1000
	MaxLabels      = 64
	MaxLabel       = 1 << 10  // bytes of a label's value, and of the summary
	MaxAnnotations = 16 << 10 // bytes of all annotations of an alert, and of its description
	MaxName        = 255      // bytes of a name, a host, a label's key
	MaxLinks       = 20
	maxNotes       = 100
)

// Builder collects the alerts of one request and gives each what all sources have in common: identity,
// severity, host, summary, links, limits. A source fills in what it finds; the Builder completes it.
type Builder struct {
	source string
	batch  Batch
	silent int // notes beyond maxNotes
}

// NewBuilder returns a Builder for the source of that name.
func NewBuilder(source string) *Builder { return &Builder{source: source} }

// Note records that something at path (a JSON pointer) was left out, cut or read with doubt. It must not
// quote labels or annotations: they may hold a secret.
func (b *Builder) Note(path, format string, args ...any) {
	note := cut(firstText(path, "body"), MaxName) + ": " + fmt.Sprintf(format, args...)
	switch {
	case slices.Contains(b.batch.Notes, note):
	case len(b.batch.Notes) == maxNotes:
		b.silent++
	default:
		b.batch.Notes = append(b.batch.Notes, note)
	}
}

// Elements checks the list of alerts of a request.
func (b *Builder) Elements(path string, value any) ([]any, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fault.New(fault.Unprocessable, "The source %s needs a list of alerts at %s.", b.source, path)
	}
	if len(list) > MaxAlerts {
		return nil, fault.New(fault.TooLarge, "The body holds %d alerts; at most %d are taken in one request. Send smaller groups.", len(list), MaxAlerts)
	}
	return list, nil
}

// Truncated records how many alerts the sender says it left out.
func (b *Builder) Truncated(path string, value any) {
	text, ok := Text(value)
	if ok && text == "" {
		return
	}
	count, err := strconv.ParseInt(text, 10, 32)
	if err != nil || count < 0 {
		b.Note(path, "is not a number of alerts")
		return
	}
	if b.batch.Truncated = int(count); count > 0 {
		b.Note(path, "the sender left out %d alerts", count)
	}
}

// Add completes a and takes it into the batch. What a leaves empty is taken from its labels and
// annotations. An alert that says nothing at all becomes a note.
func (b *Builder) Add(path string, a Alert) {
	identity := maps.Clone(a.Labels)
	if identity == nil {
		identity = map[string]string{}
	}
	if a.Host = firstText(HostName(a.Host), Host(a.Labels)); a.Host != "" && Host(a.Labels) == "" {
		identity["host"] = a.Host
	}
	if a.Name = oneLine(firstText(a.Name, a.Labels["alertname"])); a.Name != "" {
		identity["alertname"] = a.Name
	} else {
		a.Name = nameless(a)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(identity)), identifies) {
			identity["alertname"] = a.Name
		}
	}
	if a.Name == "" {
		b.Note(path, "has neither a name nor labels nor annotations; skipped")
		return
	}

	switch {
	case a.Fingerprint == "":
		a.Fingerprint = Fingerprint(b.source, identity)
	case len(a.Fingerprint) > maxFingerprint:
		a.Fingerprint = hash(b.source, a.Fingerprint)
	}
	a.SeverityText = firstText(a.SeverityText, a.Labels["severity"], a.Labels["priority"], a.Labels["level"])
	a.Severity, _ = ParseSeverity(a.SeverityText)
	if a.Status == Firing {
		a.EndsAt = nil
	}

	notes := a.Annotations
	text := firstText(notes["description"], notes["message"], notes["details"])
	a.Summary = firstText(a.Summary, notes["summary"], notes["title"], notes["message"], notes["description"])
	a.Description = firstText(a.Description, text)
	if a.Summary = oneLine(a.Summary); a.Summary == "" {
		if a.Summary = a.Name; a.Host != "" {
			a.Summary += " on " + a.Host
		}
	}
	for _, link := range []struct{ text, annotation string }{
		{"Runbook", "runbook_url"}, {"Runbook", "runbook"}, {"Dashboard", "dashboard_url"}, {"Dashboard", "dashboard"},
	} {
		a.Links = append(a.Links, Link{link.text, notes[link.annotation]})
	}
	b.links(path, &a)
	b.limit(path, &a)
	b.batch.Alerts = append(b.batch.Alerts, a)
}

// nameless makes a name for an alert without one from what it says, else from its labels.
func nameless(a Alert) string {
	if text := firstText(a.Summary, a.Annotations["title"], a.Annotations["summary"], a.Annotations["message"], a.Annotations["description"], a.Description); text != "" {
		return oneLine(text)
	}
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(a.Labels)) {
		if identifies(label) {
			parts = append(parts, label+"="+a.Labels[label])
		}
	}
	return oneLine(strings.Join(parts, ", "))
}

// Batch returns what was collected. A batch without alerts comes with [ErrNoAlerts], and its notes say why.
func (b *Builder) Batch() (Batch, error) {
	if b.silent > 0 {
		b.batch.Notes = append(b.batch.Notes, fmt.Sprintf("%d more notes were left out", b.silent))
		b.silent = 0
	}
	if len(b.batch.Alerts) > 0 {
		return b.batch, nil
	}
	if len(b.batch.Notes) > 0 {
		return b.batch, fault.Wrap(ErrNoAlerts, fault.Unprocessable, "The body holds no usable alert: %s.", b.batch.Notes[0])
	}
	return b.batch, ErrNoAlerts
}

// links drops what is empty, named twice or no http(s) address.
func (b *Builder) links(path string, a *Alert) {
	usable := func(what, address string) bool {
		if address == "" {
			return false
		}
		if !webURL(address) {
			b.Note(path, "%s is not a plain http or https address; left out", what)
			return false
		}
		return true
	}
	if !usable("the URL", a.URL) {
		a.URL = ""
	}
	var links []Link
	for _, link := range a.Links {
		link.URL, link.Text = strings.TrimSpace(link.URL), cut(firstText(oneLine(link.Text), "Link"), MaxName)
		known := slices.ContainsFunc(links, func(l Link) bool { return l.URL == link.URL })
		if known || !usable(fmt.Sprintf("the link %q", link.Text), link.URL) {
			continue
		}
		if len(links) == MaxLinks {
			b.Note(path, "has more than %d links; the rest is left out", MaxLinks)
			break
		}
		links = append(links, link)
	}
	a.Links = links
}
