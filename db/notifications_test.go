package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func newNotification(run *db.Run, node string) db.NotificationMessage {
	return db.NotificationMessage{
		ID: uuid.Must(uuid.NewV7()).String(), RunID: run.ID, NodeID: node, DefinitionName: "demo", Channel: "ops", Driver: "slack",
		IdempotencyKey: "run/" + run.ID + "/" + node, Kind: db.NotificationTrigger, Title: "it's ? down", Severity: db.SeverityCritical,
		Status: db.NotificationPending, CreatedAt: at, UpdatedAt: at,
	}
}

func TestNotificationsFollowTheirRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		run := startedRun(t, s)
		m := newNotification(run, "page")
		attempt := db.NotificationAttempt{MessageID: m.ID, Number: 1, StartedAt: at, Outcome: db.AttemptUnknown}
		m.Attempts, m.MayHaveArrived, m.BusyUntil = 1, true, at.Add(time.Minute)
		write := func(m db.NotificationMessage, a db.NotificationAttempt) *db.Commit {
			return s.WriteRun(db.RunWrite{RunID: run.ID, Epoch: run.Epoch, Messages: []db.NotificationMessage{m}, Attempts: []db.NotificationAttempt{a}})
		}
		must(t, write(m, attempt).Wait(t.Context()))

		t.Run("a later write replaces the rows", func(t *testing.T) {
			m.Status, m.SentAt, m.BusyUntil, m.ProviderID = db.NotificationSent, at, time.Time{}, "C1:2"
			attempt.Outcome, attempt.FinishedAt, attempt.Request = db.AttemptSent, at, "POST slack.com"
			must(t, write(m, attempt).Wait(t.Context()))
			got := value(s.Notification(t.Context(), m.ID))(t)
			if fmt.Sprint(*got) != fmt.Sprint(m) {
				t.Errorf("message is %+v, want %+v", *got, m)
			}
			attempts := value(s.AttemptsByNotification(t.Context(), []string{m.ID}))(t)[m.ID]
			if len(attempts) != 1 || fmt.Sprint(attempts[0]) != fmt.Sprint(attempt) {
				t.Errorf("attempts are %+v, want %+v", attempts, attempt)
			}
		})
		t.Run("a write of an older epoch is refused", func(t *testing.T) {
			old := db.RunWrite{RunID: run.ID, Epoch: run.Epoch - 1, Messages: []db.NotificationMessage{newNotification(run, "late")}}
			if err := s.WriteRun(old).Wait(t.Context()); err == nil {
				t.Error("it was stored")
			}
			if n := value(s.CountNotifications(t.Context(), db.NotificationFilter{RunID: run.ID}))(t); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
		})
		t.Run("cancelling the run cancels what was not sent", func(t *testing.T) {
			waiting := newNotification(run, "wait")
			must(t, write(waiting, db.NotificationAttempt{MessageID: waiting.ID, Number: 1, StartedAt: at, Outcome: db.AttemptFailed}).Wait(t.Context()))
			value(s.CancelRun(t.Context(), run.ID, "enough", at))(t)
			byRun := value(s.NotificationsByRun(t.Context(), []string{run.ID}))(t)[run.ID]
			states := map[string]db.NotificationStatus{}
			for _, m := range byRun {
				states[m.NodeID] = m.Status
			}
			if states["page"] != db.NotificationSent || states["wait"] != db.NotificationCancelled {
				t.Errorf("states %v", states)
			}
		})
		if _, err := s.Notification(t.Context(), "nothing"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a message that does not exist: %v", err)
		}
	})
}

func TestNotificationLists(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		run := startedRun(t, s)
		inc := db.Incident{ID: "incident-1", GroupKey: "g", Status: db.IncidentResolved, Severity: db.SeverityInfo, Occurrence: 2, StartedAt: at, CreatedAt: at, UpdatedAt: at}
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{inc}})
		var all []db.NotificationMessage
		for i := range 6 {
			m := newNotification(run, fmt.Sprint("n", i))
			m.CreatedAt = at.Add(time.Duration(i) * time.Second)
			m.Channel = []string{"ops", "mail"}[i%2]
			if i > 1 {
				m.IncidentID, m.Occurrence = inc.ID, 1+i/4
			}
			if i == 5 {
				m.Status = db.NotificationDead
			}
			all = append(all, m)
		}
		must(t, s.WriteRun(db.RunWrite{RunID: run.ID, Epoch: run.Epoch, Messages: all}).Wait(t.Context()))
		nodes := func(f db.NotificationFilter) (got string) {
			for _, m := range value(s.Notifications(t.Context(), f))(t).Items {
				got += m.NodeID
			}
			return got
		}
		for want, f := range map[string]db.NotificationFilter{
			"n5n4n3n2n1n0": {}, "n5": {Status: []db.NotificationStatus{db.NotificationDead}}, "n4n2n0": {Channel: "ops"},
			"n5n4n3n2": {IncidentID: inc.ID}, "": {RunID: "other"}, "n5n4": {Page: db.Page{First: 2}},
		} {
			if got := nodes(f); got != want {
				t.Errorf("%+v lists %s, want %s", f, got, want)
			}
		}
		state, others, err := s.OtherNotifications(t.Context(), &all[5])
		must(t, err)
		if state.Status != db.IncidentResolved || state.Occurrence != 2 || len(others) != 0 {
			t.Errorf("state %+v, others %+v: want those of the same occurrence and channel", state, others)
		}
		if _, others, err = s.OtherNotifications(t.Context(), &all[0]); err != nil || len(others) != 2 {
			t.Errorf("without an incident: %+v, %v, want those of the run and channel", others, err)
		}
	})
}

func TestChannelStates(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		set := func(state db.ChannelHealth, since time.Time) *db.ChannelState {
			t.Helper()
			must(t, s.SetChannelState(t.Context(), db.ChannelState{Channel: "ops", State: state, Since: since, Error: "503", UpdatedAt: since}))
			return value(s.ChannelStates(t.Context()))(t)["ops"]
		}
		if c := set(db.ChannelFailing, at); c.State != db.ChannelFailing || c.Reported != db.ChannelOK || c.Since != at {
			t.Errorf("new: %+v", c)
		}
		if c := set(db.ChannelBroken, at.Add(time.Hour)); c.State != db.ChannelBroken || c.Since != at {
			t.Errorf("worse: %+v", c)
		}
		must(t, s.ChannelReported(t.Context(), &db.ChannelState{Channel: "ops", State: db.ChannelBroken}))
		set(db.ChannelOK, at.Add(2*time.Hour))
		if c := set(db.ChannelFailing, at.Add(3*time.Hour)); c.Since != at || c.Reported != db.ChannelBroken {
			t.Errorf("again before the end was reported: %+v, want the same trouble", c)
		}
		set(db.ChannelOK, at.Add(4*time.Hour))
		must(t, s.ChannelReported(t.Context(), &db.ChannelState{Channel: "ops", State: db.ChannelOK}))
		if c := set(db.ChannelFailing, at.Add(5*time.Hour)); c.Since != at.Add(5*time.Hour) {
			t.Errorf("after the end was reported: %+v, want a new trouble", c)
		}
		must(t, s.SetChannelState(t.Context(), db.ChannelState{Channel: "ops", Message: "p/page", State: db.ChannelFailing, Since: at, Error: "400", UpdatedAt: at}))
		must(t, s.ChannelReported(t.Context(), &db.ChannelState{Channel: "ops", Message: "p/page", State: db.ChannelFailing}))
		states := value(s.ChannelStates(t.Context()))(t)
		if channel, refused := states["ops"], states[db.ChannelKey("ops", "p/page")]; channel.Error != "503" || channel.Reported != db.ChannelOK || refused.Error != "400" || refused.Reported != db.ChannelFailing {
			t.Errorf("the channel: %+v, a message in it: %+v", channel, refused)
		}
	})
}
