package server

import (
	"context"
	"net/http"
	"time"

	"penstock/engine"
	"penstock/views"
)

// messagesOf are the notifications of a run with their attempts.
func (s *Server) messagesOf(ctx context.Context, runID string) ([]views.Notification, error) {
	byRun, err := s.store.NotificationsByRun(ctx, []string{runID})
	if err != nil {
		return nil, err
	}
	return s.notificationRows(ctx, byRun[runID])
}

// runJSON is everything about a run, for keeping and for comparing.
func (s *Server) runJSON(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	result, err := s.engine.Result(ctx, r.PathValue("run_id"))
	if err != nil {
		return err
	}
	type event struct {
		Sequence int64     `json:"sequence"`
		At       time.Time `json:"at"`
		Kind     string    `json:"kind"`
		NodeID   string    `json:"node_id,omitempty"`
		Attempt  int       `json:"attempt,omitempty"`
		Status   string    `json:"status,omitempty"`
		Text     string    `json:"text,omitempty"`
	}
	answer := struct {
		engine.RunResult
		Events []event `json:"events"`
	}{result, []event{}}
	for after := int64(0); ; {
		events, err := s.store.Events(ctx, result.RunID, after, eventsPerRead)
		if err != nil {
			return err
		}
		for _, ev := range events {
			after = ev.Sequence
			answer.Events = append(answer.Events, event{ev.Sequence, ev.At.UTC(), ev.Kind, ev.NodeID, ev.Attempt, ev.Status, ev.Text})
		}
		if len(events) < eventsPerRead {
			break
		}
	}
	w.Header().Set("Content-Disposition", `attachment; filename="run-`+result.RunID+`.json"`)
	return writeJSON(w, http.StatusOK, answer)
}
