package server

import (
	"context"
	"fmt"

	"penstock/db"
	"penstock/engine"
	"penstock/views"
)

// fillStory renders the timeline of an incident.
func (s *Server) fillStory(ctx context.Context, inc *db.Incident, page *views.IncidentPage) error {
	timelines, err := s.engine.Timelines(ctx, []string{inc.ID})
	if err != nil {
		return err
	}
	line := timelines[inc.ID]
	page.Why, page.StoryCut = line.Answer, line.Cut
	var decided []db.Decision
	var messages []db.NotificationMessage
	for _, e := range line.Entries {
		switch e.Kind {
		case engine.TimelineDecision:
			decided = append(decided, *e.Decision)
		case engine.TimelineNotification:
			messages = append(messages, *e.Notification)
		}
	}
	decisions, err := engine.ExplainDecisions(ctx, s.store, decided)
	if err != nil {
		return err
	}
	told, err := s.notificationRows(ctx, messages)
	if err != nil {
		return err
	}
	for _, e := range line.Entries {
		h := views.Happening{At: e.At}
		switch e.Kind {
		case engine.TimelineAction:
			h = actionHappening(*e.Action)
		case engine.TimelineNotification:
			h.Icon, h.Notification = "send", &told[0]
			told = told[1:]
		case engine.TimelineDecision:
			h.Icon, h.Decision = "git-branch", new(decisionOf(decisions[0]))
			decisions = decisions[1:]
		case engine.TimelineRunStarted:
			row := runRowOf(e.Run)
			if len(page.Runs) < runsShown {
				page.Runs = append(page.Runs, row)
			}
			h.Icon, h.Text, h.URL, h.Run = "activity", e.Run.DefinitionName+" ran", views.RunURL(e.Run.ID), &row
		case engine.TimelineRunEnded: // the entry of its start says how it ended
			continue
		case engine.TimelineAlertFired, engine.TimelineAlertResolved:
			h = alertHappening(e)
		}
		page.Story = append(page.Story, h)
	}
	return nil
}

// runsShown is how many runs the incident's page lists, the newest.
const runsShown = 20

func alertHappening(e engine.TimelineEntry) views.Happening {
	a := e.Alert
	name := a.Name
	if a.Host != "" {
		name += " on " + a.Host
	}
	if e.Kind == engine.TimelineAlertResolved {
		return views.Happening{At: e.At, Icon: "circle-check", Tone: views.ToneGood, Text: name + " ended", URL: views.AlertURL(a.ID)}
	}
	text := name + " fires"
	switch {
	case a.Repeats == 1:
		text += "; repeated once without news"
	case a.Repeats > 1:
		text += fmt.Sprintf("; repeated %d times without news", a.Repeats)
	}
	return views.Happening{At: e.At, Icon: "flame", Tone: views.ToneBad, Text: text, URL: views.AlertURL(a.ID)}
}

func actionHappening(a db.IncidentAction) views.Happening {
	h := views.Happening{At: a.CreatedAt, By: a.Actor, Icon: "user-check", Tone: views.ToneBusy}
	if h.By == "" {
		h.By = "Somebody"
	}
	switch a.Kind {
	case db.ActionAcknowledged:
		h.Text = "acknowledged it"
	case db.ActionResolved:
		h.Text, h.Icon, h.Tone = "resolved it", "check", views.ToneGood
	case db.ActionClosed:
		h.Text, h.Icon, h.Tone = "closed it", "archive", ""
	case db.ActionReopened:
		h.Text, h.Icon, h.Tone = "reopened it", "rotate-cw", views.ToneBad
	case db.ActionNote:
		h.Text, h.Icon, h.Note = "noted", "message-square", a.Text
	}
	return h
}
