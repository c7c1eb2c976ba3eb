package engine

import (
	"context"
	"strings"

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

// triedBodies is how many bytes of bodies a tried rule may look at; payload is empty for alerts beyond it.
const triedBodies = 8 << 20

// TryMatch asks a rule, as triggers.alert.match holds it, about the n newest alerts, as if each had
// just brought a change. payload is the body of the alert's newest delivery, empty if it is no longer kept.
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
	payloads := map[string]any{}
	if strings.Contains(match, "payload") {
		if payloads, err = e.payloadsOf(ctx, alerts.Items); err != nil {
			return nil, err
		}
	}
	tried := make([]TriedAlert, len(alerts.Items))
	for i := range alerts.Items {
		a := &alerts.Items[i]
		data := alertData(a)
		vars := expr.Vars{Payload: map[string]any{}, Alert: data, Alerts: []map[string]any{data}, Now: now()}
		if payload, kept := payloads[a.DeliveryID]; kept {
			vars.Payload = payload
		}
		if inc := incidents[a.IncidentID]; inc != nil {
			vars.Incident = incidentData(inc, e.o.PublicURL)
		}
		tried[i] = TriedAlert{*a, rule.consider(ctx, definition.ChangeCreated, false, vars)}
	}
	return tried, nil
}

// payloadsOf reads what the deliveries of alerts held, by delivery.
func (e *Engine) payloadsOf(ctx context.Context, alerts []db.Alert) (map[string]any, error) {
	payloads, left := map[string]any{}, triedBodies
	for _, a := range alerts {
		if _, known := payloads[a.DeliveryID]; known || a.DeliveryID == "" || left <= 0 {
			continue
		}
		d, err := e.store.Delivery(ctx, a.DeliveryID)
		if fault.Is(err, fault.NotFound) || err == nil && len(d.Body) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		left -= len(d.Body)
		p, err := e.parsedOf(d)
		if err != nil {
			return nil, err
		}
		payloads[a.DeliveryID] = p.payload
	}
	return payloads, nil
}
