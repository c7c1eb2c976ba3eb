package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/fault"
)

func (s *Server) notificationRoutes() []route {
	return []route{
		{"GET /orchestration/notifications/", s.notificationList},
		{"GET /orchestration/notifications/{id}/", s.notificationGet},
	}
}

// listedNotification is a message of the ledger.
type listedNotification struct {
	ID             string                `json:"id"`
	RunID          string                `json:"run_id"`
	NodeID         string                `json:"node_id"`
	Definition     string                `json:"definition"`
	IncidentID     *string               `json:"incident_id"`
	Channel        string                `json:"channel"`
	Driver         string                `json:"driver"`
	Destination    string                `json:"destination"`
	Kind           db.NotificationKind   `json:"kind"`
	Title          string                `json:"title"`
	Severity       db.Severity           `json:"severity"`
	Status         db.NotificationStatus `json:"status"`
	Reason         string                `json:"reason"`
	MessageID      string                `json:"message_id"`
	IdempotencyKey string                `json:"idempotency_key"`
	Attempts       int                   `json:"attempts"`
	CreatedAt      time.Time             `json:"created_at"`
	UpdatedAt      time.Time             `json:"updated_at"`
	SentAt         *time.Time            `json:"sent_at"`
	EndedAt        *time.Time            `json:"ended_at"`
}

func notificationOf(m *db.NotificationMessage) listedNotification {
	return listedNotification{
		ID: m.ID, RunID: m.RunID, NodeID: m.NodeID, Definition: m.DefinitionName, IncidentID: orNull(m.IncidentID),
		Channel: m.Channel, Driver: m.Driver, Destination: m.Destination, Kind: m.Kind, Title: m.Title, Severity: m.Severity,
		Status: m.Status, Reason: m.Reason, MessageID: m.ProviderID, IdempotencyKey: m.IdempotencyKey, Attempts: m.Attempts,
		CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC(), SentAt: orNull(m.SentAt.UTC()), EndedAt: orNull(m.EndedAt.UTC()),
	}
}

// listedAttempt is one try to send a message.
type listedAttempt struct {
	Number         int               `json:"number"`
	Outcome        db.AttemptOutcome `json:"outcome"`
	StartedAt      time.Time         `json:"started_at"`
	FinishedAt     *time.Time        `json:"finished_at"`
	LatencyMS      *int64            `json:"latency_ms"`
	Request        string            `json:"request"`
	ResponseStatus int               `json:"response_status"`
	Response       string            `json:"response"`
	Error          string            `json:"error"`
}

func attemptOf(a db.NotificationAttempt) listedAttempt {
	out := listedAttempt{
		Number: a.Number, Outcome: a.Outcome, StartedAt: a.StartedAt.UTC(), FinishedAt: orNull(a.FinishedAt.UTC()),
		Request: a.Request, ResponseStatus: a.ResponseStatus, Response: a.Response, Error: a.Error,
	}
	if out.FinishedAt != nil {
		out.LatencyMS = new(a.FinishedAt.Sub(a.StartedAt).Milliseconds())
	}
	return out
}

var notificationStatuses = []db.NotificationStatus{
	db.NotificationPending, db.NotificationSent, db.NotificationFailed, db.NotificationDead, db.NotificationSkipped, db.NotificationCancelled,
}

// notificationList answers with a page of messages, newest first.
func (s *Server) notificationList(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page, err := readPage(q)
	if err != nil {
		return err
	}
	filter := db.NotificationFilter{Channel: q.Get("channel"), RunID: q.Get("run_id"), IncidentID: q.Get("incident_id"), Page: page}
	for _, text := range q["status"] {
		for word := range strings.SplitSeq(text, ",") {
			if word == "" {
				continue
			}
			if !slices.Contains(notificationStatuses, db.NotificationStatus(word)) {
				return fault.New(fault.Invalid, "status=%q is none of pending, sent, failed, dead, skipped, cancelled.", word)
			}
			filter.Status = append(filter.Status, db.NotificationStatus(word))
		}
	}
	list, err := s.store.Notifications(r.Context(), filter)
	if err != nil {
		return err
	}
	answer := struct {
		Notifications []listedNotification `json:"notifications"`
		Count         int                  `json:"count"`
		Next          *string              `json:"next"`
	}{[]listedNotification{}, len(list.Items), nextOf(list)}
	for i := range list.Items {
		answer.Notifications = append(answer.Notifications, notificationOf(&list.Items[i]))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// notificationGet answers with a message and every attempt to send it.
func (s *Server) notificationGet(w http.ResponseWriter, r *http.Request) error {
	m, err := s.store.Notification(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	byMessage, err := s.store.AttemptsByNotification(r.Context(), []string{m.ID})
	if err != nil {
		return err
	}
	answer := struct {
		listedNotification
		AttemptList []listedAttempt `json:"attempt_list"`
	}{notificationOf(m), []listedAttempt{}}
	for _, a := range byMessage[m.ID] {
		answer.AttemptList = append(answer.AttemptList, attemptOf(a))
	}
	return writeJSON(w, http.StatusOK, answer)
}
