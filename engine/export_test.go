package engine

import (
	"context"
	"encoding/json"

	"penstock/db"
)

// StartDue does at once what the engine does every second: it starts what is scheduled.
func (e *Engine) StartDue(ctx context.Context) error { return e.startDue(ctx) }

// Take accepts bodies of a source as deliveries to be routed, and returns what takes them in in one transaction.
func (e *Engine) Take(ctx context.Context, source string, bodies ...[]byte) (in func() error, err error) {
	var batch []*intakeJob
	for _, body := range bodies {
		d := db.Delivery{ID: newID(), TraceID: newID(), Source: source, Body: body, Status: "accepted", ReceivedAt: now()}
		var payload any
		if err := json.Unmarshal(body, &payload); err != nil {
			return nil, err
		}
		p, err := e.parseAlerts(source, payload, nil, body)
		if err == nil {
			p.heard = d.ReceivedAt
			d.Parsed, err = json.Marshal(p.batch)
		}
		if err == nil {
			err = e.store.Accept(ctx, db.Acceptance{Delivery: &d})
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, &intakeJob{delivery: d.ID, trace: d.TraceID, parsed: p})
	}
	return func() error { return e.takeBatchIn(ctx, batch) }, nil
}
