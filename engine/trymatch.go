package engine

import (
	"context"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// TriedAlert is a stored alert and what a rule says of it.
type TriedAlert struct {
	Alert      db.Alert
	Considered db.Considered
}

// TryMatch asks a rule, as triggers.alert.match holds it, about the n newest alerts, as if each had
// just brought a change. The body of their deliveries is not looked at: payload is not there.
func (e *Engine) TryMatch(ctx context.Context, match string, n int) ([]TriedAlert, error) {
	program, err := expr.Compile(match, expr.Options{Kind: expr.Bool})
	if err != nil {
		return nil, fault.New(fault.Unprocessable, "The rule does not compile: %v.", err)
	}
	rule := &route{Route: &definition.Route{Match: program, On: []string{definition.ChangeCreated}}, def: &db.PipelineDefinition{}}
	alerts, err := e.store.Alerts(ctx, db.AlertFilter{Page: db.Page{First: n}})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(alerts.Items))
	for i, a := range alerts.Items {
		ids[i] = a.IncidentID
	}
	incidents, err := e.store.IncidentsByID(ctx, unique(ids))
	if err != nil {
		return nil, err
	}
	tried := make([]TriedAlert, len(alerts.Items))
	for i := range alerts.Items {
		a := &alerts.Items[i]
		data := alertData(a)
		vars := expr.Vars{Payload: map[string]any{}, Alert: data, Alerts: []map[string]any{data}, Now: now()}
		if inc := incidents[a.IncidentID]; inc != nil {
			vars.Incident = incidentData(inc, e.o.PublicURL)
		}
		tried[i] = TriedAlert{*a, rule.consider(ctx, definition.ChangeCreated, false, vars)}
	}
	return tried, nil
}
