package engine

import (
	"encoding/json"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
)

// The functions here make the plain data that expressions, analysers and messages see. Their keys
// are part of the contract (docs/reference/expressions.md).

func incidentData(inc *db.Incident, publicURL string) map[string]any {
	d := map[string]any{
		"id": inc.ID, "title": inc.Title, "status": string(inc.Status), "severity": string(inc.Severity),
		"name": inc.AlertName, "host": inc.Host, "source": inc.Source, "summary": inc.Summary,
		"alert_count": int64(inc.AlertCount), "firing_count": int64(inc.FiringCount),
		"occurrence": int64(inc.Occurrence), "revision": int64(inc.Revision),
		"started_at": stamp(inc.StartedAt), "resolved_at": stamp(inc.ResolvedAt),
		"acknowledged_at": stamp(inc.AcknowledgedAt), "acknowledged_by": inc.AcknowledgedBy,
	}
	if publicURL != "" {
		d["url"] = publicURL + "/admin/incidents/" + inc.ID
	}
	return d
}

func alertData(a *db.Alert) map[string]any {
	return map[string]any{
		"name": a.Name, "host": a.Host, "source": a.Source, "fingerprint": a.Fingerprint, "status": a.Status,
		"severity": string(a.Severity), "severity_text": a.SeverityText, "summary": a.Summary, "description": a.Description,
		"labels": stringMap(a.Labels), "annotations": stringMap(a.Annotations),
		"starts_at": stamp(a.StartsAt), "ends_at": stamp(a.EndsAt), "url": a.URL, "links": linksOf(a.Links),
	}
}

func batchAlertData(source string, a *alerts.Alert) map[string]any {
	d := map[string]any{
		"name": a.Name, "host": a.Host, "source": source, "fingerprint": a.Fingerprint, "status": string(a.Status),
		"severity": string(a.Severity), "severity_text": a.SeverityText, "summary": a.Summary, "description": a.Description,
		"labels": stringMap(a.Labels), "annotations": stringMap(a.Annotations),
		"starts_at": stamp(a.StartsAt), "ends_at": nil, "url": a.URL, "links": plainLinks(a.Links),
	}
	if a.EndsAt != nil {
		d["ends_at"] = stamp(*a.EndsAt)
	}
	return d
}

// stamp is RFC 3339 text in UTC, nil for no time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func stringMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func linksOf(raw json.RawMessage) []any {
	var links []alerts.Link
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &links) // written by describe
	}
	return plainLinks(links)
}

func plainLinks(links []alerts.Link) []any {
	out := make([]any, len(links))
	for i, l := range links {
		out[i] = map[string]any{"text": l.Text, "url": l.URL}
	}
	return out
}
