package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// route is an active definition with an alert trigger.
type route struct {
	*definition.Route
	def  *db.PipelineDefinition
	plan *plan
	err  error // why it cannot run at the moment; nothing but its name and priority is known then
}

// routes returns the active definitions with an alert trigger in the order they are asked. What
// another process changed is seen within [namesFor].
func (c *compiled) routes(ctx context.Context, e *Engine) ([]*route, error) {
	c.mu.Lock()
	kept := c.routing
	known := *kept
	c.mu.Unlock()
	if time.Now().Before(known.until) {
		return known.routes, nil
	}
	until := time.Now().Add(namesFor)
	defs, err := e.store.ActiveDefinitions(ctx)
	if err != nil {
		return nil, err
	}
	var routes []*route
	for i := range defs {
		def := &defs[i].PipelineDefinition
		r := &route{def: def, Route: &definition.Route{Name: def.Name}}
		r.plan, r.err = c.version(ctx, e, defs[i].VersionID)
		switch {
		case db.IsDown(r.err):
			return nil, r.err
		case r.err != nil:
			trigger, err := e.alertTrigger(ctx, defs[i].VersionID)
			if err != nil || trigger == nil {
				continue
			}
			r.Priority = definition.PriorityOf(trigger)
		case r.plan.Route == nil && def.Name == DefaultDefinition && r.plan.Document.Triggers == nil:
			r.Route = definition.CatchAll(def.Name)
		case r.plan.Route == nil:
			continue
		default:
			r.Route = r.plan.Route
		}
		routes = append(routes, r)
	}
	slices.SortFunc(routes, func(a, b *route) int { return definition.CompareRoutes(a.Route, b.Route) })
	c.mu.Lock()
	*kept = routing{routes, until}
	c.mu.Unlock()
	return routes, nil
}

// alertTrigger reads the trigger of a version that does not compile.
func (e *Engine) alertTrigger(ctx context.Context, versionID string) (*definition.AlertTrigger, error) {
	version, err := e.store.DefinitionVersion(ctx, versionID)
	if err != nil {
		return nil, err
	}
	if doc, _ := definition.Decode(version.Config); doc != nil && doc.Triggers != nil {
		return doc.Triggers.Alert, nil
	}
	return nil, nil
}

// endings are the incidents that end, with the moment since when their occurrence may have been worked: the
// clock of the source may be ahead of ours.
func endings(jobs []*intakeJob) map[string]time.Time {
	ended := map[string]time.Time{}
	for _, j := range jobs {
		for _, c := range j.out.Incidents {
			if c.Kind == definition.ChangeResolved {
				ended[c.ID] = c.started.Add(-time.Hour)
			}
		}
	}
	return ended
}

// route decides what the changes of a delivery start that names no definition. worked are the definitions
// that have been given the incidents that end: they hear of it, whatever else matches.
func (j *intakeJob) route(ctx context.Context, routes []*route, worked map[string][]string, now time.Time) []db.Decision {
	var decisions []db.Decision
	for i := range j.out.Incidents {
		c := &j.out.Incidents[i]
		d := j.decision(c, now)
		r := j.out.of(c.ID, j.parsed)
		vars := expr.Vars{Payload: j.parsed.payload, Incident: r.Incident, Alerts: r.Alerts, Now: now}
		if len(r.Alerts) > 0 {
			vars.Alert = r.Alerts[0]
		}
		d.Outcome = db.DecisionNoRoute
		if !c.changed() && !j.replay {
			d.Outcome = db.DecisionRepeat
		}
		taken := false
		for _, route := range routes {
			before := c.Kind == definition.ChangeResolved && slices.Contains(worked[c.ID], route.Name)
			if taken && !before {
				continue
			}
			if !c.changed() && !j.replay && route.err == nil && !slices.Contains(route.On, definition.ChangeRepeated) {
				continue // nothing to say about it: it was not looked at
			}
			looked := route.consider(ctx, c.Kind, j.replay, vars)
			if before && looked.Outcome != db.ConsideredInvalid && looked.Outcome != db.ConsideredNotOn && looked.Outcome != db.ConsideredMatched {
				looked.Outcome, looked.Detail = db.ConsideredMatched, "It has worked this incident, so it hears of its end."
			} else if looked.Outcome == db.ConsideredMatched && !route.Continue {
				taken = true
			}
			if looked.Outcome == db.ConsideredMatched {
				looked.RunID, d.Outcome = j.start(c, route.def, route.plan, db.TriggerAlert, now), db.DecisionStarted
			}
			d.Considered = append(d.Considered, looked)
		}
		decisions = append(decisions, d)
	}
	return append(decisions, j.nothingToResolve(now)...)
}

// send starts the definition that a person has named for every incident of a delivery.
func (j *intakeJob) send(now time.Time) []db.Decision {
	var decisions []db.Decision
	for i := range j.out.Incidents {
		c := &j.out.Incidents[i]
		d := j.decision(c, now)
		d.Outcome = db.DecisionStarted
		d.Considered = []db.Considered{{
			Definition: j.to.def.Name, Version: j.to.def.Version, Outcome: db.ConsideredNamed, Detail: "The delivery was sent through again to it.",
			RunID: j.start(c, j.to.def, j.to.plan, db.TriggerManual, now),
		}}
		decisions = append(decisions, d)
	}
	return append(decisions, j.nothingToResolve(now)...)
}

// start adds a run of an incident, and returns its id.
func (j *intakeJob) start(c *incidentChange, def *db.PipelineDefinition, plan *plan, trigger db.Trigger, now time.Time) string {
	run := newRun(def, plan.versionID, now)
	run.TraceID, run.Trigger, run.Source, run.CreatedBy = j.trace, trigger, j.out.Source, j.actor
	run.DeliveryID, run.IncidentID = j.delivery, c.ID
	run.Change = fmt.Sprintf("%s@%d", c.ID, c.Revision)
	j.starts = append(j.starts, start{run, plan})
	return run.ID
}

// consider asks one definition about a change.
func (r *route) consider(ctx context.Context, change string, replay bool, vars expr.Vars) db.Considered {
	looked := db.Considered{Definition: r.Name, Version: r.def.Version, Priority: r.Priority}
	if r.err != nil {
		looked.Outcome, looked.Detail = db.ConsideredInvalid, "It cannot run: "+fault.Of(r.err).Message
		return looked
	}
	looked.Expression = r.Match.String()
	if !slices.Contains(r.On, change) && (!replay || change != definition.ChangeRepeated) {
		looked.Outcome, looked.Detail = db.ConsideredNotOn, fmt.Sprintf("Its trigger is not for %q.", change)
		return looked
	}
	for _, read := range r.Match.Reads(vars) {
		looked.Values = append(looked.Values, db.ConsideredValue{Path: read.Path, Value: brief(read.Value, read.Missing), Missing: read.Missing})
	}
	hit, err := boolean(ctx, r.Match, vars)
	_, missing := errors.AsType[*expr.Missing](err)
	switch {
	case missing:
		looked.Outcome, looked.Detail = db.ConsideredMissing, fault.Of(err).Message
	case err != nil:
		looked.Outcome, looked.Detail = db.ConsideredFailed, fault.Of(err).Message
	case hit:
		looked.Outcome = db.ConsideredMatched
	default:
		looked.Outcome = db.ConsideredNotMatched
	}
	return looked
}

// maxBrief bounds how much of a value a decision keeps.
const maxBrief = 200

func brief(value any, missing bool) string {
	if missing {
		return ""
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if text := []rune(string(raw)); len(text) > maxBrief {
		return string(text[:maxBrief-1]) + "…"
	}
	return string(raw)
}

// follow makes the runs for the further incidents of a delivery that names a definition – the run
// itself works the first – and says what became of each change.
func (j *intakeJob) follow(now time.Time) []db.Decision {
	pushed := j.run.Trigger == db.TriggerWebhook
	always := !pushed || ingestConfig(j.plan).OnRepeat == "continue"
	var decisions []db.Decision
	for i := range j.out.Incidents {
		c := &j.out.Incidents[i]
		d := j.decision(c, now)
		looked := db.Considered{
			Definition: j.run.DefinitionName, Version: j.run.DefinitionVersion,
			Outcome: db.ConsideredNamed, Detail: "The caller named it.",
		}
		d.Outcome = db.DecisionStarted
		switch {
		case i == 0:
			looked.RunID = j.run.ID
		case c.changed() || always:
			child := *j.run
			child.ID, child.ParentRunID, child.IncidentID = newID(), j.run.ID, c.ID
			child.Status, child.Epoch, child.CreatedAt = db.RunPending, 1, now
			child.StartedAt, child.FinishedAt, child.IdempotencyKey, child.Change = time.Time{}, time.Time{}, "", ""
			if c.changed() {
				child.Change = fmt.Sprintf("%s@%d", c.ID, c.Revision)
			}
			looked.RunID = child.ID
			j.starts = append(j.starts, start{child, j.plan})
		}
		if !c.changed() && !always {
			d.Outcome, looked.Outcome = db.DecisionRepeat, db.ConsideredGated
			looked.Detail = "The caller named it, but nothing material has changed (on_repeat is skip)."
		}
		d.Considered = []db.Considered{looked}
		decisions = append(decisions, d)
	}
	return append(decisions, j.nothingToResolve(now)...)
}

func (j *intakeJob) decision(c *incidentChange, now time.Time) db.Decision {
	return db.Decision{
		ID: newID(), DeliveryID: j.delivery, IncidentID: c.ID, Change: c.Kind, Revision: c.Revision,
		AlertIDs: c.alertIDs, Considered: []db.Considered{}, CreatedAt: now,
	}
}

// nothingToResolve is the decision about alerts that ended without ever having been heard of.
func (j *intakeJob) nothingToResolve(now time.Time) []db.Decision {
	if len(j.out.unknown) == 0 {
		return nil
	}
	return []db.Decision{{
		ID: newID(), DeliveryID: j.delivery, Change: definition.ChangeResolved, Outcome: db.DecisionNothingToResolve,
		AlertIDs: j.out.unknown, Considered: []db.Considered{}, CreatedAt: now,
	}}
}
