package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

// incidentTabs are the states of incidents that the tabs of the list show, by the status in the address.
var incidentTabs = map[string][]db.IncidentStatus{
	"": {db.IncidentOpen}, "acknowledged": {db.IncidentAcknowledged}, "resolved": {db.IncidentResolved, db.IncidentClosed}, "all": nil,
}

// incidentFilter reads the filters of the address of the list of incidents.
func incidentFilter(r *http.Request) (db.IncidentFilter, error) {
	q := r.URL.Query()
	filter := db.IncidentFilter{
		Search: q.Get("q"), Severity: db.Severity(q.Get("severity")), Status: incidentTabs[q.Get("status")], Page: pageOf(r, q.Get("q"), q.Get("severity")),
	}
	if filter.Severity != "" && !slices.Contains(severities, filter.Severity) {
		return filter, fault.New(fault.Invalid, "severity=%q is none of critical, error, warning, info.", filter.Severity)
	}
	if _, known := incidentTabs[q.Get("status")]; !known {
		return filter, fault.New(fault.Invalid, "status=%q is none of acknowledged, resolved, all.", q.Get("status"))
	}
	return filter, nil
}

func (s *Server) incidentPages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := views.IncidentsPage{
		Page: s.frame(w, r, "incidents", "Incidents"), Sample: s.sample(r),
		Query: q.Get("q"), Status: q.Get("status"), Severity: q.Get("severity"), CanOperate: may(r, "POST /admin/incidents/bulk"),
	}
	filter, err := incidentFilter(r)
	if err != nil {
		return err
	}
	page.Tabs, err = statusTabs("/admin/incidents", page.Status, []views.Option{
		{Label: "Open"}, {Value: "acknowledged", Label: "Acknowledged"}, {Value: "resolved", Label: "Resolved"}, {Value: "all", Label: "All"},
	}, func(status string) (int, error) {
		if status != "" && status != "acknowledged" {
			return -1, nil
		}
		return s.store.CountIncidents(r.Context(), db.IncidentFilter{Status: incidentTabs[status]})
	})
	if err != nil {
		return err
	}
	list, fresh, err := shownRows(r, filter.Page, func(ids []string, p db.Page) (db.Connection[db.Incident], error) {
		if ids != nil {
			return s.store.Incidents(r.Context(), db.IncidentFilter{IDs: ids, Page: p})
		}
		filter.Page = p
		return s.store.Incidents(r.Context(), filter)
	})
	if err != nil {
		return err
	}
	page.Rows, page.Pager, page.New = incidentRows(list.Items), pagerOf(r, list), fresh
	page.Self, page.Poll = pollOf(r, list, func(inc *db.Incident) string { return inc.ID })
	page.Tools, err = s.toolsOf(r, "incidents", page.CanOperate, page.Pager, func() (int, error) { return s.store.CountIncidents(r.Context(), filter) })
	if err != nil {
		return err
	}
	page.Filtered = page.Tools.Query != ""
	return s.render(w, r, http.StatusOK, views.Incidents(page), views.ResultsFragment)
}

func incidentRows(incidents []db.Incident) []views.IncidentRow {
	rows := make([]views.IncidentRow, len(incidents))
	for i, inc := range incidents {
		rows[i] = views.IncidentRow{
			ID: inc.ID, Status: string(inc.Status), Severity: string(inc.Severity), Title: inc.Title, Host: inc.Host, Summary: inc.Summary,
			Alerts: inc.AlertCount, Firing: inc.FiringCount, StartedAt: inc.StartedAt, By: inc.AcknowledgedBy,
		}
	}
	return rows
}

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

func (s *Server) incidentClose(w http.ResponseWriter, r *http.Request) error {
	return s.incidentChange(w, r, s.engine.CloseIncident, "closed")
}

func (s *Server) incidentReopen(w http.ResponseWriter, r *http.Request) error {
	return s.incidentChange(w, r, s.engine.ReopenIncident, "reopened")
}

func (s *Server) incidentNote(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	return s.incidentChange(w, r, func(ctx context.Context, id, actor string) (*db.Incident, error) {
		return s.engine.NoteIncident(ctx, id, field(r, "text"), actor)
	}, "noted")
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
		AcknowledgedAt: inc.AcknowledgedAt, AcknowledgedBy: inc.AcknowledgedBy, Poll: views.IncidentURL(inc.ID),
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
	if err := s.fillStory(ctx, inc, &page); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Incident(page), views.CardFragment)
}
