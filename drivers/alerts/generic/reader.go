package generic

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"penstock/drivers/alerts"
)

// reader reads the fields of one alert.
type reader struct {
	b      *alerts.Builder
	path   string
	fields map[string]any
}

var (
	severityKeys    = []string{"severity", "priority", "level"}
	statusKeys      = []string{"status", "state"}
	hostKeys        = []string{"host", "hostname", "host_name", "server", "node", "instance"}
	fingerprintKeys = []string{"fingerprint", "dedup_key", "dedupKey", "id"}
	startKeys       = []string{"starts_at", "startsAt"}
	endKeys         = []string{"ends_at", "endsAt"}
	timeKeys        = []string{"timestamp", "time"}
	urlKeys         = []string{"url", "link", "generatorURL"}
	otherKeys       = []string{"labels", "tags", "annotations", "links", "runbook_url", "dashboard_url"}

	envelopeKeys = []string{"alerts", "status", "truncatedAlerts"}
	elementKeys  = slices.Concat(nameKeys, textKeys, severityKeys, statusKeys, hostKeys, fingerprintKeys, startKeys, endKeys, timeKeys, urlKeys, otherKeys)
)

func (r reader) alert(group alerts.Status) alerts.Alert {
	a := alerts.Alert{
		Name:         r.text(nameKeys...),
		Summary:      r.text("summary", "message"),
		Description:  r.text("description", "message", "summary"),
		SeverityText: r.text(severityKeys...),
		Status:       r.b.Status(r.path, r.text(statusKeys...), group),
		Host:         r.text(hostKeys...),
		Fingerprint:  r.text(fingerprintKeys...),
		Labels:       r.labels(),
		StartsAt:     r.b.FirstTime(r.path, r.fields, startKeys...),
		URL:          r.text(urlKeys...),
		Links: append(r.links(), alerts.Link{Text: "Runbook", URL: r.text("runbook_url")},
			alerts.Link{Text: "Dashboard", URL: r.text("dashboard_url")}),
	}
	var ok bool
	if a.Annotations, ok = r.b.Texts(r.path+"/annotations", r.fields["annotations"]); !ok {
		r.b.Note(r.path+"/annotations", "is not an object; left out")
	}
	r.times(&a)
	return a
}

func (r reader) times(a *alerts.Alert) {
	end, at := r.b.FirstTime(r.path, r.fields, endKeys...), r.b.FirstTime(r.path, r.fields, timeKeys...)
	switch {
	case a.Status == alerts.Firing && a.StartsAt.IsZero():
		a.StartsAt = at
	case a.Status == alerts.Resolved && end.IsZero():
		end = at
	}
	if end != (time.Time{}) {
		a.EndsAt = &end
	}
}

// unexpanded matches a template variable that the sender forgot to fill in: $EVENT_TITLE, {EVENT.NAME}.
var unexpanded = regexp.MustCompile(`^(\$\{?[A-Z][A-Z0-9_]*\}?|\{[A-Z0-9]+(\.[A-Z0-9]+)+\})$`)

// text returns the first of the keys that holds text. A template variable is none: as a name it would
// hide the alert, as a fingerprint it would make one of all.
func (r reader) text(keys ...string) string {
	for _, key := range keys {
		text := r.b.First(r.path, r.fields, key)
		if unexpanded.MatchString(text) {
			r.b.Note(r.path+"/"+key, "is a template variable that the sender did not fill in; left out")
		} else if text != "" {
			return text
		}
	}
	return ""
}

// labels reads tags and labels in all their spellings; a label wins over a tag of the same name.
func (r reader) labels() map[string]string {
	labels := map[string]string{}
	for _, key := range []string{"tags", "labels"} {
		path := r.path + "/" + key
		switch value := r.fields[key].(type) {
		case map[string]any:
			texts, _ := r.b.Texts(path, value)
			maps.Copy(labels, texts)
		case []any:
			for _, item := range value {
				r.tag(path, item, labels)
			}
		case string:
			for item := range strings.SplitSeq(value, ",") {
				r.tag(path, item, labels)
			}
		case nil:
		default:
			r.b.Note(path, "is neither an object nor a list nor text; left out")
		}
	}
	return labels
}

// tag reads "key:value", "key=value", a bare word (its value is "true") or {"key": …, "value": …}.
func (r reader) tag(path string, item any, labels map[string]string) {
	if object, ok := item.(map[string]any); ok {
		if key := r.b.First(path, object, "key", "name", "tag"); key != "" {
			labels[key] = r.b.First(path, object, "value")
		}
		return
	}
	text, ok := alerts.Text(item)
	if !ok {
		r.b.Note(path, "holds something that is no tag; left out")
		return
	}
	key, value := text, "true"
	if i := strings.IndexAny(text, ":="); i > 0 {
		key, value = text[:i], text[i+1:]
	}
	if key = strings.TrimSpace(key); key != "" && !unexpanded.MatchString(key) {
		labels[key] = strings.TrimSpace(value)
	}
}

func (r reader) links() []alerts.Link {
	var links []alerts.Link
	path := r.path + "/links"
	switch value := r.fields["links"].(type) {
	case map[string]any:
		texts, _ := r.b.Texts(path, value)
		for _, text := range slices.Sorted(maps.Keys(texts)) {
			links = append(links, alerts.Link{Text: text, URL: texts[text]})
		}
	case []any:
		for _, item := range value {
			if object, ok := item.(map[string]any); ok {
				links = append(links, alerts.Link{
					Text: r.b.First(path, object, "text", "title", "name", "label"),
					URL:  r.b.First(path, object, "url", "href"),
				})
			} else if text, ok := alerts.Text(item); ok {
				links = append(links, alerts.Link{URL: text})
			} else {
				r.b.Note(path, "holds something that is no link; left out")
			}
		}
	case nil:
	default:
		r.b.Note(path, "is neither an object nor a list; left out")
	}
	return links
}
