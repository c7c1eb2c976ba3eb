package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

func (s *Server) runRoutes() []route {
	return []route{
		{"GET /orchestration/pipelines/", s.runList},
		{"GET /orchestration/pipeline/{run_id}/", s.runGet},
		{"POST /orchestration/pipeline/{run_id}/cancel/", s.runCancelJSON},
		{"POST /orchestration/pipeline/{run_id}/resume/", s.runResume},
		{"POST /orchestration/pipeline/{run_id}/rerun/", s.runRerun},
	}
}

// listedRun is a run in the list: its nodes' outputs, which may be large, are in the detail.
type listedRun struct {
	engine.RunResult
	NodeResults *struct{} `json:"node_results,omitempty"`
}

var runStatuses = []db.RunStatus{db.RunPending, db.RunRunning, db.RunCompleted, db.RunPartial, db.RunFailed, db.RunCancelled}

// runList answers with a page of runs, newest first; next is the value of ?after= for the page behind
// it, null on the last.
func (s *Server) runList(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	asked, err := readPage(q, "source")
	if err != nil {
		return err
	}
	filter := db.RunFilter{Source: q.Get("source"), Page: asked}
	for _, text := range q["status"] {
		for word := range strings.SplitSeq(text, ",") {
			status := db.RunStatus(word)
			if word == "" {
				continue
			}
			if !slices.Contains(runStatuses, status) {
				return fault.New(fault.Invalid, "status=%q is none of pending, running, completed, partial, failed, cancelled.", word)
			}
			filter.Status = append(filter.Status, status)
		}
	}
	page, err := s.store.Runs(r.Context(), filter)
	if err != nil {
		return err
	}
	results, err := s.engine.Results(r.Context(), page.Items)
	if err != nil {
		return err
	}
	answer := struct {
		Pipelines []listedRun `json:"pipelines"`
		Count     int         `json:"count"`
		Next      *string     `json:"next"`
	}{Pipelines: []listedRun{}, Count: len(results), Next: nextOf(page)}
	for _, r := range results {
		answer.Pipelines = append(answer.Pipelines, listedRun{RunResult: r})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// readPage reads which part of a list is asked for: the first 50, or ?limit= of them, after ?after=. slow are the
// filters that no index serves: a page then looks at so many records at most, and may be short with more behind it.
func readPage(q url.Values, slow ...string) (db.Page, error) {
	p := db.Page{First: 50, After: q.Get("after")}
	if slices.ContainsFunc(slow, q.Has) {
		p.Within = lookThrough
	}
	if text := q.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > 100 {
			return p, fault.New(fault.Invalid, "limit=%q is not a number from 1 to 100.", text)
		}
		p.First = limit
	}
	return p, nil
}

// nextOf is the value of ?after= for the page behind this one, nil on the last.
func nextOf[T any](c db.Connection[T]) *string {
	if c.HasNext {
		return &c.Cursors[len(c.Cursors)-1]
	}
	return orNull(c.Further)
}

func (s *Server) runGet(w http.ResponseWriter, r *http.Request) error {
	result, err := s.engine.Result(r.Context(), r.PathValue("run_id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, result)
}

// runCancelJSON ends a run that has not ended yet.
func (s *Server) runCancelJSON(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if hasBody(r) {
		if err := readJSON(w, r, &body); err != nil {
			return err
		}
	}
	run, err := s.engine.Cancel(r.Context(), r.PathValue("run_id"), body.Reason, actor(r))
	if err != nil {
		return err
	}
	result, err := s.engine.Result(r.Context(), run.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, result)
}

// runResume continues a failed or cancelled run from its failed nodes.
func (s *Server) runResume(w http.ResponseWriter, r *http.Request) error {
	run, err := s.engine.Retry(r.Context(), r.PathValue("run_id"), actor(r))
	if err != nil {
		return err
	}
	return s.runAccepted(w, r, run.ID)
}

// runRerun starts a new run from a node of an ended one.
func (s *Server) runRerun(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		FromNode    string          `json:"from_node"`
		Input       json.RawMessage `json:"input"`
		AlreadySent string          `json:"already_sent"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	run, err := s.engine.Rerun(r.Context(), engine.RerunInput{
		RunID: r.PathValue("run_id"), FromNode: body.FromNode, Input: body.Input, AlreadySent: body.AlreadySent,
		Trigger: db.TriggerAPI, Actor: actor(r),
	})
	if err != nil {
		return err
	}
	return s.runAccepted(w, r, run.ID)
}

// runAccepted answers with a run that goes on.
func (s *Server) runAccepted(w http.ResponseWriter, r *http.Request, id string) error {
	result, err := s.engine.Result(r.Context(), id)
	if err != nil {
		return err
	}
	w.Header().Set("Location", runPath(id))
	return writeJSON(w, http.StatusAccepted, result)
}
