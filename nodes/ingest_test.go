package nodes_test

import (
	"reflect"
	"strings"
	"testing"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
	"penstock/nodes/nodetest"
)

func intake() engine.IntakeResult {
	return engine.IntakeResult{
		Source: "alertmanager", AlertsCreated: 2, AlertsUpdated: 1, AlertsResolved: 1, IncidentsCreated: 1, IncidentsUpdated: 1,
		IncidentID: "incident-1", IncidentIDs: []string{"incident-1", "incident-2"}, AlertFingerprint: "f1",
		Severity: db.SeverityCritical, Change: "incident-1@3", Changed: true, Notes: []string{"/alerts/2: is not an object."},
	}
}

func TestIngest(t *testing.T) {
	t.Parallel()
	t.Run("says what was taken in", func(t *testing.T) {
		t.Parallel()
		w := &nodetest.World{IntakeResult: intake()}
		out, err := nodetest.Run(t, nodeType(t, "ingest"), `{"driver": "alertmanager"}`, nodetest.Input(w))
		if err != nil {
			t.Fatal(err)
		}
		want := nodetest.Object(t, `{"alerts_created": 2, "alerts_updated": 1, "alerts_resolved": 1, "incidents_created": 1, "incidents_updated": 1,
			"source": "alertmanager", "incident_id": "incident-1", "incident_ids": ["incident-1", "incident-2"], "alert_fingerprint": "f1",
			"severity": "critical", "changed": true, "notes": ["/alerts/2: is not an object."]}`)
		if !reflect.DeepEqual(out.Data, want) {
			t.Errorf("output %v", out.Data)
		}
		if out.IncidentID != "incident-1" || out.Change != "incident-1@3" || len(out.Errors) != 1 || out.SkipRest != "" {
			t.Errorf("output %+v", out)
		}
		if w.Taken()[0].Driver != "alertmanager" {
			t.Errorf("taken %+v", w.Taken())
		}
	})
	t.Run("what is not known is null", func(t *testing.T) {
		t.Parallel()
		out, err := nodetest.Run(t, nodeType(t, "ingest"), `{}`, nodetest.Input(&nodetest.World{IntakeResult: engine.IntakeResult{Source: "generic"}}))
		if err != nil || out.Data["incident_id"] != nil || out.Data["severity"] != nil || len(out.Data["incident_ids"].([]any)) != 0 {
			t.Errorf("output %v, %v", out.Data, err)
		}
	})
	t.Run("refuses a payload that is no object", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []any{nil, "text", []any{1}, int64(3)} {
			w := &nodetest.World{IntakeResult: intake()}
			in := nodetest.Input(w)
			in.Payload = payload
			_, err := nodetest.Run(t, nodeType(t, "ingest"), `{}`, in)
			if err == nil || fault.Of(err).Message != "payload must be a JSON object" || len(w.Taken()) > 0 {
				t.Errorf("%v: error %v, taken %v", payload, err, w.Taken())
			}
		}
	})
	t.Run("a list that came in as a delivery was read already", func(t *testing.T) {
		t.Parallel()
		in := nodetest.Input(&nodetest.World{IntakeResult: intake()})
		in.Payload, in.Run.DeliveryID = []any{map[string]any{}}, "delivery-1"
		if _, err := nodetest.Run(t, nodeType(t, "ingest"), `{}`, in); err != nil {
			t.Error(err)
		}
	})
	t.Run("an error of the intake is the node's", func(t *testing.T) {
		t.Parallel()
		in := nodetest.Input(&nodetest.World{IntakeError: fault.New(fault.Unprocessable, "No source recognises the body.")})
		if _, err := nodetest.Run(t, nodeType(t, "ingest"), `{}`, in); err == nil || !strings.Contains(err.Error(), "No source") {
			t.Errorf("error %v", err)
		}
	})
}

func TestIngestGate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		trigger db.Trigger
		changed bool
		config  string
		want    string
	}{
		{"webhook, nothing new", db.TriggerWebhook, false, `{}`, "repeat"},
		{"the routing has decided", db.TriggerAlert, false, `{"on_repeat": "skip"}`, ""},
		{"webhook, changed", db.TriggerWebhook, true, `{}`, ""},
		{"webhook, nothing new, continue", db.TriggerWebhook, false, `{"on_repeat": "continue"}`, ""},
		{"api never gates", db.TriggerAPI, false, `{}`, ""},
		{"by hand never gates", db.TriggerManual, false, `{}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result := intake()
			result.Changed = c.changed
			in := nodetest.Input(&nodetest.World{IntakeResult: result})
			in.Run.Trigger, in.Run.DeliveryID = c.trigger, "delivery-1"
			out, err := nodetest.Run(t, nodeType(t, "ingest"), c.config, in)
			if err != nil || out.SkipRest != c.want || out.Data["changed"] != c.changed {
				t.Errorf("skips the rest for %q, changed %v, error %v", out.SkipRest, out.Data["changed"], err)
			}
		})
	}
}
