package server

import (
	"net/http"
	"net/url"
	"slices"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

// statusTabs are the tabs of a list by status; the first is what the bare address shows. It returns an
// error if the address asks for another status. count says how many there are, -1: not counted.
func statusTabs(path, current string, statuses []views.Option, count func(status string) (int, error)) ([]views.Tab, error) {
	var tabs []views.Tab
	known := false
	for _, o := range statuses {
		tab := views.Tab{URL: path, Text: o.Label, Current: o.Value == current}
		if o.Value != "" {
			tab.URL += "?status=" + url.QueryEscape(o.Value)
		}
		var err error
		if tab.Count, err = count(o.Value); err != nil {
			return nil, err
		}
		known = known || tab.Current
		tabs = append(tabs, tab)
	}
	if !known {
		return nil, fault.New(fault.Invalid, "status=%q is no status of this list.", current)
	}
	return tabs, nil
}

func uncounted(string) (int, error) { return -1, nil }

func (s *Server) alertPages(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	page := views.AlertsPage{
		Page: s.frame(w, r, "incidents", "Alerts"), Sample: s.sample(r),
		Query: q.Get("q"), Status: q.Get("status"), Severity: q.Get("severity"), Source: q.Get("source"),
	}
	filter := db.AlertFilter{Search: page.Query, Severity: db.Severity(page.Severity), Source: page.Source, Page: pageOf(r, page.Query, page.Severity, page.Source)}
	if page.Severity != "" && !slices.Contains(severities, filter.Severity) {
		return fault.New(fault.Invalid, "severity=%q is none of critical, error, warning, info.", page.Severity)
	}
	var err error
	page.Tabs, err = statusTabs("/admin/alerts", page.Status, []views.Option{{Label: "Firing"}, {Value: "resolved", Label: "Resolved"}, {Value: "all", Label: "All"}},
		func(status string) (int, error) {
			if status != "" {
				return -1, nil
			}
			return s.store.CountAlerts(ctx, db.AlertFilter{Status: "firing"})
		})
	if err != nil {
		return err
	}
	switch page.Status {
	case "":
		filter.Status = "firing"
	case "resolved":
		filter.Status = "resolved"
	}
	list, err := s.store.Alerts(ctx, filter)
	if err != nil {
		return err
	}
	var ids []string
	for _, a := range list.Items {
		if a.IncidentID != "" {
			ids = append(ids, a.IncidentID)
		}
	}
	titles, err := s.incidentTitles(ctx, ids)
	if err != nil {
		return err
	}
	for _, a := range list.Items {
		row := alertRow(a)
		row.Incident = titles[a.IncidentID]
		page.Rows = append(page.Rows, row)
	}
	page.Pager = pagerOf(r, list)
	page.Filtered = page.Query+page.Status+page.Severity+page.Source != ""
	return s.render(w, r, http.StatusOK, views.Alerts(page), views.ResultsFragment)
}

func (s *Server) alertPage(w http.ResponseWriter, r *http.Request) error {
	a, err := s.store.Alert(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := views.AlertPage{Page: s.frame(w, r, "incidents", a.Name), AlertRow: alertRow(*a)}
	if page.Why, err = s.whyOf(r.Context(), a.ID); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Alert(page), "")
}
