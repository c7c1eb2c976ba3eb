package server

import (
	"context"
	"fmt"
	"slices"

	"penstock/db"
	"penstock/engine"
	"penstock/views"
)

// storyLimit is how many decisions, runs and messages the timeline of an incident shows, the newest.
const storyLimit = 100

// fillStory reads what happened to an incident: what its alerts said, what was decided, which runs
// worked on it, who was told, and what people did.
func (s *Server) fillStory(ctx context.Context, inc *db.Incident, alerts []db.Alert, page *views.IncidentPage) error {
	why, err := engine.Explain(ctx, s.store, inc.ID)
	if err != nil {
		return err
	}
	page.Why = why.Answer
	actions, err := s.store.IncidentActionsByIncident(ctx, []string{inc.ID})
	if err != nil {
		return err
	}
	for _, a := range actions[inc.ID] {
		page.Story = append(page.Story, actionHappening(a))
	}
	messages, err := s.store.Notifications(ctx, db.NotificationFilter{IncidentID: inc.ID, Page: db.Page{First: storyLimit}})
	if err != nil {
		return err
	}
	told, err := s.notificationRows(ctx, messages.Items)
	if err != nil {
		return err
	}
	for i := range told {
		at := told[i].CreatedAt
		if !told[i].SentAt.IsZero() {
			at = told[i].SentAt
		}
		page.Story = append(page.Story, views.Happening{At: at, Icon: "send", Notification: &told[i]})
	}
	runs, err := s.store.Runs(ctx, db.RunFilter{IncidentID: inc.ID, Page: db.Page{First: storyLimit}})
	if err != nil {
		return err
	}
	for i, run := range runs.Items {
		row := runRowOf(&run)
		row.Incident = inc.Title
		if i < runsShown {
			page.Runs = append(page.Runs, row)
		}
		page.Story = append(page.Story, views.Happening{
			At: run.CreatedAt, Icon: "activity", Text: fmt.Sprintf("%s ran", run.DefinitionName), URL: views.RunURL(run.ID), Run: &row,
		})
	}
	repeats := 0
	for _, d := range why.Decisions {
		if d.Outcome == db.DecisionRepeat {
			repeats++
			continue
		}
		v := decisionOf(d)
		page.Story = append(page.Story, views.Happening{At: d.CreatedAt, Icon: "git-branch", Decision: &v})
	}
	for _, a := range alerts {
		page.Story = append(page.Story, alertHappenings(a)...)
	}
	// Of what happened at the same moment, the latter comes first too.
	slices.SortStableFunc(page.Story, func(a, b views.Happening) int { return b.At.Compare(a.At) })
	page.StoryCut = runs.HasNext || messages.HasNext || len(why.Decisions)-repeats >= storyLimit/2
	return nil
}

// runsShown is how many runs the incident's page lists, the newest.
const runsShown = 20

func alertHappenings(a db.Alert) []views.Happening {
	name := a.Name
	if a.Host != "" {
		name += " on " + a.Host
	}
	text := name + " fires"
	if a.Repeats > 0 {
		text += fmt.Sprintf("; repeated %d times without news", a.Repeats)
	}
	list := []views.Happening{{At: a.CreatedAt, Icon: "flame", Tone: views.ToneBad, Text: text, URL: views.AlertURL(a.ID)}}
	if a.Status == "resolved" && !a.EndsAt.IsZero() {
		list = append(list, views.Happening{At: a.UpdatedAt, Icon: "circle-check", Tone: views.ToneGood, Text: name + " ended", URL: views.AlertURL(a.ID)})
	}
	return list
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
