package server

import (
	"context"
	"encoding/json"
	"slices"

	"penstock/db"
	"penstock/engine"
	"penstock/views"
)

// whyOf explains an alert, incident, run or delivery by its id.
func (s *Server) whyOf(ctx context.Context, id string) (views.Why, error) {
	w, err := engine.Explain(ctx, s.store, id)
	if err != nil {
		return views.Why{}, err
	}
	out := views.Why{Answer: w.Answer}
	for _, d := range w.Decisions {
		out.Decisions = append(out.Decisions, decisionOf(d))
	}
	return out, nil
}

func decisionOf(d engine.WhyDecision) views.Decision {
	status := map[string]string{}
	for _, run := range d.Runs {
		status[run.RunID] = string(run.Status)
	}
	v := views.Decision{
		ID: d.ID, Change: d.Change, Outcome: string(d.Outcome), At: d.CreatedAt, Source: d.Source, DeliveryID: d.DeliveryID,
		IncidentID: d.IncidentID, Incident: d.Incident,
	}
	if d.ReceivedAt.IsZero() {
		v.DeliveryID = "" // no longer kept, or alerts that a run took in by itself
	}
	for _, c := range d.Considered {
		asked := views.Considered{
			Definition: c.Definition, Version: c.Version, Priority: c.Priority, Outcome: string(c.Outcome),
			Expression: c.Expression, Detail: c.Detail,
		}
		if status[c.RunID] != "" { // retention may have taken it
			asked.RunID, asked.RunStatus = c.RunID, status[c.RunID]
		}
		for _, value := range c.Values {
			asked.Values = append(asked.Values, views.ConsideredValue{Path: value.Path, Value: value.Value, Missing: value.Missing})
		}
		v.Considered = append(v.Considered, asked)
	}
	return v
}

// notificationRows adds attempts and the incidents' titles to messages.
func (s *Server) notificationRows(ctx context.Context, messages []db.NotificationMessage) ([]views.Notification, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	var ids, incidentIDs []string
	for _, m := range messages {
		ids = append(ids, m.ID)
		if m.IncidentID != "" && !slices.Contains(incidentIDs, m.IncidentID) {
			incidentIDs = append(incidentIDs, m.IncidentID)
		}
	}
	attempts, err := s.store.AttemptsByNotification(ctx, ids)
	if err != nil {
		return nil, err
	}
	titles, err := s.incidentTitles(ctx, incidentIDs)
	if err != nil {
		return nil, err
	}
	rows := make([]views.Notification, len(messages))
	for i, m := range messages {
		rows[i] = views.Notification{
			ID: m.ID, Status: string(m.Status), Kind: string(m.Kind), Channel: m.Channel, Driver: m.Driver, Destination: m.Destination,
			Title: m.Title, Severity: string(m.Severity), Reason: m.Reason, ProviderID: m.ProviderID, RunID: m.RunID, NodeID: m.NodeID,
			Definition: m.DefinitionName, IncidentID: m.IncidentID, Incident: titles[m.IncidentID], CreatedAt: m.CreatedAt, SentAt: m.SentAt,
		}
		for _, a := range attempts[m.ID] {
			rows[i].Attempts = append(rows[i].Attempts, views.SendAttempt{
				Outcome: string(a.Outcome), StartedAt: a.StartedAt, EndedAt: a.FinishedAt, Request: a.Request,
				Response: a.Response, ResponseStatus: a.ResponseStatus, Error: a.Error,
			})
		}
		if n := len(rows[i].Attempts); n > 0 && m.Status == db.NotificationPending && attempts[m.ID][n-1].Outcome == db.AttemptFailed {
			rows[i].Status = string(db.StageRetrying) // as its stage
		}
	}
	return rows, nil
}

// incidentTitles reads the titles of incidents with one query.
func (s *Server) incidentTitles(ctx context.Context, ids []string) (map[string]string, error) {
	titles := map[string]string{}
	if len(ids) == 0 {
		return titles, nil
	}
	incidents, err := s.store.IncidentsByID(ctx, ids)
	for id, inc := range incidents {
		titles[id] = inc.Title
	}
	return titles, err
}

// alertRow is an alert without its incident's title.
func alertRow(a db.Alert) views.AlertRow {
	row := views.AlertRow{
		ID: a.ID, Name: a.Name, Host: a.Host, Status: a.Status, Source: a.Source, Severity: string(a.Severity), SeverityText: a.SeverityText,
		Summary: a.Summary, Description: a.Description, Labels: sortedTags(a.Labels), Repeats: a.Repeats, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
		IncidentID: a.IncidentID, DeliveryID: a.DeliveryID,
	}
	for _, t := range sortedTags(a.Annotations) {
		if t.Name != "summary" && t.Name != "description" { // shown above
			row.Annotations = append(row.Annotations, t)
		}
	}
	if a.URL != "" {
		row.Links = append(row.Links, views.Tag{Name: "Source", Value: a.URL})
	}
	var links []struct {
		Text string `json:"text"`
		URL  string `json:"url"`
	}
	if json.Unmarshal(a.Links, &links) == nil {
		for _, l := range links {
			if l.URL != a.URL {
				row.Links = append(row.Links, views.Tag{Name: l.Text, Value: l.URL})
			}
		}
	}
	return row
}
