package views_test

import (
	"time"

	"github.com/a-h/templ"

	"penstock/views"
	"penstock/views/layout"
)

var at = time.Date(2026, 11, 22, 20, 45, 3, 250_000_000, time.UTC)

func later(d time.Duration) time.Time { return at.Add(d) }

// hostile is text as strangers write it; it must come out as text everywhere.
const hostile = `"><svg onload=alert(1)> <hx-partial hx-get="/x"> {{ 1 }} 'é`

func frame(section, title string) views.Page {
	return views.Page{Title: title, Section: section, User: "ada", Admin: true, Session: true}
}

var runRows = []views.RunRow{
	{ID: "01930000-0000-7000-8000-00000000000a", Status: "running", Definition: "disk", Version: 3, Trigger: "webhook", Source: "alertmanager", Environment: "production", IncidentID: "inc-1", Incident: hostile, CreatedAt: at, StartedAt: at},
	{ID: "01930000-0000-7000-8000-00000000000b", Status: "failed", Definition: "disk", Version: 2, Trigger: "manual", Source: "admin", Environment: "production", Error: hostile, CreatedAt: at, StartedAt: at, FinishedAt: later(83 * time.Second)},
}

var incidentRows = []views.IncidentRow{
	{ID: "inc-1", Status: "open", Severity: "critical", Title: hostile, Host: "db-1", Alerts: 3, Firing: 2, StartedAt: at},
	{ID: "inc-2", Status: "acknowledged", Severity: "warning", Title: "Load on web-2", Host: "web-2", Summary: "Load of 12 on web-2", Alerts: 1, Firing: 1, StartedAt: at, By: "grace"},
}

var head = views.RunHead{
	RunRow: runRows[0], TraceID: "01930000-0000-7000-8000-0000000000ff", CreatedBy: "ada", ScheduledAt: at, ParentRunID: "01930000-0000-7000-8000-0000000000aa",
	WaitingFor: "tell (notify) to finish attempt 2", WaitingSince: later(3 * time.Second), Payload: `{"a": "</pre>"}`, CanCancel: true,
}

var stages = []views.Stage{
	{ID: "ingest", Type: "ingest", Status: "succeeded", Version: "1-succeeded", Attempts: []views.Attempt{{Status: "succeeded", StartedAt: at, EndedAt: later(time.Second)}}},
	{ID: "tell", Type: "notify", Status: "running", Version: "2-running", Attempts: []views.Attempt{
		{Status: "retrying", StartedAt: later(time.Second), EndedAt: later(2 * time.Second), NextAt: later(3 * time.Second), Errors: []string{hostile}},
		{Status: "running", StartedAt: later(3 * time.Second)},
	}},
	{ID: "other", Type: "transform", Status: "skipped", Why: "the branch that leads here was not taken", Version: "1-skipped"},
	{ID: "last", Type: "intelligence", Status: "waiting"},
}

var timeline = views.Timeline{RunID: head.ID, Started: at, Now: later(4 * time.Second), Stages: stages, Selected: "tell"}

var runGraph = views.Graph{
	Label: "Graph of the run", Current: "tell", Swap: "#panel",
	Nodes: []views.GraphNode{
		{ID: "ingest", Type: "ingest", Status: "succeeded", URL: views.StageURL(head.ID, "ingest")},
		{ID: "tell", Type: "notify", Status: "running", URL: views.StageURL(head.ID, "tell")},
		{ID: "other", Type: "transform", Status: "skipped", Off: true, URL: views.StageURL(head.ID, "other")},
		{ID: "last", Type: "intelligence", Status: "waiting", URL: views.StageURL(head.ID, "last")},
	},
	Edges: []views.GraphEdge{
		{From: "ingest", To: "tell", Label: "true", State: "done"}, {From: "ingest", To: "other", Label: "false", State: "off"}, {From: "tell", To: "last"},
	},
}

var logEntries = []views.LogEntry{
	{ID: "log-1", At: at, Text: "Running"},
	{ID: "log-2", At: later(time.Second), From: "tell", Text: "Retrying: " + hostile, Tone: views.ToneWarn},
}

var checks = views.Checks{
	Errors: 1, Warnings: 1,
	Issues: []views.Issue{
		{Severity: "error", Message: hostile, Where: "/nodes/1/next", Line: 14},
		{Severity: "warning", Message: "Nothing reaches this node."},
	},
	Graph: &views.Graph{
		Label: "Graph of the definition", Down: true,
		Nodes: []views.GraphNode{{ID: "ingest", Type: "ingest"}, {ID: "tell_the_whole_team", Type: "notify", Issues: 1}},
		Edges: []views.GraphEdge{{From: "ingest", To: "tell_the_whole_team"}},
	},
}

var definition = views.DefinitionPage{
	Grid: &views.Grid{Runs: runRows, Rows: []views.GridRow{{Node: "take", States: []string{"succeeded", "failed"}}, {Node: "tell", States: []string{"running", ""}}}}, Secrets: []string{hostile},
	Page: frame("definitions", "disk"), Name: "disk", Description: hostile, Active: true, Version: 3, Config: "{\n  \"a\": \"</textarea>\"\n}", CanEdit: true, CanRun: true,
	Checks: checks,
	Editor: &views.Editor{
		Name: "disk", Types: []views.EditorType{{Name: "ingest", Icon: "inbox"}}, Channels: []views.EditorChannel{{Name: "ops", Driver: hostile}}, Definitions: []string{"enrich"},
		Samples: []views.EditorSample{{Run: "r1", Definition: "disk", Source: hostile, Status: "failed", At: at}},
		Draft:   views.Draft{Issues: []views.DraftIssue{{Severity: "error", Message: hostile, Path: "/a"}}, Boxes: []layout.Box{{X: 3, Y: 4}}, Lines: []views.DraftLine{}}, DryRun: true,
	},
	Schedules: []views.Schedule{{
		Cron: "0 2 * * *", TimeZone: "Europe/Berlin", Overlap: "skip", CatchUp: "one", Next: []time.Time{at, later(24 * time.Hour)}, Last: at, LastRunID: runRows[0].ID,
		Queued: at, Skipped: 2, SkippedAt: at, SkipReason: hostile,
	}},
	Versions: []views.VersionRow{{Author: "ada", Message: hostile, CreatedAt: at}, {CreatedAt: at}}, MoreVersions: true,
	Runs: runRows,
}

var incident = views.IncidentPage{
	Page: frame("incidents", hostile), ID: "01930000-0000-7000-8000-000000000001", Title: hostile, Status: "open", Severity: "critical", Summary: hostile, Host: "db-1", Source: "alertmanager",
	Occurrence: 2, AlertCount: 2, FiringCount: 1, StartedAt: at, CanOperate: true, Runs: runRows[:1], Story: story, StoryCut: true, Why: "1 change started a pipeline.", Poll: "/admin/incidents/x",
	Alerts: []views.AlertRow{{
		ID: "a-1", DeliveryID: "del-1", IncidentID: "inc-1", Incident: hostile, Source: "alertmanager", Name: hostile, Host: "db-1", Status: "firing", Severity: "critical", SeverityText: "page", Summary: hostile, Description: "two\nlines", StartsAt: at, Repeats: 4,
		Labels: []views.Tag{{Name: "team", Value: hostile}}, Annotations: []views.Tag{{Name: "runbook", Value: "https://runbooks.example/disk"}, {Name: "evil", Value: "javascript:alert(1)"}},
		Links: []views.Tag{{Name: "Source", Value: "http://prom.example/graph?a=1&b=2"}, {Name: "Dashboard", Value: "//evil.example"}},
	}},
}

var decision = views.Decision{
	ID: "dec-1", Change: "created", Outcome: "started", At: at, Source: "alertmanager", DeliveryID: "del-1", IncidentID: "inc-1", Incident: hostile,
	Considered: []views.Considered{
		{Definition: "db", Outcome: "missing", Version: 2, Priority: 10, Expression: "alert.labels.team == '" + hostile + "'", Detail: hostile, Values: []views.ConsideredValue{{Path: "alert.labels.team", Missing: true}, {Path: "alert.name", Value: hostile}}},
		{Definition: "default", Outcome: "matched", Version: 1, Priority: 1000, RunID: runRows[0].ID, RunStatus: "running"},
	},
}

var message = views.Notification{
	ID: "msg-1", Status: "sent", Kind: "trigger", Channel: "slack:3f2a", Driver: "slack", Destination: "#incidents", Title: hostile, Severity: "critical", Reason: hostile, ProviderID: "C1:17",
	RunID: runRows[0].ID, NodeID: "tell", Definition: "disk", IncidentID: "inc-1", Incident: hostile, CreatedAt: at, SentAt: later(time.Minute),
	Attempts: []views.SendAttempt{
		{Outcome: "failed", StartedAt: at, EndedAt: later(time.Second), Request: "POST https://slack.com/api/chat.postMessage", ResponseStatus: 503, Response: hostile, Error: hostile},
		{Outcome: "unknown", StartedAt: later(time.Minute)},
	},
}

var story = []views.Happening{
	{At: at, Icon: "message-square", By: "ada", Text: "noted", Note: hostile + "\nsecond line"},
	{At: at, Icon: "send", Notification: &message},
	{At: at, Icon: "activity", Text: "disk ran", URL: views.RunURL(runRows[1].ID), Run: &runRows[1]},
	{At: at, Icon: "git-branch", Decision: &decision},
	{At: at, Icon: "flame", Tone: views.ToneBad, Text: hostile, URL: views.AlertURL("a-1")},
}

var delivery = views.DeliveryPage{
	Page: frame("incidents", "Delivery"), DeliveryRow: views.DeliveryRow{ID: "01930000-0000-7000-8000-0000000000d1", Source: hostile, Status: "accepted", Definition: "disk", ReplayOf: "del-0", ReceivedAt: at},
	TraceID: head.TraceID, Headers: []views.Tag{{Name: "User-Agent", Value: hostile}}, Body: `{"a": "</pre>"}`, Size: 15, Alerts: "[]", AlertCount: 1,
	Why: views.Why{Answer: "1 change started a pipeline.", Decisions: []views.Decision{decision}}, Runs: runRows[:1], IntakeAt: later(time.Second), CanReplay: true,
}

var settings = views.SettingsPage{
	Page: frame("settings", "Settings"), CanTest: true,
	Sources: []views.SourceRow{
		{Name: "berlin", Driver: "alertmanager", Description: hostile, State: "silent", Expected: 5 * time.Minute, LastReceivedAt: at},
		{Name: "anything", State: "active"},
	},
	Channels: []views.ChannelRow{
		{Name: "ops-slack", Driver: "slack", Description: hostile, Active: true, State: "failed", TestedAt: at, TestError: "Slack answered invalid_token."},
		{Name: "default", Driver: "console", State: "untested"},
	},
}

var outcome = views.Outcome{Text: hostile, Exchanges: []views.Exchange{{Request: hostile, Answer: hostile}, {Request: hostile}}}

// pages is every page in the states that differ.
func pages() map[string]templ.Component {
	flashed := frame("runs", "Runs")
	flashed.Flash, flashed.Theme, flashed.Session = "Saved.", "dark", false
	created := views.DefinitionPage{Page: frame("definitions", "New definition"), New: true, Active: true, Config: "{}", CanEdit: true, Editor: definition.Editor, Problem: "Name is taken.", Changed: true}
	created.Presets = []views.PresetCard{{Name: "direct", Title: "Direct", Description: hostile}}
	conflict := definition
	conflict.Conflict, conflict.Changed = &views.Conflict{Version: 4, Author: "grace", Config: "{}"}, true
	old := definition
	old.Shown, old.CanEdit, old.Editor = 2, false, nil
	ended := head
	ended.Ended, ended.Status, ended.CanRetry, ended.CanCancel, ended.WaitingFor, ended.Error = true, "failed", true, false, "", hostile
	resolved := incident
	resolved.Status, resolved.ResolvedAt, resolved.AcknowledgedBy, resolved.AcknowledgedAt, resolved.Runs, resolved.Alerts = "resolved", later(time.Hour), "ada", later(time.Minute), nil, nil
	panel := views.Panel{RunID: head.ID, Stage: stages[1], Output: `{"a": 12345678901234567890}`, Config: `{"channel": "x"}`, Notes: []string{hostile}, Inputs: []views.PanelInput{{Name: "ingest", JSON: "{}"}}, Lines: logEntries[1:]}
	return map[string]templ.Component{
		"components":      views.Components(at),
		"login":           views.Login(views.LoginPage{Next: "/admin/runs"}),
		"login-refused":   views.Login(views.LoginPage{Name: hostile, Error: "The name or the password is wrong."}),
		"setup":           views.Setup(views.SetupPage{Token: "t", Problem: "The password is too short."}),
		"error":           views.ErrorPage(views.Page{Title: "Not Found"}, 404, hostile),
		"error-signed-in": views.ErrorPage(frame("runs", "Not Found"), 404, hostile),
		"overview": views.Overview(views.OverviewPage{Page: frame("overview", "Overview"), OpenIncidents: 2, BySeverity: []views.SeverityCount{{Severity: "critical", Count: 1}, {Severity: "error"}, {Severity: "warning", Count: 1}}, Late: []views.LateRow{{RunRow: runRows[0], WaitingFor: hostile, WaitingSince: at}}, Running: 1, Pending: 2, FailedDay: 1, Incidents: incidentRows, Failed: runRows[1:], Latest: runRows,
			System: views.SystemFacts{Version: "0.1.0", Database: "postgres", Executors: 3, Retrying: 2, Stuck: 1, Bytes: 1_234_000_000, OldestID: "run-1", OldestName: hostile, OldestAt: at}}),
		"overview-empty":    views.Overview(views.OverviewPage{Page: frame("overview", "Overview"), Sample: views.Sample{Webhook: "http://localhost/webhooks/alertmanager", CanSend: true, CanRun: true}}),
		"runs":              views.Runs(views.RunsPage{Page: flashed, Query: hostile, Status: "failed", Definition: "disk", Rows: runRows, Pager: views.Pager{Newer: "/admin/runs?before=a", Older: "/admin/runs?after=b"}, New: 5, Incident: "inc-1", Self: "/admin/runs?q=x", Poll: "/admin/runs?rows=a", Filtered: true, CanOperate: true, Tools: views.ListTools{List: "runs", Query: "status=failed", Back: "/admin/runs?q=x", Choose: true, More: true, CanSave: true, Views: []views.SavedView{{ID: "v1", Name: "Mine", URL: "/admin/runs?q=mine"}}}}),
		"runs-none":         views.Runs(views.RunsPage{Page: frame("runs", "Runs"), Filtered: true, Pager: views.Pager{Older: "/admin/runs?after=b", Looked: 10_000}}),
		"incidents":         views.Incidents(views.IncidentsPage{Page: frame("incidents", "Incidents"), New: 100, CanOperate: true, Tools: views.ListTools{List: "runs", Query: "status=failed", Back: "/admin/incidents", Choose: true, More: true, CanSave: true, Views: []views.SavedView{{ID: "v1", Name: "Mine", URL: "/admin/runs?q=mine"}}}, Rows: incidentRows, Tabs: []views.Tab{{URL: "/admin/incidents", Text: "Open", Count: 1, Current: true}, {URL: "/admin/incidents?status=all", Text: "All", Count: -1}}}),
		"incident":          views.Incident(incident),
		"incident-resolved": views.Incident(resolved),
		"alerts":            views.Alerts(views.AlertsPage{Page: frame("incidents", "Alerts"), Rows: incident.Alerts, Source: hostile, Tabs: []views.Tab{{URL: "/admin/alerts", Text: "Firing", Count: 1, Current: true}}}),
		"alerts-none":       views.Alerts(views.AlertsPage{Page: frame("incidents", "Alerts"), Sample: views.Sample{Webhook: "http://localhost/webhooks/alertmanager", CanSend: true, CanRun: true}}),
		"alert":             views.Alert(views.AlertPage{Page: frame("incidents", hostile), AlertRow: incident.Alerts[0], Why: delivery.Why}),
		"deliveries":        views.Deliveries(views.DeliveriesPage{Page: frame("incidents", "Deliveries"), Rows: []views.DeliveryRow{delivery.DeliveryRow, {ID: "del-2", Status: "no_alerts", Error: hostile, ReceivedAt: at}}}),
		"delivery":          views.Delivery(delivery),
		"delivery-gone":     views.Delivery(views.DeliveryPage{Page: frame("incidents", "Delivery"), DeliveryRow: views.DeliveryRow{ID: "del-2", Status: "no_alerts", Error: hostile, ReceivedAt: at}, Why: views.Why{Answer: "It was refused and kept."}}),
		"notifications":     views.Notifications(views.NotificationsPage{Page: frame("runs", "Notifications"), Rows: []views.Notification{message}, Channels: []views.Option{{Label: "Any channel"}}}),
		"definitions":       views.Definitions(views.DefinitionsPage{Page: frame("definitions", "Definitions"), Tag: hostile, Untagged: "/admin/definitions", Tabs: []views.Tab{{URL: "/admin/definitions", Text: "All", Count: 2, Current: true}}, Filtered: true, CanEdit: true, CanRun: true, Rows: []views.DefinitionRow{{Name: "disk", Description: hostile, Active: true, Version: 3, Nodes: 4, Tags: []views.Tag{{Name: "team", Value: "db"}}, UpdatedAt: at, Recent: runRows}, {Name: "old", Nodes: 1, UpdatedAt: at}}}),
		"definition":        views.Definition(definition),
		"definition-new":    views.Definition(created),
		"conflict":          views.Definition(conflict),
		"definition-old":    views.Definition(old),
		"history": views.History(views.HistoryPage{
			Page: frame("definitions", "disk history"), Name: "disk", Newest: 3, From: 2, To: 3, CanEdit: true,
			Versions: []views.VersionRow{{Number: 3, Author: "ada", Message: hostile, CreatedAt: at}, {Number: 2, CreatedAt: at}},
			Lines:    []views.DiffLine{{Kind: views.DiffGap}, {Kind: views.DiffRemoved, Old: 4, Text: hostile}, {Kind: views.DiffAdded, New: 4, Text: "b"}, {Kind: views.DiffGap}, {Kind: views.DiffSame, Old: 9, New: 9, Text: "c"}},
			Graph:    &views.Graph{Label: "What has changed in the graph", Nodes: []views.GraphNode{{ID: "a", Type: "ingest", Status: "added"}, {ID: "b", Type: "notify", Status: "removed", Off: true}}, Edges: []views.GraphEdge{{From: "a", To: "b", State: "off"}}},
		}),
		"execute":         views.Execute(views.ExecutePage{Page: frame("definitions", "Run disk"), Name: "disk", Payload: "{}", Key: "KEY", Problem: "The payload is not valid JSON: look at line 1.", Samples: runRows}),
		"run":             views.Run(views.RunPage{Page: frame("runs", "disk"), Head: head, Timeline: timeline, Graph: runGraph, Panel: panel, Log: logEntries, Cursor: 7, Messages: []views.Notification{message}, Why: delivery.Why}),
		"run-ended":       views.Run(views.RunPage{Page: frame("runs", "disk"), Head: ended, Timeline: timeline, Graph: runGraph, Children: runRows}),
		"settings":        views.Settings(settings),
		"settings-viewer": views.Settings(views.SettingsPage{Page: frame("settings", "Settings")}),
		"update":          views.Update(views.RunUpdate{Head: head, Timeline: timeline, Changed: stages[1:2], Graph: runGraph, Log: logEntries[1:], More: []views.LogEntry{{ID: "log-1", Text: hostile}}}),
		"tokens":          views.Tokens(views.TokensPage{Page: frame("settings", "API tokens"), Made: "pst_secret", MadeFor: "The token " + hostile, Address: "http://localhost", Scopes: []views.Option{{Value: "ingest", Label: "ingest: send alerts"}}, Tokens: []views.TokenRow{{Name: "alertmanager", Prefix: "pst_abcd", State: "active", Scopes: []string{"ingest"}, CreatedBy: "ada", CreatedAt: at, CanRevoke: true}}}),
		"users":           views.Users(views.UsersPage{Page: frame("settings", "Users"), Problem: hostile, Users: []views.UserRow{{Name: hostile, Role: "viewer", State: "active", CreatedAt: at}, {Name: "grace", Role: "admin", State: "inactive", CreatedAt: at}}}),
		"schedules":       views.Schedules(views.SchedulesPage{Page: frame("settings", "Schedules"), Rows: []views.ScheduleRow{{Definition: "disk", Cron: "*/5 * * * *", TimeZone: "Europe/Berlin", State: "active", Next: []time.Time{at, later(time.Hour)}, LastRunID: head.ID, LastAt: at, SkipReason: hostile}}}),
		"schedules-none":  views.Schedules(views.SchedulesPage{Page: frame("settings", "Schedules")}),
		"providers": views.Providers(views.ProvidersPage{Page: frame("settings", "Analysers"), CanTest: true, Rows: []views.ProviderRow{
			{Name: "local", Title: "Local rules", State: "ready", UsedBy: []string{"disk", "cpu"}},
			{Name: "openai", Title: "OpenAI", State: "incomplete", Model: "gpt", Address: "https://ai.example/v1", Missing: []string{"OPENAI_API_KEY"}, Problem: hostile, Outcome: &outcome},
		}}),
		"source-new":     views.Source(views.SourcePage{Page: frame("settings", "New source"), New: true, CanEdit: true, Problem: hostile, Problems: map[string]string{"name": hostile}}),
		"source":         views.Source(views.SourcePage{Page: frame("settings", "berlin"), Name: "berlin", Driver: "alertmanager", Description: hostile, State: "silent", SilentSince: at, LastReceivedAt: at, ExpectEvery: "300", Grace: "0", Drivers: []views.Option{{Value: "alertmanager", Label: "Alertmanager"}}, Address: "http://localhost", CanEdit: true}),
		"account":        views.Account(views.AccountPage{Page: frame("settings", "Your account"), Scopes: []string{"read"}, Problem: hostile, Problems: map[string]string{"current_password": hostile}}),
		"about":          views.About(views.AboutPage{Page: frame("settings", "About"), StartedAt: at, GoVersion: "go1.26", Address: "http://localhost", System: views.SystemFacts{Version: "1.2", Database: "sqlite", Executors: 1, Bytes: 1 << 20}}),
		"channel-tested": views.Channel(views.ChannelPage{Page: frame("settings", "ops"), Name: "ops", Driver: "generic", Active: true, State: "passed", Outcome: &views.Outcome{Passed: true, Text: hostile, Exchanges: []views.Exchange{{Request: "POST https://a.example/", Answer: "200 OK"}}}}),
		"channel-new":    views.Channel(views.ChannelPage{Page: frame("settings", "New channel"), New: true, Kinds: []views.Option{{Value: "slack", Label: "Slack"}}}),
		"channel":        views.Channel(views.ChannelPage{Page: frame("settings", "ops"), Name: "ops", Driver: "email", Description: hostile, Active: true, State: "failed", Error: hostile, Problem: hostile, Fields: []views.FormField{{Name: "host", Title: "Host", Hint: hostile, Kind: "text", Value: hostile}, {Name: "password", Title: "Password", Kind: "secret", Stored: true}, {Name: "port", Title: "Port", Kind: "number", Value: "25", Problem: hostile}, {Name: "tls", Title: "TLS", Kind: "select", Value: "none", Options: []views.Option{{Value: "none", Label: "none"}}}, {Name: "to", Title: "To", Kind: "lines", Value: hostile}, {Name: "x", Title: "X", Kind: "check", Value: "true"}}}),
		"search":         views.Search(views.SearchPage{Page: frame("", "Go to"), Query: hostile, Hits: []views.Hit{{URL: "/admin/runs", Icon: "activity", Text: hostile, About: "page"}}}),
		"search-none":    views.Search(views.SearchPage{Page: frame("", "Go to"), Query: hostile}),
	}
}
