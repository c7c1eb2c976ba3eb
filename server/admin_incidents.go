package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"penstock/db"
	"penstock/views"
)

func (s *Server) incidentPage(w http.ResponseWriter, r *http.Request) error {
	inc, err := s.store.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.incidentRender(w, r, inc)
}

func (s *Server) incidentAcknowledge(w http.ResponseWriter, r *http.Request) error {
	return s.incidentChange(w, r, s.engine.AcknowledgeIncident, "ack")
}

func (s *Server) incidentResolve(w http.ResponseWriter, r *http.Request) error {
	return s.incidentChange(w, r, s.engine.ResolveIncident, "resolved")
}

func (s *Server) incidentChange(w http.ResponseWriter, r *http.Request, change func(context.Context, string, string) (*db.Incident, error), flash string) error {
	inc, err := change(r.Context(), r.PathValue("id"), actor(r))
	if err != nil {
		return err
	}
	if r.Header.Get("HX-Request") == "true" {
		return s.incidentRender(w, r, inc)
	}
	return s.done(w, r, views.IncidentURL(inc.ID), flash)
}

func (s *Server) incidentRender(w http.ResponseWriter, r *http.Request, inc *db.Incident) error {
	ctx := r.Context()
	page := views.IncidentPage{
		Page: s.frame(w, r, "incidents", inc.Title), CanOperate: may(r, "POST /admin/incidents/{id}/acknowledge"),
		ID: inc.ID, Title: inc.Title, Status: string(inc.Status), Severity: string(inc.Severity), Summary: inc.Summary,
		Host: inc.Host, Source: inc.Source,
		Occurrence: inc.Occurrence, AlertCount: inc.AlertCount, FiringCount: inc.FiringCount,
		StartedAt: inc.StartedAt, ResolvedAt: inc.ResolvedAt,
		AcknowledgedAt: inc.AcknowledgedAt, AcknowledgedBy: inc.AcknowledgedBy,
	}
	alerts, err := s.store.AlertsByIncident(ctx, []string{inc.ID})
	if err != nil {
		return err
	}
	for _, a := range alerts[inc.ID] {
		page.Alerts = append(page.Alerts, alertRow(a))
	}
	slices.SortStableFunc(page.Alerts, func(a, b views.AlertRow) int { // firing first
		return strings.Compare(a.Status, b.Status)
	})
	if page.Runs, err = s.runRows(ctx, db.RunFilter{IncidentID: inc.ID, Page: db.Page{First: 20}}); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Incident(page), views.CardFragment)
}

func alertRow(a db.Alert) views.AlertRow {
	row := views.AlertRow{
		ID: a.ID, Name: a.Name, Host: a.Host, Status: a.Status, Severity: string(a.Severity), SeverityText: a.SeverityText,
		Summary: a.Summary, Description: a.Description, Labels: sortedTags(a.Labels), Repeats: a.Repeats, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
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
