package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/views"
)

// fillHealth says what is wrong with the installation, how far it is on its way to the first notification,
// and how much it works.
func (s *Server) fillHealth(r *http.Request, page *views.OverviewPage) error {
	ctx := r.Context()
	channels, err := s.store.Channels(ctx)
	if err != nil {
		return err
	}
	reaching := slices.DeleteFunc(slices.Clone(channels), func(c db.Channel) bool { return !c.IsActive || c.Driver == "console" })
	for _, trouble := range []func(*http.Request) ([]views.Trouble, error){s.nobodyTold, s.failingChannels, s.silentSources, s.unmatched} {
		found, err := trouble(r)
		if err != nil {
			return err
		}
		page.Troubles = append(page.Troubles, found...)
	}
	if page.Ready, err = s.steps(r, reaching); err != nil {
		return err
	}
	page.Hours, err = s.hours(ctx, time.Now().UTC())
	return err
}

func (s *Server) nobodyTold(r *http.Request) ([]views.Trouble, error) {
	reaches, err := s.engine.ReachesPeople(r.Context())
	if err != nil || reaches {
		return nil, err
	}
	return []views.Trouble{{
		Tone: views.ToneBad, Icon: "bell-off", Text: "Alerts go nowhere",
		Detail: "No active definition has a notify node with a channel that works and reaches a person: the console only writes into the server's log.", URL: "/admin/settings", Link: "Channels",
	}}, nil
}

func (s *Server) failingChannels(r *http.Request) (list []views.Trouble, err error) {
	states, err := s.store.ChannelStates(r.Context())
	page, link := func(string) string { return "/admin/notifications?status=failed" }, "Messages"
	if may(r, "GET /admin/settings/channels/{name}/") {
		page, link = views.ChannelURL, "Mend it"
	}
	for _, c := range states {
		if c.State == db.ChannelOK {
			continue
		}
		text := fmt.Sprintf("The channel %s fails", c.Channel)
		if c.State == db.ChannelBroken {
			text = fmt.Sprintf("The channel %s refuses our credentials", c.Channel)
		}
		if c.Message != "" {
			text = fmt.Sprintf("The channel %s refuses the messages of %s", c.Channel, c.Message)
		}
		list = append(list, views.Trouble{
			Tone: views.ToneBad, Icon: "send", Text: text, Detail: c.Error, Since: c.Since, URL: page(c.Channel), Link: link,
		})
	}
	slices.SortFunc(list, func(a, b views.Trouble) int { return a.Since.Compare(b.Since) })
	return list, err
}

func (s *Server) silentSources(r *http.Request) (list []views.Trouble, err error) {
	sources, err := s.store.Sources(r.Context())
	for _, src := range sources {
		if src.SilentSince.IsZero() {
			continue
		}
		list = append(list, views.Trouble{
			Tone: views.ToneBad, Icon: "radio", Text: fmt.Sprintf("The source %s is silent", src.Name), Since: src.SilentSince,
			Detail: fmt.Sprintf("Something is expected every %s.", views.Duration(time.Duration(src.ExpectEvery)*time.Second)), URL: views.SourceURL(src.Name), Link: "Source",
		})
	}
	return list, err
}

// unmatchedShown is how many incidents that matched nothing are named.
const unmatchedShown = 5

// unmatched are the newest changes of incidents of the last day that no definition wanted.
func (s *Server) unmatched(r *http.Request) (list []views.Trouble, err error) {
	ctx := r.Context()
	decisions, err := s.store.Decisions(ctx, db.DecisionFilter{Outcome: db.DecisionNoRoute, Page: db.Page{First: unmatchedShown}})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range decisions.Items {
		if d.IncidentID != "" {
			ids = append(ids, d.IncidentID)
		}
	}
	titles, err := s.incidentTitles(ctx, ids)
	for _, d := range decisions.Items {
		if titles[d.IncidentID] == "" || time.Since(d.CreatedAt) > 24*time.Hour {
			continue
		}
		list = append(list, views.Trouble{
			Tone: views.ToneWarn, Icon: "unplug", Text: titles[d.IncidentID] + ": no pipeline was started", Since: d.CreatedAt,
			Detail: "No active definition matched. The incident says which were asked.", URL: views.IncidentURL(d.IncidentID), Link: "Why",
		})
	}
	return list, err
}

// steps lead a new installation to its first notification; nil when all are done.
func (s *Server) steps(r *http.Request, reaching []db.Channel) ([]views.Step, error) {
	ctx := r.Context()
	sent, err := s.store.Notifications(ctx, db.NotificationFilter{Status: []db.NotificationStatus{db.NotificationSent}, Page: db.Page{First: 100}})
	if err != nil {
		return nil, err
	}
	told := slices.ContainsFunc(sent.Items, func(m db.NotificationMessage) bool { return m.Driver != "console" })
	if told && len(reaching) > 0 {
		return nil, nil // what comes before was done, or was not needed
	}
	alerts, err := s.store.Alerts(ctx, db.AlertFilter{Page: db.Page{First: 1}})
	if err != nil {
		return nil, err
	}
	tokens, err := s.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	active, err := s.store.ActiveDefinitions(ctx)
	if err != nil {
		return nil, err
	}
	tested := slices.ContainsFunc(reaching, func(c db.Channel) bool { return !c.TestedAt.IsZero() && c.TestError == "" })
	senders := slices.ContainsFunc(tokens, func(t db.APIToken) bool {
		return t.RevokedAt.IsZero() && t.Name != initialToken && slices.Contains(t.Scopes, string(auth.Ingest))
	})
	reaches, err := s.engine.ReachesPeople(ctx)
	if err != nil {
		return nil, err
	}
	channel, test := "your channel", "/admin/settings"
	if len(reaching) > 0 && may(r, "GET /admin/settings/channels/{name}/") {
		channel, test = reaching[0].Name, views.ChannelURL(reaching[0].Name)
	}
	first := views.Step{Done: len(alerts.Items) > 0, Text: "The first alert has come in", Hint: "Point the sender to " + s.webhook(r) + ".", URL: "/admin/definitions", Link: "Run by hand"}
	pipeline := views.Step{Done: reaches, Text: "A pipeline tells it", Hint: "Choose a preset, then " + channel + " in its notify node.", URL: "/admin/definitions/new", Link: "New definition"}
	if i := slices.IndexFunc(active, func(d db.ActiveDefinition) bool { return d.Name == "default" }); i >= 0 {
		pipeline.Hint = "The definition default takes every alert and only prints: choose " + channel + " in its node notify and save."
		pipeline.URL, pipeline.Link = views.DefinitionURL("default"), "Open default"
		first.Hint += " Or begin with an example."
		first.URL, first.Link = views.DefinitionURL("default")+"/execute?example=alert", "Send an example"
	}
	steps := []views.Step{
		{Done: len(reaching) > 0, Text: "A channel that reaches a person", Hint: "Slack, e-mail, PagerDuty or a webhook.", URL: "/admin/settings/channels/new", Link: "New channel"},
		{Done: tested, Text: "A test message has arrived", Hint: "It shows the exact request and the exact answer.", URL: test, Link: "Send a test"},
		pipeline,
		{Done: senders, Text: "A token for the sender of alerts", Hint: "With the scope ingest, for Alertmanager, Grafana or a script.", URL: "/admin/settings/tokens", Link: "Make one"},
		first,
		{Done: told, Text: "The first notification has gone out", Hint: "Each message is listed with what became of it.", URL: "/admin/notifications", Link: "Notifications"},
	}
	for i, needs := range []string{
		"GET /admin/settings/channels/new", "POST /admin/settings/channels/{name}/test", "GET /admin/definitions/{name}/", "GET /admin/settings/tokens/", "GET /admin/definitions/{name}/execute", "GET /admin/notifications/",
	} {
		if !may(r, needs) {
			steps[i].URL = ""
		}
	}
	return steps, nil
}

// initialToken is the one that the first start makes.
const initialToken = "initial-admin"

func (s *Server) hours(ctx context.Context, now time.Time) ([]views.Hour, error) {
	first := now.Truncate(time.Hour).Add(-23 * time.Hour)
	counts, err := s.store.RunsPerHour(ctx, first)
	hours := make([]views.Hour, 24)
	for i := range hours {
		hours[i].At = first.Add(time.Duration(i) * time.Hour)
		for _, c := range counts {
			if c.Hour == hours[i].At.Format("2006-01-02 15") {
				hours[i].Total, hours[i].Failed = c.Total, c.Failed
			}
		}
	}
	return hours, err
}
