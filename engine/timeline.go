package engine

import (
	"context"
	"slices"
	"time"

	"penstock/db"
)

// timelineLimit is how many alerts, decisions, runs and messages the timeline of an incident shows, the newest of each.
const timelineLimit = 100

// TimelineKind says what happened.
type TimelineKind string

const (
	TimelineAlertFired    TimelineKind = "alert_fired"
	TimelineAlertResolved TimelineKind = "alert_resolved"
	TimelineDecision      TimelineKind = "decision"
	TimelineRunStarted    TimelineKind = "run_started" // its work on the incident
	TimelineRunEnded      TimelineKind = "run_ended"
	TimelineNotification  TimelineKind = "notification" // when it was sent, else when it was written
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
type Timeline struct {
	Entries []TimelineEntry
	Answer  string // what its decisions came to, in a sentence
	Cut     bool   // of some kind there is more
}

// Timelines returns the timelines of incidents, with as many statements for many as for one.
func (e *Engine) Timelines(ctx context.Context, incidentIDs []string) (map[string]Timeline, error) {
	alerts, err := e.store.AlertListsByIncident(ctx, incidentIDs, timelineLimit)
	if err != nil {
		return nil, err
	}
	decisions, err := e.store.DecisionsByIncident(ctx, incidentIDs, timelineLimit)
	if err != nil {
		return nil, err
	}
	runs, err := e.store.RunsByIncident(ctx, incidentIDs, timelineLimit)
	if err != nil {
		return nil, err
	}
	messages, err := e.store.NotificationsByIncident(ctx, incidentIDs, timelineLimit)
	if err != nil {
		return nil, err
	}
	actions, err := e.store.IncidentActionsByIncident(ctx, incidentIDs)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Timeline, len(incidentIDs))
	for _, id := range incidentIDs {
		all[id] = Timeline{
			Entries: timeline(alerts[id].Items, decisions[id].Items, runs[id].Items, messages[id].Items, actions[id]),
			Answer:  summary(decisions[id].Items),
			Cut:     alerts[id].HasNext || decisions[id].HasNext || runs[id].HasNext || messages[id].HasNext,
		}
	}
	return all, nil
}

// timeline puts what happened in order. Of what happened at the same moment, the consequence comes first too.
func timeline(alerts []db.Alert, decisions []db.Decision, runs []db.Run, messages []db.NotificationMessage, actions []db.IncidentAction) (list []TimelineEntry) {
	for i := range actions {
		a := &actions[i]
		list = append(list, TimelineEntry{At: a.CreatedAt, Kind: TimelineAction, Action: a})
	}
	for i := range messages {
		m := &messages[i]
		at := m.CreatedAt
		if !m.SentAt.IsZero() {
			at = m.SentAt
		}
		list = append(list, TimelineEntry{At: at, Kind: TimelineNotification, Notification: m})
	}
	decided := map[string]time.Time{} // by run
	for _, d := range decisions {
		for _, c := range d.Considered {
			decided[c.RunID] = d.CreatedAt
		}
	}
	for i := range runs {
		r := &runs[i]
		if !r.FinishedAt.IsZero() {
			list = append(list, TimelineEntry{At: r.FinishedAt, Kind: TimelineRunEnded, Run: r})
		}
		at := r.CreatedAt
		if since := decided[r.ID]; since.After(at) { // a run of a webhook is there before the incident
			at = since
		}
		list = append(list, TimelineEntry{At: at, Kind: TimelineRunStarted, Run: r})
	}
	for i := range decisions {
		if d := &decisions[i]; d.Outcome != db.DecisionRepeat {
			list = append(list, TimelineEntry{At: d.CreatedAt, Kind: TimelineDecision, Decision: d})
		}
	}
	for i := range alerts {
		a := &alerts[i]
		if !a.EndsAt.IsZero() && a.Status == "resolved" {
			list = append(list, TimelineEntry{At: a.UpdatedAt, Kind: TimelineAlertResolved, Alert: a})
		}
		list = append(list, TimelineEntry{At: a.CreatedAt, Kind: TimelineAlertFired, Alert: a})
	}
	slices.SortStableFunc(list, func(a, b TimelineEntry) int { return b.At.Compare(a.At) })
	return list
}
