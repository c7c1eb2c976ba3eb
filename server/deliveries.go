package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

// deliveryDetail is a delivery in the REST API.
type deliveryDetail struct {
	ID         string            `json:"id"`
	TraceID    string            `json:"trace_id"`
	Source     string            `json:"source"`
	Definition *string           `json:"definition"` // as named by the caller, null if its alerts were routed
	Status     string            `json:"status"`     // accepted, no_alerts, rejected
	Error      *string           `json:"error"`
	ReplayOf   *string           `json:"replay_of"`
	ReceivedAt time.Time         `json:"received_at"`
	IntakeAt   *time.Time        `json:"intake_at"`
	Headers    map[string]string `json:"headers"`

	// Only in the detail.
	Body      any              `json:"body,omitempty"`   // the JSON that came, or its text
	Alerts    []map[string]any `json:"alerts,omitempty"` // how it was understood, as expressions see them
	Decisions []db.Decision    `json:"decisions,omitempty"`
}

func newDeliveryDetail(d *db.Delivery) deliveryDetail {
	return deliveryDetail{
		ID: d.ID, TraceID: d.TraceID, Source: d.Source, Status: d.Status, ReceivedAt: d.ReceivedAt, Headers: d.Headers,
		Definition: orNull(d.Definition), Error: orNull(d.Error), ReplayOf: orNull(d.ReplayOf),
		IntakeAt: orNull(d.IntakeAt),
	}
}

// deliveryList answers with a page of deliveries, newest first.
func (s *Server) deliveryList(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page, err := readPage(q, "source", "definition", "status")
	if err != nil {
		return err
	}
	if status := q.Get("status"); status != "" && !slices.Contains([]string{"accepted", "no_alerts", "rejected"}, status) {
		return fault.New(fault.Invalid, "status=%q is none of accepted, no_alerts, rejected.", status)
	}
	list, err := s.store.Deliveries(r.Context(), db.DeliveryFilter{
		Source: q.Get("source"), Definition: q.Get("definition"), Status: q.Get("status"), TraceID: q.Get("trace_id"), Page: page,
	})
	if err != nil {
		return err
	}
	answer := struct {
		Deliveries []deliveryDetail `json:"deliveries"`
		Count      int              `json:"count"`
		Next       *string          `json:"next"`
	}{[]deliveryDetail{}, len(list.Items), nextOf(list)}
	for i := range list.Items {
		answer.Deliveries = append(answer.Deliveries, newDeliveryDetail(&list.Items[i]))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// deliveryGet shows what came, how it was understood and what was decided about it.
func (s *Server) deliveryGet(w http.ResponseWriter, r *http.Request) error {
	d, err := s.store.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := newDeliveryDetail(d)
	switch {
	case json.Valid(d.Body):
		out.Body = json.RawMessage(d.Body)
	case utf8.Valid(d.Body):
		out.Body = string(d.Body)
	default:
		out.Body = d.Body
	}
	if out.Alerts, err = engine.AlertsOf(d); err != nil {
		return err
	}
	byDelivery, err := s.store.DecisionsByDelivery(r.Context(), []string{d.ID})
	if err != nil {
		return err
	}
	out.Decisions = byDelivery[d.ID]
	return writeJSON(w, http.StatusOK, out)
}

// deliveryReplay sends a stored delivery through again, as a new delivery.
func (s *Server) deliveryReplay(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Definition string `json:"definition"`
		Source     string `json:"source"`
	}
	if hasBody(r) {
		if err := readJSON(w, r, &body); err != nil {
			return err
		}
	}
	accepted, err := s.engine.Replay(r.Context(), engine.ReplayInput{
		DeliveryID: r.PathValue("id"), Definition: body.Definition, Source: body.Source, Actor: actor(r),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, accepted)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) error {
	why, err := engine.Explain(r.Context(), s.store, r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, why)
}
