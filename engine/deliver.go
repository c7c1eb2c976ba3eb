package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"penstock/db"
	"penstock/drivers/notify"
	"penstock/engine/definition"
	"penstock/fault"
)

// Notifier is a node that sends one message. The engine asks for its target before every attempt,
// waits until that channel takes one more message, without a worker, and then runs the node with
// [Input.Target]. The node sends by [Services.Deliver], which keeps the ledger.
type Notifier interface {
	Node
	// Target finds where the message goes. Its names are filled with an error too.
	Target(ctx context.Context, in Input) (Target, error)
}

// Target is where a message goes.
type Target struct {
	Channel     string        // a stored channel, or "<driver>:<hash>" for settings in the node
	Driver      string        // name of the driver
	Destination string        // of the driver, "" for what its settings say
	Sender      notify.Driver // nil with an error
}

// Delivered is what became of a message that did not fail.
type Delivered struct {
	notify.Receipt
	Status db.NotificationStatus // sent or skipped
	Reason string                // why it was skipped
}

// notYet ends an attempt that must wait for another message. It is no failure of the node.
type notYet struct {
	reason string
	after  time.Duration
}

func (n notYet) Error() string { return n.reason }

// pass is the right to send one message to a channel.
type pass struct {
	target *Target // nil if there is none: the node will say why
	gate   *gate   // nil without a target
}

// leave gives the right back; without one it does nothing.
func (ps *pass) leave(how passed, reason string, answered, after time.Duration) {
	if ps != nil && ps.gate != nil {
		ps.gate.leave(how, reason, answered, after)
	}
}

// admit waits until the node's channel takes one more message. If that takes longer than a moment,
// the stage and the message are shown as pending, with the reason. asking is since when they are; zero
// if they are not.
func (p *progress) admit(ctx context.Context, index int, n Notifier, in Input, m *db.NotificationMessage, asking time.Time) outcome {
	o := outcome{index: index, gated: true, message: m, pass: &pass{}}
	to, err := n.Target(ctx, in)
	if ctx.Err() != nil {
		return outcome{index: index, gated: true, err: context.Cause(ctx)}
	}
	if err != nil { // the attempt will say it
		if o.message == nil {
			o.message = newMessage(in)
		}
		sendsTo(o.message, to)
		return o
	}
	node, g := &p.plan.Nodes[index], p.e.gates.of(to.Channel)
	w := waiter{limit: p.e.o.NotifyRetryFor, crowd: p.e.o.Crowd}
	if !asking.IsZero() {
		w.limit -= time.Since(asking)
	}
	w.told = func(why string) {
		if !asking.IsZero() {
			return
		}
		if o.message == nil {
			o.message = newMessage(in)
		}
		sendsTo(o.message, to)
		o.message.Status, o.message.Reason, o.message.UpdatedAt = db.NotificationPending, why, now()
		p.write(db.RunWrite{
			Stages: []db.StageExecution{{
				RunID: p.run.ID, NodeID: node.ID, Attempt: in.Attempt + 1, NodeType: node.Type, Position: node.Position,
				Status: db.StagePending, Errors: []string{why},
			}},
			Messages: []db.NotificationMessage{*o.message},
		}, event(EventStage, node.ID, in.Attempt+1, string(db.StagePending), why))
	}
	err = g.enter(ctx, p.e.stopping, w)
	if errors.Is(err, errCrowded) {
		o.pass, o.crowd = nil, to.Channel
		return o
	}
	if err != nil {
		return outcome{index: index, gated: true, err: err}
	}
	o.pass = &pass{&to, g}
	return o
}

// admitted takes note that the node's message may be sent, unless another message of the run that asked
// before it goes to the same place: that one comes first.
func (p *progress) admitted(node *definition.PlanNode, st *nodeState, o outcome) {
	if o.crowd != "" {
		st.message, st.crowd, st.notBefore = o.message, o.crowd, time.Now().Add(p.e.o.RestAfter)
		if st.asking.IsZero() {
			st.asking = o.message.UpdatedAt
		}
		return
	}
	if o.pass == nil { // cancelled, or the process stops
		return
	}
	st.message, st.pass, st.behind = o.message, o.pass, ""
	to := o.pass.target
	if to == nil {
		return
	}
	st.place = to.Channel + " " + to.Destination
	for id, other := range p.results {
		if other.precedes(st) {
			st.pass.leave(passedUnused, "", 0, 0)
			st.pass, st.behind = nil, id
			return
		}
	}
}

// precedes reports whether the message of next, another node of the run, must wait for this one.
func (st *nodeState) precedes(next *nodeState) bool {
	return st.asked > 0 && st.asked < next.asked && !st.final && (st.place == next.place || st.place == "")
}

// returnPasses gives back what was not used when the run ends early.
func (p *progress) returnPasses() {
	for _, st := range p.results {
		st.pass.leave(passedUnused, "", 0, 0)
	}
}

// unsent adds to w what became of a message that was not sent; m is nil if the node sends none. A
// message that was given up is a trouble of its channel, or its own if the receiver takes others.
func (p *progress) unsent(w *db.RunWrite, st *nodeState, m *db.NotificationMessage, status db.NotificationStatus, reason string, err error) {
	if m == nil {
		return
	}
	at := now()
	st.message = m
	m.Status, m.Reason, m.UpdatedAt, m.BusyUntil = status, reason, at, time.Time{}
	if status != db.NotificationPending {
		m.EndedAt = at
		state := db.ChannelState{Channel: m.Channel, State: db.ChannelFailing, Since: at, Error: reason, UpdatedAt: at}
		switch {
		case errors.Is(err, notify.ErrCredentials):
			state.State = db.ChannelBroken
		case errors.Is(err, notify.ErrRefused): // others may still be taken
			state.Message = messageName(m)
		}
		w.Channels = append(w.Channels, state)
		nudge(p.e.troubled)
	}
	w.Messages = append(w.Messages, *m)
}

// messageName is what a trouble of the messages of one node is known by.
func messageName(m *db.NotificationMessage) string { return m.DefinitionName + "/" + m.NodeID }

// recallMessages reads back what the run has in the ledger.
func (p *progress) recallMessages(ctx context.Context) error {
	if len(p.plan.notifiers) == 0 {
		return nil
	}
	byRun, err := p.e.store.NotificationsByRun(ctx, []string{p.run.ID})
	for _, m := range byRun[p.run.ID] {
		if st := p.results[m.NodeID]; st != nil {
			p.order++
			st.message, st.place, st.asked = &m, m.Channel+" "+m.Destination, p.order
		}
	}
	return err
}

// newMessage is the ledger's row of a node's message, as far as it is known before it is written.
func newMessage(in Input) *db.NotificationMessage {
	m := &db.NotificationMessage{
		ID: newID(), RunID: in.Run.ID, NodeID: in.NodeID, DefinitionName: in.Run.Definition, IdempotencyKey: in.Key,
		Kind: db.NotificationTrigger, Title: in.Run.Definition, Severity: db.SeverityInfo, Status: db.NotificationPending, CreatedAt: now(),
	}
	if in.Incident != nil {
		word := func(key string) string { s, _ := in.Incident[key].(string); return s }
		count := func(key string) int { n, _ := in.Incident[key].(int64); return int(n) }
		m.IncidentID, m.Occurrence, m.Revision = word("id"), count("occurrence"), count("revision")
		m.Title, m.Severity = word("title"), cmp.Or(db.Severity(word("severity")), db.SeverityWarning)
		if db.IncidentStatus(word("status")) == db.IncidentResolved {
			m.Kind = db.NotificationResolve
		}
	}
	return m
}

func sendsTo(m *db.NotificationMessage, to Target) {
	m.Channel, m.Driver, m.Destination = to.Channel, to.Driver, to.Destination
}

// delivery is the part of a notifier's attempt that Deliver works on.
type delivery struct {
	p       *progress
	node    *definition.PlanNode
	message *db.NotificationMessage
	alone   bool // no other node of the definition notifies
	update  bool // it is to edit an earlier message
	earlier *db.NotificationMessage

	pass     *pass
	how      passed        // how it leaves the gate
	problem  string        // why it failed
	answered time.Duration // how long the receiver took
	after    time.Duration // what the receiver asked to wait
}

// busyGrace is how much longer than its timeout an attempt counts as under way if nobody says how it ended.
const busyGrace = 5 * time.Second

// Deliver implements [Services].
//
// Two messages about one incident to one channel may be sent by two runs, in two processes. An
// attempt first stores that it is under way and then looks at the incident and the other messages; who
// changes the incident has stored that before he looks. So one of the two sees the other, whatever the order.
func (s *services) Deliver(ctx context.Context, to Target, m notify.Message, update bool) (Delivered, error) {
	d := s.delivery
	if d == nil {
		return Delivered{}, fault.New(fault.Internal, "only a node that is a Notifier can send")
	}
	msg := d.message
	d.update = update
	sendsTo(msg, to)
	msg.Title = cmp.Or(notify.Cut(notify.OneLine(m.Title), 300), msg.Title)
	msg.Severity, msg.Kind = cmp.Or(db.Severity(m.Severity), msg.Severity), db.NotificationTrigger
	if m.Action == notify.Resolve {
		msg.Kind = db.NotificationResolve
	}
	// The first message about a new incident is hardly ever needless: that is looked at once, below.
	if d.related() && (msg.Attempts > 0 || msg.Revision > 1 || !d.alone) {
		// That an earlier node of this run has been answered may not be stored yet.
		if err := d.p.flushed(ctx); err != nil {
			return Delivered{}, err
		}
		if done, err := d.judge(ctx); done != nil || err != nil {
			return deref(done), err
		}
	}
	before := msg.MayHaveArrived
	msg.Status, msg.Reason, msg.UpdatedAt = db.NotificationPending, "", now()
	msg.Attempts, msg.MayHaveArrived, msg.BusyUntil = msg.Attempts+1, true, msg.UpdatedAt.Add(d.node.Timeout+busyGrace)
	attempt := db.NotificationAttempt{MessageID: msg.ID, Number: msg.Attempts, StartedAt: msg.UpdatedAt, Outcome: db.AttemptUnknown}
	d.store(attempt)
	if err := d.p.flushed(ctx); err != nil {
		return Delivered{}, err
	}
	if d.related() {
		done, err := d.judge(ctx)
		if done != nil || err != nil {
			attempt.Outcome, attempt.FinishedAt, attempt.Error = db.AttemptFailed, now(), "Not sent: the incident or another message about it changed at this moment."
			msg.MayHaveArrived, msg.BusyUntil = before, time.Time{}
			d.store(attempt)
			return deref(done), err
		}
	}
	m.Channel = to.Destination
	if e := d.earlier; e != nil && (update || m.Action == notify.Resolve) {
		m.Earlier = e.ProviderID
		if msg.Kind == db.NotificationTrigger {
			msg.Kind = db.NotificationUpdate
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, d.node.Timeout, errTimeout)
	begin := time.Now()
	receipt, err := to.Sender.Send(limited, m)
	d.answered = time.Since(begin)
	err = inTime(limited, err, d.node.Timeout)
	cancel()

	attempt.FinishedAt, attempt.Request, attempt.ResponseStatus, attempt.Response = now(), receipt.Request, receipt.Status, receipt.Response
	msg.BusyUntil, msg.UpdatedAt = time.Time{}, attempt.FinishedAt
	after, mayPass := fault.Retryable(err)
	switch {
	case err == nil:
		attempt.Outcome, d.how = db.AttemptSent, passedWorked
		msg.Status, msg.SentAt, msg.EndedAt, msg.ProviderID = db.NotificationSent, attempt.FinishedAt, time.Time{}, receipt.MessageID
	case receipt.MessageID == "" && (receipt.Status != 0 || !mayPass || neverLeft(err)):
		attempt.Outcome, msg.MayHaveArrived = db.AttemptFailed, before
	}
	if err != nil && ctx.Err() == nil {
		attempt.Error, d.how, d.after = fault.Of(err).Message, passedRefused, after
		d.problem = attempt.Error
		if mayPass {
			d.how = passedFailed
		}
	}
	d.store(attempt)
	if key := db.ChannelKey(msg.Channel, messageName(msg)); err == nil && d.p.e.inTrouble(key) {
		d.p.write(db.RunWrite{Channels: []db.ChannelState{{Channel: msg.Channel, Message: messageName(msg), State: db.ChannelOK, Since: msg.SentAt, UpdatedAt: msg.SentAt}}})
		nudge(d.p.e.troubled)
	}
	return Delivered{Receipt: receipt, Status: msg.Status}, err
}

func (d *delivery) store(a db.NotificationAttempt) {
	d.p.write(db.RunWrite{Messages: []db.NotificationMessage{*d.message}, Attempts: []db.NotificationAttempt{a}})
}

// related reports whether other messages may concern this one.
func (d *delivery) related() bool { return d.message.IncidentID != "" || !d.alone }

// judge looks at the incident and the other messages: it returns that this one is skipped, or that it
// must wait, or notes which earlier message it follows.
func (d *delivery) judge(ctx context.Context) (*Delivered, error) {
	incident, others, err := d.p.e.store.OtherNotifications(ctx, d.message)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	v := judge(d.message, d.update, incident, others, now())
	d.earlier = v.earlier
	if v.wait > 0 {
		return nil, notYet{fmt.Sprintf("An earlier message about this incident is on its way to the channel %s.", d.message.Channel), v.wait}
	}
	if v.skip == "" {
		return nil, nil
	}
	at := now()
	d.message.Status, d.message.Reason, d.message.UpdatedAt, d.message.EndedAt = db.NotificationSkipped, v.skip, at, at
	d.message.BusyUntil = time.Time{}
	d.p.write(db.RunWrite{Messages: []db.NotificationMessage{*d.message}})
	return &Delivered{Status: db.NotificationSkipped, Reason: v.skip}, nil
}

// neverLeft reports whether the receiver was certainly not reached.
func neverLeft(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func deref(d *Delivered) Delivered {
	if d == nil {
		return Delivered{}
	}
	return *d
}
