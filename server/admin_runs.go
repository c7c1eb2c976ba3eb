package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) runPage(w http.ResponseWriter, r *http.Request) error {
	return s.runRender(w, r, http.StatusOK, r.URL.Query().Get("node"), nil)
}

// runRender shows a run with a stage open; rerun, if set, is the form of that stage as it was refused.
func (s *Server) runRender(w http.ResponseWriter, r *http.Request, code int, node string, rerun *views.RerunForm) error {
	ctx := r.Context()
	// Events first: what happens while the rest is read comes again by the live stream.
	lines := &runLog{}
	cursor, err := s.readLog(ctx, r.PathValue("run_id"), 0, lines)
	if err != nil {
		return err
	}
	v, err := s.viewRun(r, r.PathValue("run_id"))
	if err != nil {
		return err
	}
	if node == "" && v.run.Status == db.RunFailed { // what somebody comes for
		if i := slices.IndexFunc(v.stages, func(stage views.Stage) bool { return stage.Status == string(db.StageFailed) }); i >= 0 {
			node = v.stages[i].ID
		}
	}
	payload, err := s.engine.PayloadOf(ctx, v.run)
	if err != nil {
		return err
	}
	v.head.Payload = withoutSecrets(payload)
	page := views.RunPage{
		Page: s.frame(w, r, "runs", views.RunTitle(v.run.DefinitionName, v.run.ID)), Head: v.head, Timeline: v.timeline(node),
		Graph: s.runGraph(v.run.ID, node, v.doc, v.stages, v.newest), Log: lines.entries, Cursor: cursor,
	}
	if node != "" {
		if page.Panel, err = v.panel(node, lines.entries); err != nil {
			return err
		}
		if rerun != nil {
			page.Panel.Rerun = rerun
		}
	}
	if page.Messages, err = s.messagesOf(ctx, v.run.ID); err != nil {
		return err
	}
	if page.Why, err = s.whyOf(ctx, v.run.ID); err != nil {
		return err
	}
	if page.Children, err = s.runRows(ctx, db.RunFilter{ParentRunID: v.run.ID, Page: db.Page{First: 20}}); err != nil {
		return err
	}
	return s.render(w, r, code, views.Run(page), views.PanelFragment)
}

func (s *Server) runCancel(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	reason, err := reasonOf(r)
	if err != nil {
		return err
	}
	run, err := s.engine.Cancel(r.Context(), r.PathValue("run_id"), reason, actor(r))
	if err != nil {
		return err
	}
	return s.done(w, r, views.RunURL(run.ID), "cancel")
}

func (s *Server) runRetry(w http.ResponseWriter, r *http.Request) error {
	run, err := s.engine.Retry(r.Context(), r.PathValue("run_id"), actor(r))
	if err != nil {
		return err
	}
	return s.done(w, r, views.RunURL(run.ID), "retry")
}

// runAgain starts a new run from a node of this one. What is refused comes back with the text and the reason.
func (s *Server) runAgain(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	old, payload, err := s.engine.RunWithPayload(r.Context(), r.PathValue("run_id"))
	if err != nil {
		return err
	}
	form := views.RerunForm{Input: field(r, "input"), AlreadySent: field(r, "already_sent")}
	input, err := editedPayload(payload, form.Input)
	var run *db.Run
	if err == nil {
		run, err = s.engine.Rerun(r.Context(), engine.RerunInput{
			RunID: old.ID, FromNode: field(r, "from_node"), Input: input, AlreadySent: form.AlreadySent, Trigger: db.TriggerManual, Actor: actor(r),
		})
	}
	if err != nil {
		return refused(err, func(status int, problem string) error {
			form.Problem = problem
			return s.runRender(w, r, status, field(r, "from_node"), &form)
		})
	}
	return s.done(w, r, views.RunURL(run.ID), "rerun")
}

// editedPayload is what a person made of the payload that a form showed them, nil if they left it as it was.
func editedPayload(payload []byte, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	shown := withoutSecrets(payload)
	switch {
	case text == "" || text == strings.TrimSpace(shown):
		return nil, nil
	case !json.Valid([]byte(text)):
		return nil, fault.New(fault.Invalid, "The payload is not valid JSON: look at line %d.", syntaxLine([]byte(text)))
	case strings.Contains(text, "[secret]") && strings.Contains(shown, "[secret]"):
		return nil, fault.New(fault.Invalid, "The payload has [secret] where a value is not shown. Write the value out, or take the key away.")
	}
	return []byte(text), nil
}

// runView is a run as its page and its live stream show it.
type runView struct {
	run    *db.Run
	head   views.RunHead
	doc    *definition.Document
	stages []views.Stage // every node of the definition, in its order
	newest map[string]db.StageExecution
	edges  []definition.DrawnEdge

	canRerun bool
}

func (s *Server) viewRun(r *http.Request, id string) (*runView, error) {
	ctx := r.Context()
	run, err := s.store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	executions, err := s.store.Stages(ctx, id)
	if err != nil {
		return nil, err
	}
	version, err := s.store.DefinitionVersion(ctx, run.VersionID)
	if err != nil {
		return nil, err
	}
	doc, _ := definition.Decode(version.Config)
	if doc == nil {
		doc = &definition.Document{} // only by a hand in the database; the stages are shown all the same
	}
	v := &runView{run: run, doc: doc, newest: map[string]db.StageExecution{}}
	v.edges = s.engine.Edges(doc)
	v.canRerun = run.Status.Terminal() && may(r, "POST /admin/runs/{run_id}/rerun")
	v.fillStages(executions)
	return v, s.fillHead(r, v)
}

func (s *Server) fillHead(r *http.Request, v *runView) error {
	run := v.run
	v.head = views.RunHead{
		RunRow: runRowOf(run), TraceID: run.TraceID, ParentRunID: run.ParentRunID, RerunOf: run.RerunOfRunID, RerunFrom: run.RerunFrom, CreatedBy: run.CreatedBy, ScheduledAt: run.ScheduledAt,
		Ended: run.Status.Terminal(),
	}
	if run.IncidentID != "" {
		inc, err := s.store.Incident(r.Context(), run.IncidentID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			v.head.Incident = inc.Title
		}
	}
	if !v.head.Ended {
		v.head.CanCancel = may(r, "POST /admin/runs/{run_id}/cancel")
		result, err := s.engine.Result(r.Context(), run.ID)
		if err != nil {
			return err
		}
		if result.WaitingFor != nil {
			v.head.WaitingFor, v.head.WaitingSince = *result.WaitingFor, *result.WaitingSince
		}
	}
	if run.DeliveryID != "" {
		found, err := s.store.DeliveriesByID(r.Context(), []string{run.DeliveryID})
		if err != nil {
			return err
		}
		if found[run.DeliveryID] != nil {
			v.head.DeliveryID = run.DeliveryID
		}
	}
	v.head.CanRetry = (run.Status == db.RunFailed || run.Status == db.RunCancelled) && may(r, "POST /admin/runs/{run_id}/retry")
	return nil
}

// fillStages joins the nodes of the definition with what the run did.
func (v *runView) fillStages(executions []db.StageExecution) {
	attempts := map[string][]views.Attempt{}
	for _, e := range executions {
		v.newest[e.NodeID] = e // they come by attempt
		if e.CopiedFrom != "" {
			continue
		}
		attempts[e.NodeID] = append(attempts[e.NodeID], views.Attempt{
			Status: string(e.Status), StartedAt: e.StartedAt, EndedAt: e.FinishedAt, NextAt: e.NotBefore, Errors: e.Errors,
		})
	}
	for _, n := range v.doc.Nodes {
		stage := views.Stage{ID: n.ID, Type: n.Type, Status: "waiting", Attempts: attempts[n.ID]}
		if e, ok := v.newest[n.ID]; ok {
			stage.Status = string(e.Status)
			stage.Version = fmt.Sprintf("%d-%s", e.Attempt, e.Status)
			switch {
			case e.SkipReason != "":
				stage.Why = e.SkipReason
			case e.CopiedFrom != "":
				stage.Why = "taken over from the run " + e.CopiedFrom
			case len(e.Errors) > 0:
				stage.Why = e.Errors[0]
			}
		} else if v.run.Status.Terminal() {
			stage.Why = "the run ended before it"
		}
		stage.ReadyAt = v.readyAt(n.ID)
		v.stages = append(v.stages, stage)
	}
}

// readyAt is when what comes before a node had ended, zero if it has not.
func (v *runView) readyAt(node string) time.Time {
	ready := v.run.CreatedAt
	for _, e := range v.edges {
		if e.To != node {
			continue
		}
		before := v.newest[e.From]
		if before.Status == db.StageSkipped {
			continue
		}
		if before.FinishedAt.IsZero() {
			return time.Time{}
		}
		if before.FinishedAt.After(ready) {
			ready = before.FinishedAt
		}
	}
	return ready
}

func (v *runView) timeline(selected string) views.Timeline {
	return views.Timeline{
		RunID: v.run.ID, Started: v.run.CreatedAt, Ended: v.run.FinishedAt, Now: time.Now().UTC(), Stages: v.stages, Selected: selected,
	}
}

func (v *runView) panel(node string, lines []views.LogEntry) (views.Panel, error) {
	for i, stage := range v.stages {
		if stage.ID != node {
			continue
		}
		e := v.newest[node]
		p := views.Panel{RunID: v.run.ID, Stage: stage, Output: pretty(e.Output), SkipReason: e.SkipReason, Config: pretty(v.doc.Nodes[i].Config)}
		for _, edge := range v.edges {
			if out := v.newest[edge.From].Output; edge.To == node && len(out) > 0 {
				p.Inputs = append(p.Inputs, views.PanelInput{Name: edge.From, JSON: pretty(out)})
			}
		}
		if len(p.Inputs) == 0 && v.head.Payload != "" {
			p.Inputs = []views.PanelInput{{Name: "payload of the run", JSON: v.head.Payload}}
		}
		for _, line := range lines {
			if line.From == node {
				p.Lines = append(p.Lines, line)
			}
		}
		p.CopiedFrom = e.CopiedFrom
		if v.canRerun {
			p.Rerun = &views.RerunForm{Input: v.head.Payload}
		}
		if last := len(p.Attempts) - 1; e.Status == db.StageSucceeded { // what it reports although it succeeded
			p.Notes = e.Errors
			if last >= 0 {
				p.Attempts[last].Errors = nil
			}
		}
		return p, nil
	}
	return views.Panel{}, fault.New(fault.NotFound, "This run has no stage %q.", node)
}
