package server

import (
	"net/http"
	"net/url"
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
	{"/admin/settings/sources/new", "plus", "New source", "GET /admin/settings/sources/new"},
	{"/admin/settings/providers", "brain", "Analysers", "GET /admin/settings/providers/"},
	{"/admin/settings/schedules", "alarm-clock", "Schedules", "GET /admin/settings/schedules/"},
	{"/admin/settings/tokens", "key-round", "API tokens", "GET /admin/settings/tokens/"},
	{"/admin/settings/users", "user", "Users", "GET /admin/settings/users/"},
	{"/admin/settings/account", "user-check", "Your account", "GET /admin/settings/account/"},
	{"/admin/settings/about", "info", "About this installation", "GET /admin/settings/about/"},
	{"/playground", "braces", "GraphQL playground", "GET /playground/"},
}

// hitsPerKind is how many records of a kind a search shows, the newest.
const hitsPerKind = 6

// searchPage finds pages by their names, definitions and incidents by words, and anything by its id.
func (s *Server) searchPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	page := views.SearchPage{Page: s.frame(w, r, "", "Go to"), Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if from, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil {
		page.Back = from.RequestURI()
	}
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
	for _, look := range []struct{ value, icon, text string }{{"dark", "moon", "Dark colours"}, {"light", "sun", "Light colours"}, {"", "settings", "Colours as the system says"}} {
		if look.value != page.Theme && strings.Contains(strings.ToLower(look.text), strings.ToLower(page.Query)) {
			page.Hits = append(page.Hits, views.Hit{URL: "/admin/settings/theme", Icon: look.icon, Text: look.text, About: "appearance", Name: "theme", Value: look.value})
		}
	}
	if page.Query != "" {
		found, err := s.searchSettings(r, page.Query)
		if err != nil {
			return err
		}
		page.Hits = append(page.Hits, found...)
		definitions, err := s.store.Definitions(ctx, db.DefinitionFilter{Search: page.Query, Page: db.Page{First: hitsPerKind}})
		if err != nil {
			return err
		}
		for _, d := range definitions.Items {
			page.Hits = append(page.Hits, views.Hit{URL: views.DefinitionURL(d.Name), Icon: "workflow", Text: d.Name, About: "definition"})
			if d.IsActive && may(r, "GET /admin/definitions/{name}/execute") {
				page.Hits = append(page.Hits, views.Hit{URL: views.DefinitionURL(d.Name) + "/execute", Icon: "circle-play", Text: "Run " + d.Name, About: "by hand"})
			}
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

// searchSettings finds channels and sources by their names and descriptions.
func (s *Server) searchSettings(r *http.Request, query string) (hits []views.Hit, err error) {
	says := func(texts ...string) bool {
		return strings.Contains(strings.ToLower(strings.Join(texts, " ")), strings.ToLower(query))
	}
	channels, err := s.store.Channels(r.Context())
	if err != nil {
		return nil, err
	}
	for _, c := range channels {
		if says(c.Name, c.Description) && may(r, "GET /admin/settings/channels/{name}/") {
			hits = append(hits, views.Hit{URL: views.ChannelURL(c.Name), Icon: "send", Text: c.Name, About: "channel"})
		}
	}
	sources, err := s.store.Sources(r.Context())
	for _, src := range sources {
		if says(src.Name, src.Description) {
			hits = append(hits, views.Hit{URL: views.SourceURL(src.Name), Icon: "radio", Text: src.Name, About: "source"})
		}
	}
	return hits[:min(len(hits), hitsPerKind)], err
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
