package engine

import (
	"context"
	"slices"
	"time"

	"penstock/db"
)

// timelineLimit is how many alerts, decisions and runs the timeline of an incident shows, the newest of each.
const timelineLimit = 100

// TimelineKind says what happened.
type TimelineKind string

const (
	TimelineAlertFired    TimelineKind = "alert_fired"
	TimelineAlertResolved TimelineKind = "alert_resolved"
	TimelineDecision      TimelineKind = "decision"
	TimelineRunStarted    TimelineKind = "run_started"
	TimelineRunEnded      TimelineKind = "run_ended"
	TimelineNotification  TimelineKind = "notification"
	TimelineAction        TimelineKind = "action"
)

// TimelineEntry is something that happened to an incident. The record that its kind names is set.
type TimelineEntry struct {
	At       time.Time
	Kind     TimelineKind
	Alert    *db.Alert
	Decision *db.Decision
	Run      *db.Run
	Action   *db.IncidentAction

	Notification *db.NotificationMessage
}

// Timeline is what happened to an incident, the newest first: what its alerts said, what was decided, which runs
// worked on it, who was told and what people did. Decisions about repeats are left out.
func (e *Engine) Timeline(ctx context.Context, incidentID string) ([]TimelineEntry, error) {
	newest := db.Page{First: timelineLimit}
	alerts, err := e.store.Alerts(ctx, db.AlertFilter{IncidentID: incidentID, Page: newest})
	if err != nil {
		return nil, err
	}
	decisions, err := e.store.Decisions(ctx, db.DecisionFilter{IncidentID: incidentID, Page: newest})
	if err != nil {
		return nil, err
	}
	runs, err := e.store.Runs(ctx, db.RunFilter{IncidentID: incidentID, Page: newest})
	if err != nil {
		return nil, err
	}
	messages, err := e.store.Notifications(ctx, db.NotificationFilter{IncidentID: incidentID, Page: newest})
	if err != nil {
		return nil, err
	}
	actions, err := e.store.IncidentActionsByIncident(ctx, []string{incidentID})
	if err != nil {
		return nil, err
	}
	var list []TimelineEntry
	for i := range alerts.Items {
		a := &alerts.Items[i]
		list = append(list, TimelineEntry{At: a.CreatedAt, Kind: TimelineAlertFired, Alert: a})
		if !a.EndsAt.IsZero() && a.Status == "resolved" {
			list = append(list, TimelineEntry{At: a.UpdatedAt, Kind: TimelineAlertResolved, Alert: a})
		}
	}
	for i := range decisions.Items {
		if d := &decisions.Items[i]; d.Outcome != db.DecisionRepeat {
			list = append(list, TimelineEntry{At: d.CreatedAt, Kind: TimelineDecision, Decision: d})
		}
	}
	for i := range runs.Items {
		r := &runs.Items[i]
		list = append(list, TimelineEntry{At: r.CreatedAt, Kind: TimelineRunStarted, Run: r})
		if !r.FinishedAt.IsZero() {
			list = append(list, TimelineEntry{At: r.FinishedAt, Kind: TimelineRunEnded, Run: r})
		}
	}
	for i := range messages.Items {
		m := &messages.Items[i]
		list = append(list, TimelineEntry{At: m.CreatedAt, Kind: TimelineNotification, Notification: m})
	}
	for i := range actions[incidentID] {
		a := &actions[incidentID][i]
		list = append(list, TimelineEntry{At: a.CreatedAt, Kind: TimelineAction, Action: a})
	}
	slices.SortStableFunc(list, func(a, b TimelineEntry) int { return b.At.Compare(a.At) })
	return list, nil
}
