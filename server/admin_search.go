package server

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
	"penstock/views"
)

// places are the pages that a search finds by name, with what they need.
var places = []struct{ url, icon, text, pattern string }{
	{"/admin/", "layout-dashboard", "Overview", "GET /admin/"},
	{"/admin/incidents", "flame", "Incidents", "GET /admin/incidents/"},
	{"/admin/alerts", "bell", "Alerts", "GET /admin/alerts/"},
	{"/admin/deliveries", "inbox", "Deliveries", "GET /admin/deliveries/"},
	{"/admin/runs", "activity", "Runs", "GET /admin/runs/"},
	{"/admin/runs?status=failed", "circle-x", "Failed runs", "GET /admin/runs/"},
	{"/admin/notifications", "send", "Notifications", "GET /admin/notifications/"},
	{"/admin/definitions", "workflow", "Definitions", "GET /admin/definitions/"},
	{"/admin/definitions/new", "plus", "New definition", "GET /admin/definitions/new"},
	{"/admin/settings", "settings", "Settings: channels and sources", "GET /admin/settings/"},
	{"/admin/settings/channels/new", "plus", "New channel", "GET /admin/settings/channels/new"},
	{"/admin/settings/schedules", "alarm-clock", "Schedules", "GET /admin/settings/schedules/"},
	{"/admin/settings/tokens", "key-round", "API tokens", "GET /admin/settings/tokens/"},
	{"/admin/settings/users", "user", "Users", "GET /admin/settings/users/"},
}

// hitsPerKind is how many records of a kind a search shows, the newest.
const hitsPerKind = 6

// searchPage finds pages by their names, definitions and incidents by words, and anything by its id.
func (s *Server) searchPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	page := views.SearchPage{Page: s.frame(w, r, "", "Go to"), Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if _, err := uuid.Parse(page.Query); err == nil {
		why, err := engine.Explain(ctx, s.store, page.Query)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			page.Hits = append(page.Hits, recordHit(why))
		}
		return s.render(w, r, http.StatusOK, views.Search(page), views.ResultsFragment)
	}
	for _, p := range places {
		if strings.Contains(strings.ToLower(p.text), strings.ToLower(page.Query)) && may(r, p.pattern) {
			page.Hits = append(page.Hits, views.Hit{URL: p.url, Icon: p.icon, Text: p.text, About: "page"})
		}
	}
	if page.Query != "" {
		definitions, err := s.store.Definitions(ctx, db.DefinitionFilter{Search: page.Query, Page: db.Page{First: hitsPerKind}})
		if err != nil {
			return err
		}
		for _, d := range definitions.Items {
			page.Hits = append(page.Hits, views.Hit{URL: views.DefinitionURL(d.Name), Icon: "workflow", Text: d.Name, About: "definition"})
		}
		incidents, err := s.store.Incidents(ctx, db.IncidentFilter{
			Status: []db.IncidentStatus{db.IncidentOpen, db.IncidentAcknowledged}, Search: page.Query, Page: db.Page{First: hitsPerKind},
		})
		if err != nil {
			return err
		}
		for _, inc := range incidents.Items {
			page.Hits = append(page.Hits, views.Hit{URL: views.IncidentURL(inc.ID), Icon: "flame", Text: inc.Title, About: "incident, " + string(inc.Status)})
		}
	}
	return s.render(w, r, http.StatusOK, views.Search(page), views.ResultsFragment)
}

func recordHit(why *engine.Why) views.Hit {
	h := views.Hit{Text: why.Title, About: why.Kind}
	switch why.Kind {
	case "run":
		h.URL, h.Icon = views.RunURL(why.ID), "activity"
	case "incident":
		h.URL, h.Icon = views.IncidentURL(why.ID), "flame"
	case "alert":
		h.URL, h.Icon = views.AlertURL(why.ID), "bell"
	case "delivery":
		h.URL, h.Icon = views.DeliveryURL(why.ID), "inbox"
	}
	return h
}
