package engine

import (
	"testing"
	"time"

	"penstock/db"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	message := func(kind db.NotificationKind, revision int) db.NotificationMessage {
		return db.NotificationMessage{ID: "m", RunID: "r", NodeID: "page", IncidentID: "i", Occurrence: 1, Revision: revision, DefinitionName: "a", Kind: kind, Status: db.NotificationPending}
	}
	sent := message(db.NotificationTrigger, 1)
	sent.RunID, sent.Status, sent.MayHaveArrived, sent.ProviderID = "before", db.NotificationSent, true, "1"
	of := func(m db.NotificationMessage, change func(*db.NotificationMessage)) db.NotificationMessage {
		change(&m)
		return m
	}
	stranger := of(sent, func(m *db.NotificationMessage) { m.DefinitionName, m.ProviderID = "b", "2" })
	underWay := of(message(db.NotificationTrigger, 1), func(m *db.NotificationMessage) { m.BusyUntil, m.MayHaveArrived = now.Add(time.Second), true })
	crashed := of(underWay, func(m *db.NotificationMessage) { m.BusyUntil = now.Add(-time.Second) })
	other := of(sent, func(m *db.NotificationMessage) { m.NodeID, m.ProviderID = "explain", "3" })
	edited := of(other, func(m *db.NotificationMessage) { m.Kind, m.ProviderID = "update", "1" })
	resolved := of(sent, func(m *db.NotificationMessage) { m.RunID, m.NodeID, m.Kind = "r", "explain", "resolve" })
	waiting := message(db.NotificationTrigger, 1)
	open := db.IncidentState{Status: db.IncidentOpen, Occurrence: 1}
	over := db.IncidentState{Status: db.IncidentResolved, Occurrence: 1}
	for name, c := range map[string]struct {
		m        db.NotificationMessage
		incident db.IncidentState
		others   []db.NotificationMessage
		want     string // skip, wait, send, or send and the provider's id of the message it follows
	}{
		"the first message":                      {message("trigger", 1), open, nil, "send"},
		"its change follows it":                  {message("trigger", 2), open, []db.NotificationMessage{sent}, "send 1"},
		"but not what another pipeline sent":     {message("trigger", 2), open, []db.NotificationMessage{stranger}, "send"},
		"over":                                   {message("trigger", 1), over, nil, "skip"},
		"reopened":                               {message("trigger", 1), db.IncidentState{Status: db.IncidentOpen, Occurrence: 2}, nil, "skip"},
		"closed":                                 {message("trigger", 1), db.IncidentState{Status: db.IncidentClosed, Occurrence: 1}, nil, "skip"},
		"overtaken by one that was sent":         {message("trigger", 1), open, []db.NotificationMessage{of(sent, func(m *db.NotificationMessage) { m.Revision = 2 })}, "skip"},
		"overtaken by one that waits":            {message("trigger", 1), open, []db.NotificationMessage{message("trigger", 2)}, "skip"},
		"not overtaken by one that was given up": {message("trigger", 1), open, []db.NotificationMessage{of(message("trigger", 2), func(m *db.NotificationMessage) { m.Status = db.NotificationDead })}, "send"},
		"an older one is under way":              {message("trigger", 2), open, []db.NotificationMessage{underWay}, "wait"},
		"an older one was under way when its process died": {message("trigger", 2), open, []db.NotificationMessage{crashed}, "send"},
		"resolve": {message("resolve", 2), over, []db.NotificationMessage{sent}, "send 1"},
		"resolve follows its own pipeline's message":     {message("resolve", 2), over, []db.NotificationMessage{sent, stranger}, "send 1"},
		"resolve of what another pipeline sent":          {message("resolve", 2), over, []db.NotificationMessage{stranger}, "send 2"},
		"lone resolve":                                   {message("resolve", 2), over, nil, "skip"},
		"resolve of what was never delivered":            {message("resolve", 2), over, []db.NotificationMessage{waiting}, "skip"},
		"resolve of what may have arrived":               {message("resolve", 2), over, []db.NotificationMessage{crashed}, "send"},
		"resolve while the first is under way":           {message("resolve", 2), over, []db.NotificationMessage{underWay}, "wait"},
		"resolve after another pipeline's resolve":       {message("resolve", 2), over, []db.NotificationMessage{sent, of(stranger, func(m *db.NotificationMessage) { m.Kind = "resolve" })}, "send 1"},
		"a change follows its own node's message":        {message("trigger", 2), open, []db.NotificationMessage{sent, other}, "send 1"},
		"a change follows the message of a node before":  {message("trigger", 2), open, []db.NotificationMessage{sent, of(other, func(m *db.NotificationMessage) { m.RunID, m.Revision = "r", 2 })}, "send 3"},
		"the second resolve of what one message told":    {of(message("resolve", 2), func(m *db.NotificationMessage) { m.NodeID = "third" }), over, []db.NotificationMessage{sent, resolved}, "skip"},
		"the second resolve of what was edited":          {of(message("resolve", 2), func(m *db.NotificationMessage) { m.NodeID = "explain" }), over, []db.NotificationMessage{sent, edited, of(resolved, func(m *db.NotificationMessage) { m.NodeID = "page" })}, "skip"},
		"the second resolve, of what the first edited":   {message("resolve", 2), over, []db.NotificationMessage{sent, edited, resolved}, "skip"},
		"the resolve of a message of its own":            {message("resolve", 2), over, []db.NotificationMessage{sent, other, resolved}, "send 1"},
		"a resolve after one that was given up":          {of(message("resolve", 2), func(m *db.NotificationMessage) { m.NodeID = "third" }), over, []db.NotificationMessage{sent, of(resolved, func(m *db.NotificationMessage) { m.Status = db.NotificationDead })}, "send 1"},
		"a resolve that a person sends again":            {message("resolve", 2), over, []db.NotificationMessage{sent, of(resolved, func(m *db.NotificationMessage) { m.RunID, m.NodeID = "before", "page" })}, "send 1"},
		"a late resolve of an occurrence that was paged": {message("resolve", 2), db.IncidentState{Status: db.IncidentOpen, Occurrence: 2}, []db.NotificationMessage{sent}, "send 1"},
	} {
		v, got := judge(&c.m, true, c.incident, c.others, now), "send"
		switch {
		case v.wait > 0:
			got = "wait"
		case v.skip != "":
			got = "skip"
		case v.earlier != nil:
			got += " " + v.earlier.ProviderID
		}
		if got != c.want {
			t.Errorf("%s: %s (%+v), want %s", name, got, v, c.want)
		}
	}
}

func TestChannelNews(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	trouble := &db.ChannelState{Channel: "ops", State: db.ChannelBroken, UpdatedAt: now.Add(-2 * calm)}
	for name, c := range map[string]struct {
		gate   *gate
		stored *db.ChannelState
		want   db.ChannelHealth
	}{
		"nothing known":                {&gate{}, nil, ""},
		"fails for a moment":           {&gate{failures: breakAfter, since: now.Add(-time.Minute)}, nil, ""},
		"fails for long":               {&gate{failures: breakAfter, since: now.Add(-alarmAfter)}, nil, db.ChannelFailing},
		"fails for long, and is known": {&gate{failures: breakAfter, since: now.Add(-alarmAfter)}, trouble, ""},
		"works again":                  {&gate{worked: now.Add(-time.Second)}, trouble, db.ChannelOK},
		"worked before the trouble":    {&gate{worked: trouble.UpdatedAt.Add(-time.Second)}, trouble, ""},
		"works since a moment ago":     {&gate{worked: now}, &db.ChannelState{State: db.ChannelFailing, UpdatedAt: now.Add(-time.Second)}, ""},
	} {
		got := c.gate.news(c.stored, now)
		if (got == nil) != (c.want == "") || got != nil && got.State != c.want {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
