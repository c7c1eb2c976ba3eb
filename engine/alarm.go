package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/fault"
)

const (
	lookEvery = 5 * time.Second
	calm      = time.Minute    // a channel works again if it has worked this long after its last trouble
	forgotten = 24 * time.Hour // a message that was refused is no trouble any more if no other was for so long

	alarmLabel = "channel" // of an alert of [SourceSelf]: the channel that it is about
)

// watchChannels raises and resolves the alarms about channels: one per trouble, however many messages
// are concerned. A message that is given up stores the trouble with it, so no crash loses the alarm.
func (e *Engine) watchChannels(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.troubled:
		}
		e.note("look at channels", e.reportChannels(ctx))
	}
}

func (e *Engine) reportChannels(ctx context.Context) error {
	states, err := e.learnChannels(ctx)
	if err != nil {
		return err
	}
	for _, g := range e.gates.list() {
		if change := g.news(states[g.channel], now()); change != nil {
			if err := e.store.SetChannelState(ctx, *change); err != nil {
				return err
			}
			nudge(e.troubled)
		}
	}
	for _, s := range states {
		if s.Message != "" && s.State != db.ChannelOK && now().Sub(s.UpdatedAt) > forgotten {
			s.State, s.UpdatedAt = db.ChannelOK, now()
			if err := e.store.SetChannelState(ctx, *s); err != nil {
				return err
			}
		}
		if s.State == s.Reported {
			continue
		}
		key := fmt.Sprintf("channel/%s/%s/%s", s.Key(), s.Since.UTC().Format(time.RFC3339Nano), s.State)
		if err := e.report(ctx, SourceSelf, key, alarm(s)); err != nil {
			return err
		}
		if err := e.store.ChannelReported(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// alarm is the alert about a channel, or about messages that it does not take. The channel stands for the host:
// each has an incident of its own.
func alarm(s *db.ChannelState) alerts.Batch {
	a := alerts.Alert{
		Fingerprint: "channel/" + s.Key(), Name: "ChannelFailing", Host: s.Channel, Status: alerts.Firing, StartsAt: s.Since,
		Severity: alerts.Critical, SeverityText: string(alerts.Critical),
		Labels:      map[string]string{"alertname": "ChannelFailing", "severity": string(alerts.Critical), alarmLabel: s.Channel},
		Summary:     fmt.Sprintf("Messages do not get through the channel %s", s.Channel),
		Description: s.Error,
	}
	if s.State == db.ChannelBroken {
		a.Summary = fmt.Sprintf("The receiver refuses the credentials of the channel %s", s.Channel)
	}
	if definition, node, refused := strings.Cut(s.Message, "/"); refused {
		a.Name, a.Summary = "MessageRefused", fmt.Sprintf("The channel %s refuses the messages of %s (node %s)", s.Channel, definition, node)
		a.Labels["alertname"], a.Labels["definition"], a.Labels["node"] = a.Name, definition, node
	}
	if s.State == db.ChannelOK {
		a.Status, a.EndsAt = alerts.Resolved, &s.UpdatedAt
	}
	return alerts.Batch{Alerts: []alerts.Alert{a}}
}

// learnChannels notes what the store says of channels, and returns it.
func (e *Engine) learnChannels(ctx context.Context) (map[string]*db.ChannelState, error) {
	states, err := e.store.ChannelStates(ctx)
	if err != nil {
		return nil, err
	}
	rest, err := e.store.RestingByChannel(ctx)
	if err != nil {
		return nil, err
	}
	e.gates.mu.Lock()
	defer e.gates.mu.Unlock()
	e.gates.seen, e.gates.rest = states, rest
	return states, nil
}

func (gs *gates) list() []*gate {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	list := make([]*gate, 0, len(gs.all))
	for _, g := range gs.all {
		list = append(list, g)
	}
	return list
}

func (gs *gates) state(key string) *db.ChannelState {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.seen[key]
}

// news is the state to store for the channel if this process knows better than the store, else nil.
func (g *gate) news(stored *db.ChannelState, now time.Time) *db.ChannelState {
	g.mu.Lock()
	defer g.mu.Unlock()
	inTrouble := stored != nil && stored.State != db.ChannelOK
	switch {
	case inTrouble && g.worked.After(stored.UpdatedAt) && now.Sub(stored.UpdatedAt) >= calm && g.failures < breakAfter:
		return &db.ChannelState{Channel: g.channel, State: db.ChannelOK, Since: stored.Since, UpdatedAt: now}
	case !inTrouble && g.failures >= breakAfter && now.Sub(g.since) >= alarmAfter:
		return &db.ChannelState{Channel: g.channel, State: db.ChannelFailing, Since: g.since.UTC().Truncate(time.Microsecond), Error: g.reason, UpdatedAt: now}
	}
	return nil
}

// ChannelStatus is how a channel does, as this process sees it.
type ChannelStatus struct {
	State   string     `json:"state"` // ok, failing, open (this process asks only now and then), broken
	Since   *time.Time `json:"since"`
	Error   string     `json:"error"`
	Sending int        `json:"sending"`
	Waiting int        `json:"waiting"` // messages that wait for their turn in this process, or that no process has in memory
}

// ChannelStatuses are the channels that have been used, by name.
type ChannelStatuses map[string]ChannelStatus

// Of is the status of a channel; one that nobody has used is fine.
func (s ChannelStatuses) Of(name string) ChannelStatus {
	if status, ok := s[name]; ok {
		return status
	}
	return ChannelStatus{State: string(db.ChannelOK)}
}

// ChannelStatuses says how the channels do.
func (e *Engine) ChannelStatuses(ctx context.Context) (ChannelStatuses, error) {
	states, err := e.learnChannels(ctx)
	if err != nil {
		return nil, err
	}
	return e.statuses(states), nil
}

// RecentChannelStatuses is [Engine.ChannelStatuses] without asking the store, which was asked some seconds ago.
func (e *Engine) RecentChannelStatuses() ChannelStatuses {
	e.gates.mu.Lock()
	seen := e.gates.seen
	e.gates.mu.Unlock()
	return e.statuses(seen)
}

func (e *Engine) statuses(states map[string]*db.ChannelState) ChannelStatuses {
	out := make(ChannelStatuses, len(states))
	for name, s := range states {
		if s.Message != "" {
			continue // the channel takes others
		}
		status := ChannelStatus{State: string(s.State)}
		if s.State != db.ChannelOK {
			status.Since, status.Error = &s.Since, s.Error
		}
		out[name] = status
	}
	e.gates.mu.Lock()
	rest := e.gates.rest
	e.gates.mu.Unlock()
	for _, g := range e.gates.list() {
		status, known := out[g.channel]
		g.mu.Lock()
		status.Sending, status.Waiting = g.busy, g.waiting.Len()+rest[g.channel]
		if !known {
			status.State = string(db.ChannelOK)
		}
		if g.failures > 0 && status.State != string(db.ChannelBroken) {
			status.State, status.Error = string(db.ChannelFailing), g.reason
			if g.failures >= breakAfter {
				status.State = "open"
			}
			if status.Since == nil {
				status.Since = moment(g.since.UTC().Truncate(time.Microsecond))
			}
		}
		g.mu.Unlock()
		out[g.channel] = status
	}
	return out
}

// AlarmChannel implements [Services]: the channel that has been told, so that it hears of the end too; else the
// configured channel, else default, else the first that works, what has not passed its test after what has, those that
// reach nobody last. What is in trouble comes after all that is not.
func (s *services) AlarmChannel(ctx context.Context, in Input, except string) (to Target, note string, err error) {
	channels, err := s.e.store.Channels(ctx)
	if err != nil {
		return Target{}, "", err
	}
	told, err := s.e.told(ctx, in)
	if err != nil {
		return Target{}, "", err
	}
	wanted := s.e.o.AlarmChannel
	rank := func(c db.Channel) int {
		if c.Name == told {
			return -1
		}
		last := 0
		if s.e.troubleOf(c.Name) != "" {
			last = 6
		}
		switch {
		case c.Name == wanted:
			return last
		case c.Driver == "console":
			return last + 5
		case untested(&c):
			last += 2
		}
		if c.Name == "default" {
			return last + 1
		}
		return last + 2
	}
	slices.SortStableFunc(channels, func(a, b db.Channel) int { return cmp.Compare(rank(a), rank(b)) })
	for _, c := range channels {
		if c.Name == except {
			continue
		}
		kind, d, err := s.ready(ctx, c.Name)
		if db.IsDown(err) {
			return Target{}, "", err
		}
		if err != nil {
			continue
		}
		if wanted != "" && wanted != except && c.Name != wanted && c.Name != told {
			trouble := s.e.troubleOf(wanted)
			if _, _, err := s.ready(ctx, wanted); err != nil {
				trouble = fault.Of(err).Message
			}
			note = fmt.Sprintf("Sent by %s in place of %s, which PENSTOCK_ALARM_CHANNEL names: %s", c.Name, wanted, trouble)
		}
		return Target{Channel: c.Name, Driver: kind, Sender: d}, note, nil
	}
	return Target{}, "", fault.New(fault.Unprocessable, "The alarm is about the channel %q, and no other channel can send it. Create one.", except)
}

// told is the channel that got the newest message about this occurrence of the incident, "" if none did.
func (e *Engine) told(ctx context.Context, in Input) (string, error) {
	id, _ := in.Incident["id"].(string)
	if id == "" {
		return "", nil
	}
	page, err := e.store.Notifications(ctx, db.NotificationFilter{
		IncidentID: id, Status: []db.NotificationStatus{db.NotificationSent}, Page: db.Page{First: 1},
	})
	if err != nil || len(page.Items) == 0 || in.Incident["occurrence"] != int64(page.Items[0].Occurrence) {
		return "", err
	}
	return page.Items[0].Channel, nil
}

// ready is [Services.Channel] of a channel that has all its settings.
func (s *services) ready(ctx context.Context, name string) (kind string, d notify.Driver, err error) {
	if kind, d, err = s.Channel(ctx, name); err == nil {
		if r, ok := d.(notify.Readiness); ok && len(r.Missing()) > 0 {
			err = notify.NotReady(name, r.Missing())
		}
	}
	return kind, d, err
}

// works ends the trouble of a channel that a person has tested, or deleted: then no message can be in trouble there.
func (e *Engine) works(ctx context.Context, channel string, gone bool) error {
	e.gates.of(channel).forget()
	states, err := e.store.ChannelStates(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Channel == channel && s.State != db.ChannelOK && (s.Message == "" || gone) {
			s.State, s.UpdatedAt = db.ChannelOK, now()
			if err := e.store.SetChannelState(ctx, *s); err != nil {
				return err
			}
			nudge(e.troubled)
		}
	}
	return nil
}

// inTrouble reports whether the store knows of a trouble by its key.
func (e *Engine) inTrouble(key string) bool {
	s := e.gates.state(key)
	return s != nil && s.State != db.ChannelOK
}

// troubleOf says why messages do not get through a channel, "" if they do as far as this process knows.
func (e *Engine) troubleOf(channel string) string {
	if e.inTrouble(channel) {
		return e.gates.state(channel).Error
	}
	return e.gates.of(channel).trouble()
}

// AboutChannel is the channel that the alert of a run is about, "" if it is about something else.
func AboutChannel(in Input) string {
	if in.Incident == nil || in.Incident["source"] != SourceSelf {
		return ""
	}
	for _, a := range in.Alerts {
		if labels, ok := a["labels"].(map[string]any); ok {
			if channel, ok := labels[alarmLabel].(string); ok {
				return channel
			}
		}
	}
	return ""
}
