package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/views"
	"penstock/views/layout"
)

// draftCheck answers the editor while somebody edits: what is wrong, and where nodes and edges go in a
// drawing.
func (s *Server) draftCheck(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name   string `json:"name"`
		Config string `json:"config"`
		Width  int    `json:"width"` // of the place for the drawing
		Height int    `json:"height"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	d, err := s.draft(r, in.Name, in.Config, cmp.Or(in.Width, usualWidth), cmp.Or(in.Height, usualHeight))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

func (s *Server) draft(r *http.Request, name, config string, width, height int) (views.Draft, error) {
	found, err := s.engine.Validate(r.Context(), name, []byte(config))
	if err != nil {
		return views.Draft{}, err
	}
	d := views.Draft{Issues: []views.DraftIssue{}, Boxes: []layout.Box{}, Lines: []views.DraftLine{}}
	for _, i := range append(found.Errors, found.Warnings...) {
		d.Issues = append(d.Issues, views.DraftIssue{Severity: string(i.Severity), Message: i.Message, Path: i.Path, Line: i.Line, Column: i.Column})
	}
	if doc, _ := definition.Decode([]byte(config)); doc != nil {
		s.place(&d, doc, width, height)
	}
	if !json.Valid([]byte(config)) {
		if converted, err := definition.JSON([]byte(config)); err == nil {
			d.JSON = pretty(converted)
		}
	}
	return d, nil
}

// The place for a drawing before the page has said how large it is, and the scale below which a drawing
// is too small to read.
const (
	usualWidth, usualHeight = 900, 500
	readable                = 0.8
)

func (s *Server) place(d *views.Draft, doc *definition.Document, width, height int) {
	nodes := make([]string, len(doc.Nodes))
	for i, n := range doc.Nodes {
		nodes[i] = n.ID
	}
	written := s.edgesOf(doc)
	edges := make([]layout.Edge, len(written))
	for i, e := range written {
		edges[i] = layout.Edge{From: e.From, To: e.To}
	}
	// To the right is how people read it; where it would be too small, what is larger.
	drawing := layout.Draw(nodes, edges, layout.Right)
	scale := func(d layout.Drawing) float64 {
		return min(1, float64(width)/float64(max(d.Width, 1)), float64(height)/float64(max(d.Height, 1)))
	}
	if scale(drawing) < readable {
		if other := layout.Draw(nodes, edges, layout.Down); scale(other) > scale(drawing) {
			drawing, d.Down = other, true
		}
	}
	d.Boxes = append(d.Boxes, drawing.Boxes...)
	for i, l := range drawing.Lines {
		d.Lines = append(d.Lines, views.DraftLine{From: written[i].From, To: written[i].To, Label: written[i].Label, Line: l})
	}
}

// alertsTried is how many alerts a rule is tried on while somebody writes it.
const alertsTried = 50

// matchTry says which of the newest alerts a rule would have taken.
func (s *Server) matchTry(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Match string `json:"match"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	tried, err := s.engine.TryMatch(r.Context(), in.Match, alertsTried)
	if err != nil {
		return err
	}
	answer := views.MatchTry{Alerts: []views.MatchedAlert{}}
	for _, t := range tried {
		answer.Alerts = append(answer.Alerts, views.MatchedAlert{
			Name: t.Alert.Name, Host: t.Alert.Host, Severity: string(t.Alert.Severity), At: t.Alert.StartsAt,
			Matched: t.Considered.Outcome == db.ConsideredMatched, Why: t.Considered.Detail,
		})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// timesShown is how many of a schedule's times are shown while somebody writes it.
const timesShown = 5

// timesTry says when a schedule would come round next.
func (s *Server) timesTry(w http.ResponseWriter, r *http.Request) error {
	var in definition.Schedule
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	times, err := in.Times()
	if err != nil {
		return fault.New(fault.Unprocessable, "%v", err)
	}
	return writeJSON(w, http.StatusOK, map[string][]time.Time{"times": times.Upcoming(time.Now(), timesShown)})
}

// samplesOffered is how many earlier runs a dry run can be tried with.
const samplesOffered = 15

// editor is what the editor of a definition begins with.
func (s *Server) editor(r *http.Request, name, definitionID, config string) (*views.Editor, error) {
	d, err := s.draft(r, name, config, usualWidth, usualHeight)
	if err != nil {
		return nil, err
	}
	e := &views.Editor{Name: name, User: actor(r), Draft: d, DryRun: may(r, "POST /admin/dry-run"), Channels: []views.EditorChannel{}, Definitions: []string{}, Samples: []views.EditorSample{}}
	for _, t := range s.engine.NodeTypes() {
		e.Types = append(e.Types, views.EditorType{Name: t.Name, Icon: views.NodeIcon(t.Name)})
	}
	channels, err := s.store.Channels(r.Context())
	if err != nil {
		return nil, err
	}
	for _, ch := range channels {
		e.Channels = append(e.Channels, views.EditorChannel{Name: ch.Name, Driver: ch.Driver})
	}
	definitions, err := s.store.ActiveDefinitions(r.Context())
	if err != nil {
		return nil, err
	}
	for _, d := range definitions {
		if d.Name != name {
			e.Definitions = append(e.Definitions, d.Name)
		}
	}
	runs, err := s.store.Runs(r.Context(), db.RunFilter{DefinitionID: definitionID, Page: db.Page{First: samplesOffered}})
	if err != nil {
		return nil, err
	}
	for _, run := range runs.Items {
		e.Samples = append(e.Samples, views.EditorSample{Run: run.ID, Definition: run.DefinitionName, Source: run.Source, Status: string(run.Status), At: run.CreatedAt})
	}
	return e, nil
}

// dryRun shows what a draft would do with the payload of an earlier run, or one that was written by hand.
func (s *Server) dryRun(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name    string `json:"name"`
		Config  string `json:"config"`
		RunID   string `json:"run_id"`
		Payload string `json:"payload"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.RunID != "" {
		p, _ := auth.From(r.Context())
		if err := auth.Allowed(p, "GET /admin/runs/{run_id}/"); err != nil { // the answer holds what the run holds
			return err
		}
	}
	if line := syntaxLine([]byte(in.Payload)); line > 0 && in.RunID == "" && in.Payload != "" {
		return fault.New(fault.Invalid, "The payload is not valid JSON: look at line %d.", line)
	}
	result, err := s.engine.DryRun(r.Context(), engine.DryRunInput{
		Definition: in.Name, Config: json.RawMessage(in.Config), RunID: in.RunID, Payload: json.RawMessage(in.Payload),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, result)
}
