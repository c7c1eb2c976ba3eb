package nodes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
)

const (
	unverifiedLabel = "AI, unverified"
	resolvedPrefix  = "[RESOLVED] "
	maxLinks        = 10
)

// built is the message that is made without templates.
type built struct {
	notify.Message
	aiTitle bool // the title is an AI's
}

// compose says what the run knows so that a person can act: what, where, how bad, since when, what to
// do. The text is plain; drivers escape it.
func compose(in engine.Input) built {
	b := built{Message: notify.Message{
		Key: in.Key, DedupKey: dedupKey(in), Action: notify.Trigger,
		Title: "Pipeline Notification: " + in.Run.Definition, Severity: alerts.Info, Source: "penstock", URL: in.Run.URL,
		Tags:    map[string]string{"trace_id": in.Run.TraceID, "run_id": in.Run.ID, "pipeline_node": in.NodeID},
		Context: map[string]any{"incident_id": orNull(in.Run.IncidentID), "source": in.Run.Source, "environment": in.Run.Environment},
		Alerts:  in.Alerts, Incident: in.Incident, Links: linksOf(in.Alerts), Facts: factsOf(in),
	}}
	sections := b.findings(in)
	if in.Incident != nil {
		b.aiTitle = false
		b.incident(in.Incident)
		sections = append(sections, incidentText(in.Incident, in.Alerts))
	} else if machine := measured(in); machine != "" {
		b.Host, b.Source = machine, machine
	}
	sections = slices.DeleteFunc(append(sections, contextTexts(in)...), func(s string) bool { return s == "" })
	if len(sections) == 0 {
		if payload, ok := in.Payload.(map[string]any); ok && len(payload) > 0 {
			sections = append(sections, valueText(payload))
		}
	}
	b.Text = cmp.Or(strings.Join(sections, "\n\n"), "No message content")
	return b
}

// dedupKey names what the message is about: an occurrence of an incident, so that a late resolve of one
// does not end the next.
func dedupKey(in engine.Input) string {
	key := "penstock/" + cmp.Or(in.Run.IncidentID, in.Run.ID)
	if n := number(in.Incident, "occurrence"); n > 1 {
		key += "/" + strconv.Itoa(int(n))
	}
	return key
}

// findings are the texts of transformed values and analyses, newest first. What a nearer transform
// has taken from a node stands for all of it. The worst recommendation gives title and severity.
func (b *built) findings(in engine.Input) []string {
	var sections []string
	worst := len(ai.Priorities)
	taken := takenByTransforms(in)
	for _, u := range in.Upstream {
		if u.Skipped || taken[u.NodeID] {
			continue
		}
		var found []ai.Recommendation
		switch u.Type {
		case "transform":
			text, list := transformText(u)
			sections, found = append(sections, text), list
		case "intelligence":
			text, list := analysisText(u)
			sections, found = append(sections, text), list
		}
		for _, r := range found {
			if rank := slices.Index(ai.Priorities, r.Priority); rank >= 0 && rank < worst {
				worst = rank
				b.Title, b.Severity, b.aiTitle = r.Title, severityOf(r.Priority), unverified(u)
			}
		}
	}
	return sections
}

func takenByTransforms(in engine.Input) map[string]bool {
	taken := map[string]bool{}
	for _, u := range in.Upstream {
		if source, ok := u.Output["source_node"].(string); ok && u.Type == "transform" {
			taken[source] = true
		}
	}
	return taken
}

func severityOf(priority string) alerts.Severity {
	switch priority {
	case "critical":
		return alerts.Critical
	case "high":
		return alerts.Warning
	}
	return alerts.Info
}

// incident is what the message is about: it alone decides title, severity and status.
func (b *built) incident(inc map[string]any) {
	b.Title = cmp.Or(str(inc, "title"), b.Title)
	b.Severity = cmp.Or(alerts.Severity(str(inc, "severity")), alerts.Warning)
	b.Host = str(inc, "host")
	b.Source = cmp.Or(b.Host, str(inc, "name"), b.Source)
	b.URL = cmp.Or(str(inc, "url"), b.URL)
	b.Since, _ = time.Parse(time.RFC3339Nano, str(inc, "started_at"))
	b.Status = string(alerts.Firing)
	if str(inc, "status") == "resolved" {
		b.Status, b.Action = string(alerts.Resolved), notify.Resolve
	}
}

// measured is the machine that the newest context is of, "" without one.
func measured(in engine.Input) string {
	for _, u := range in.Upstream {
		if u.Type == "context" && u.Output != nil {
			return str(u.Output, "host")
		}
	}
	return ""
}

func factsOf(in engine.Input) []notify.Fact {
	var facts []notify.Fact
	if n := number(in.Incident, "firing_count"); n > 1 {
		facts = append(facts, notify.Fact{Name: "Alerts", Value: strconv.Itoa(int(n)) + " firing"})
	}
	if by := str(in.Incident, "acknowledged_by"); by != "" {
		facts = append(facts, notify.Fact{Name: "Acknowledged by", Value: by})
	}
	if in.Run.Environment != "production" {
		facts = append(facts, notify.Fact{Name: "Environment", Value: in.Run.Environment})
	}
	return append(facts, notify.Fact{Name: "Pipeline", Value: in.Run.Definition})
}

// linksOf are the links of the alerts, each once: runbooks and dashboards first, then where the
// alerts come from.
func linksOf(list []map[string]any) []alerts.Link {
	var links []alerts.Link
	add := func(text, url string) {
		if url != "" && len(links) < maxLinks && !slices.ContainsFunc(links, func(l alerts.Link) bool { return l.URL == url }) {
			links = append(links, alerts.Link{Text: text, URL: url})
		}
	}
	for _, a := range list {
		more, _ := a["links"].([]any)
		for _, l := range more {
			if link, ok := l.(map[string]any); ok {
				add(str(link, "text"), str(link, "url"))
			}
		}
	}
	for _, a := range list {
		add("Source of the alert", str(a, "url"))
	}
	return links
}

func str(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func number(m map[string]any, key string) float64 {
	switch n := m[key].(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}
