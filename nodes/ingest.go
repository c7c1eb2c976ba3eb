package nodes

import (
	"context"

	"penstock/db"
	"penstock/drivers"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

type ingestConfig struct {
	Driver   string `json:"driver,omitempty" jsonschema:"title=Source,description=The system that the alerts come from. Without it: what the caller names\\, else strict detection."`
	OnRepeat string `json:"on_repeat,omitempty" jsonschema:"title=On a repeat,enum=skip,enum=continue,default=skip,description=What to do when a webhook changes nothing material: skip the rest of the run\\, or continue. A run started by hand or API always continues."`
}

const ingestAbout = "Takes alerts in: reads the delivery with a source driver and creates or updates alerts and incidents. " +
	"Output: alerts_created, alerts_updated, alerts_resolved, incidents_created, incidents_updated, source, incident_id, incident_ids, " +
	"alert_fingerprint, severity, changed (false: nothing material changed) and notes. The incident is that of this delivery."

func ingestType(d Deps) engine.NodeType {
	return define(definition.Type{
		Name: "ingest", Title: "Ingest", Description: ingestAbout,
		Schema: patched(drivers.SchemaOf[ingestConfig](), oneOf("driver", d.Sources.Names()...)),
	}, nil, func(cfg ingestConfig) (engine.Node, error) { return ingest{cfg}, nil })
}

type ingest struct{ ingestConfig }

func (n ingest) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	if _, ok := in.Payload.(map[string]any); !ok && in.Run.DeliveryID == "" { // a delivery was read when it came in
		return engine.Output{}, fault.New(fault.Invalid, "payload must be a JSON object")
	}
	r, err := in.Services.Intake(ctx, in.Run, in.Payload, n.Driver)
	if err != nil {
		return engine.Output{}, err
	}
	out := engine.Output{
		Data: map[string]any{
			"alerts_created": r.AlertsCreated, "alerts_updated": r.AlertsUpdated, "alerts_resolved": r.AlertsResolved,
			"incidents_created": r.IncidentsCreated, "incidents_updated": r.IncidentsUpdated,
			"source": r.Source, "incident_id": orNull(r.IncidentID), "incident_ids": append([]string{}, r.IncidentIDs...),
			"alert_fingerprint": orNull(r.AlertFingerprint), "severity": orNull(string(r.Severity)),
			"changed": r.Changed, "notes": append([]string{}, r.Notes...),
		},
		Errors: r.Notes, IncidentID: r.IncidentID, Change: r.Change,
	}
	// A run that an alert trigger started has been decided on by the routing.
	if in.Run.Trigger == db.TriggerWebhook && !r.Changed && n.OnRepeat != "continue" {
		out.SkipRest = "repeat"
	}
	return out, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
