package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) overview(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	page := views.OverviewPage{Page: s.frame(w, r, "overview", "Overview"), Sample: s.sample(r)}
	day := db.RunFilter{Status: []db.RunStatus{db.RunFailed}, CreatedAfter: time.Now().UTC().Add(-24 * time.Hour)}
	var err error
	count := func(into *int, n int, e error) {
		*into = n
		if err == nil {
			err = e
		}
	}
	open, e := s.store.CountIncidentsBySeverity(ctx, db.IncidentOpen)
	for _, severity := range severities {
		page.OpenIncidents += open[severity]
		page.BySeverity = append(page.BySeverity, views.SeverityCount{Severity: string(severity), Count: open[severity]})
	}
	acknowledged, more := s.store.CountIncidents(ctx, db.IncidentFilter{Status: []db.IncidentStatus{db.IncidentAcknowledged}})
	count(&page.Acknowledged, acknowledged, errors.Join(e, more))
	failed, e := s.store.CountRuns(ctx, day)
	count(&page.FailedDay, failed, e)
	all, e := s.engine.Status(ctx)
	count(&page.Pending, all.Backlog.Pending, e)
	page.Running = all.Backlog.Running
	page.System = views.SystemFacts{
		Version: s.engine.Stats().Version, Database: all.Database, Executors: all.Executors,
		Retrying: all.Backlog.Retrying, Stuck: all.Backlog.Stuck, Bytes: all.Size.Bytes,
	}
	if run := all.Backlog.Oldest; run != nil {
		page.System.OldestID, page.System.OldestName, page.System.OldestAt = run.ID, run.DefinitionName, run.CreatedAt
	}
	if err != nil {
		return err
	}

	urgent, err := s.store.UrgentIncidents(ctx, db.IncidentOpen, 10)
	if err != nil {
		return err
	}
	page.Incidents = incidentRows(urgent)
	late, err := s.engine.LateRuns(ctx, 5)
	if err != nil {
		return err
	}
	for _, run := range late {
		page.Late = append(page.Late, views.LateRow{
			RunRow: runRowOf(&run.Run), WaitingFor: run.WaitingFor, WaitingSince: run.WaitingSince,
		})
	}
	day.Page = db.Page{First: 5}
	if page.Failed, err = s.runRows(ctx, day); err != nil {
		return err
	}
	if page.Latest, err = s.runRows(ctx, db.RunFilter{Page: db.Page{First: 10}}); err != nil {
		return err
	}
	if err := s.fillHealth(r, &page); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Overview(page), views.ResultsFragment)
}

// address is this server as the reader reaches it.
func (s *Server) address(r *http.Request) string {
	if s.publicURL != "" {
		return s.publicURL
	}
	return "http://" + r.Host // checked against the names the server answers to
}

// webhook is the address that takes alerts.
func (s *Server) webhook(r *http.Request) string { return s.address(r) + "/webhooks/alertmanager" }

// sample is how whoever asks can bring in a first alert.
func (s *Server) sample(r *http.Request) views.Sample {
	return views.Sample{
		Webhook: s.webhook(r),
		CanSend: may(r, "GET /admin/settings/sources/new"), CanRun: may(r, "POST /admin/definitions/{name}/execute"),
	}
}

var (
	triggers   = []db.Trigger{db.TriggerWebhook, db.TriggerAlert, db.TriggerAPI, db.TriggerManual, db.TriggerPipeline, db.TriggerSchedule}
	severities = []db.Severity{db.SeverityCritical, db.SeverityError, db.SeverityWarning, db.SeverityInfo}
)

// runFilter reads the filters of the address of the list of runs, into page too.
func (s *Server) runFilter(r *http.Request, page *views.RunsPage) (filter db.RunFilter, err error) {
	q := r.URL.Query()
	page.Query, page.Status, page.Definition, page.Trigger = q.Get("q"), q.Get("status"), q.Get("definition"), q.Get("trigger")
	page.Environment, page.Incident = q.Get("environment"), q.Get("incident")
	if page.Version, err = versionNumber(r, "version", 0); err != nil {
		return filter, err
	}
	filter = db.RunFilter{
		Search: page.Query, Version: page.Version, DefinitionName: page.Definition, Trigger: db.Trigger(page.Trigger), Environment: page.Environment, IncidentID: page.Incident,
	}
	unknown := "" // name for which there is no one id
	if page.Definition != "" {
		ids, err := s.store.DefinitionIDs(r.Context(), page.Definition)
		if err != nil {
			return filter, err
		}
		if len(ids) == 1 {
			filter.DefinitionID, filter.DefinitionName = ids[0], ""
		} else {
			unknown = page.Definition
		}
	}
	filter.Page = pageOf(r, page.Query, page.Trigger, page.Environment, unknown)
	if page.Status != "" {
		if !slices.Contains(runStatuses, db.RunStatus(page.Status)) {
			return filter, fault.New(fault.Invalid, "status=%q is none of pending, running, completed, partial, failed, cancelled.", page.Status)
		}
		filter.Status = []db.RunStatus{db.RunStatus(page.Status)}
	}
	if page.Trigger != "" && !slices.Contains(triggers, filter.Trigger) {
		return filter, fault.New(fault.Invalid, "trigger=%q is none of webhook, alert, api, manual, pipeline, schedule.", page.Trigger)
	}
	return filter, nil
}

func (s *Server) runPages(w http.ResponseWriter, r *http.Request) error {
	page := views.RunsPage{Page: s.frame(w, r, "runs", "Runs"), CanOperate: may(r, "POST /admin/runs/bulk")}
	filter, err := s.runFilter(r, &page)
	if err != nil {
		return err
	}
	list, fresh, err := shownRows(r, filter.Page, func(ids []string, p db.Page) (db.Connection[db.Run], error) {
		if ids != nil {
			return s.store.Runs(r.Context(), db.RunFilter{IDs: ids, Page: p})
		}
		filter.Page = p
		return s.store.Runs(r.Context(), filter)
	})
	if err != nil {
		return err
	}
	if page.Rows, err = s.rowsOf(r.Context(), list.Items); err != nil {
		return err
	}
	page.Pager, page.New = pagerOf(r, list), fresh
	page.Self, page.Poll = pollOf(r, list, func(run *db.Run) string { return run.ID })
	page.Tools, err = s.toolsOf(r, "runs", page.CanOperate, page.Pager, func() (int, error) { return s.store.CountRuns(r.Context(), filter) })
	if err != nil {
		return err
	}
	page.Filtered = page.Tools.Query != ""
	return s.render(w, r, http.StatusOK, views.Runs(page), views.ResultsFragment)
}

// runRows reads runs for a table inside a page.
func (s *Server) runRows(ctx context.Context, f db.RunFilter) ([]views.RunRow, error) {
	list, err := s.store.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	return s.rowsOf(ctx, list.Items)
}

// rowsOf adds the incidents' titles, with one query for all.
func (s *Server) rowsOf(ctx context.Context, runs []db.Run) ([]views.RunRow, error) {
	var ids []string
	for _, run := range runs {
		if run.IncidentID != "" && !slices.Contains(ids, run.IncidentID) {
			ids = append(ids, run.IncidentID)
		}
	}
	incidents := map[string]*db.Incident{}
	if len(ids) > 0 {
		var err error
		if incidents, err = s.store.IncidentsByID(ctx, ids); err != nil {
			return nil, err
		}
	}
	rows := make([]views.RunRow, len(runs))
	for i, run := range runs {
		rows[i] = runRowOf(&run)
		if inc := incidents[run.IncidentID]; inc != nil {
			rows[i].Incident = inc.Title
		}
	}
	return rows, nil
}

func runRowOf(run *db.Run) views.RunRow {
	return views.RunRow{
		ID: run.ID, Status: string(run.Status), Definition: run.DefinitionName, Version: run.DefinitionVersion,
		Trigger: string(run.Trigger), Source: run.Source, Environment: run.Environment, IncidentID: run.IncidentID, Error: run.Error,
		CreatedAt: run.CreatedAt, StartedAt: run.StartedAt, FinishedAt: run.FinishedAt,
	}
}

func (s *Server) definitionPages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := views.DefinitionsPage{
		Page:  s.frame(w, r, "definitions", "Definitions"),
		Query: q.Get("q"), State: q.Get("state"), Tag: q.Get("tag"),
		CanEdit: may(r, "POST /admin/definitions/new"), CanRun: may(r, "POST /admin/definitions/{name}/execute"),
	}
	tags, err := tagOf(page.Tag)
	if err != nil {
		return err
	}
	filter := db.DefinitionFilter{Search: page.Query, Tags: tags, Page: pageOf(r)}
	for _, state := range []views.Option{{Label: "All"}, {Value: "active", Label: "Active"}, {Value: "inactive", Label: "Inactive"}} {
		counted := db.DefinitionFilter{}
		if state.Value != "" {
			counted.Active = new(state.Value == "active")
		}
		count, err := s.store.CountDefinitions(r.Context(), counted)
		if err != nil {
			return err
		}
		page.Tabs = append(page.Tabs, views.Tab{URL: definitionsURL(q, "state", state.Value), Text: state.Label, Count: count, Current: state.Value == page.State})
	}
	page.Untagged = definitionsURL(q, "tag", "")
	if page.State != "" {
		if page.State != "active" && page.State != "inactive" {
			return fault.New(fault.Invalid, "state=%q is none of active, inactive.", page.State)
		}
		filter.Active = new(page.State == "active")
	}
	list, err := s.store.Definitions(r.Context(), filter)
	if err != nil {
		return err
	}
	for _, d := range list.Items {
		page.Rows = append(page.Rows, views.DefinitionRow{
			Name: d.Name, Description: d.Description, Active: d.IsActive, Version: d.Version, Nodes: d.NodeCount, Tags: sortedTags(d.Tags), UpdatedAt: d.UpdatedAt,
		})
	}
	if err := s.addRecent(r.Context(), list.Items, page.Rows); err != nil {
		return err
	}
	page.Pager, page.Filtered = pagerOf(r, list), page.Query+page.State+page.Tag != ""
	return s.render(w, r, http.StatusOK, views.Definitions(page), views.ResultsFragment)
}

// definitionsURL is the list with its filters, one of them changed.
func definitionsURL(q url.Values, name, value string) string {
	q = maps.Clone(q)
	q.Set(name, value)
	return strings.TrimSuffix("/admin/definitions?"+filtersOf(q), "?")
}

func sortedTags(tags map[string]string) []views.Tag {
	list := make([]views.Tag, 0, len(tags))
	for name, value := range tags {
		list = append(list, views.Tag{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b views.Tag) int { return strings.Compare(a.Name, b.Name) })
	return list
}
