package engine

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/fault"
)

// Sources of alerts that Penstock raises itself.
const (
	SourceCheck = "check"    // a check node
	SourceSelf  = "penstock" // about Penstock: a channel that fails, a source that fell silent
)

// reported is the name space of the deliveries that report makes.
var reported = uuid.MustParse("6f1f4c1e-6d0b-4b8e-9d55-0f2f0b6f4d3a")

// report stores alerts of Penstock's own as a delivery, so that they are routed like all others and nothing
// else has to know them. The same key is the same delivery, however often and from whichever process it comes.
func (e *Engine) report(ctx context.Context, source, key string, batch alerts.Batch) error {
	body, err := json.Marshal(map[string]any{"alerts": batch.Alerts})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	delivery := db.Delivery{
		ID: uuid.NewSHA1(reported, []byte(source+"\x00"+key)).String(), TraceID: newID(), Source: source, ContentType: "application/json",
		Body: body, Parsed: raw, Status: "accepted", ReceivedAt: now(),
	}
	err = e.store.Accept(ctx, db.Acceptance{Delivery: &delivery})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := e.parsedOf(&delivery)
	if err != nil {
		return err
	}
	e.routeSoon(&delivery, p, nil, "", func() {})
	return nil
}

// AlertsOf is how a delivery was understood, as plain data.
func AlertsOf(d *db.Delivery) ([]map[string]any, error) {
	if len(d.Parsed) == 0 {
		return nil, nil
	}
	var batch alerts.Batch
	if err := json.Unmarshal(d.Parsed, &batch); err != nil {
		return nil, err
	}
	list := make([]map[string]any, len(batch.Alerts))
	for i := range batch.Alerts {
		list[i] = batchAlertData(d.Source, &batch.Alerts[i])
	}
	return list, nil
}

// ReplayInput sends a stored delivery through again.
type ReplayInput struct {
	DeliveryID string
	Definition string // run this one instead of what the delivery named; "" keeps it
	Source     string // read it with this driver; "" keeps what was found
	Actor      string
}

// Replay takes the body of a stored delivery in as a new delivery that points to the old one. What has
// not changed since is worked all the same: a person asked for it. A definition without an ingest node is run
// for each incident of its alerts, as if they had been routed to it. It is old news, though: an alert that later
// deliveries have spoken of stays as they left it.
func (e *Engine) Replay(ctx context.Context, in ReplayInput) (Accepted, error) {
	d, err := e.store.Delivery(ctx, in.DeliveryID)
	if err != nil {
		return Accepted{}, err
	}
	if len(d.Body) == 0 {
		return Accepted{}, fault.New(fault.Conflict, "The body of delivery %s is no longer kept, so it cannot be sent through again.", d.ID)
	}
	header := http.Header{}
	for name, value := range d.Headers {
		header.Set(name, value)
	}
	var batch alerts.Batch
	if len(d.Parsed) > 0 {
		if err := json.Unmarshal(d.Parsed, &batch); err != nil {
			return Accepted{}, err
		}
	}
	return e.Receive(ctx, Inbound{
		Definition: or(in.Definition, d.Definition), Source: or(in.Source, d.Source),
		ContentType: d.ContentType, Header: header, Body: d.Body, Actor: in.Actor, replayOf: d.ID, ofAlerts: len(batch.Alerts) > 0, heard: heard(d),
	})
}
