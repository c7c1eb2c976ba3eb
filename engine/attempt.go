package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// outcome is what one attempt brought.
type outcome struct {
	index  int
	output Output
	raw    json.RawMessage
	taken  *taken
	err    error

	gated   bool // nothing has run: the node was waiting for its channel, and has its pass now
	pass    *pass
	crowd   string // the channel for which too many wait; it has no pass then
	message *db.NotificationMessage
}

// attempt runs a node once. Panics are the node's failure, not the process's.
func (p *progress) attempt(ctx context.Context, index int, in Input) (o outcome) {
	e, node := p.e, &p.plan.Nodes[index]
	o.index = index
	defer func() {
		if r := recover(); r != nil {
			e.log.Error("node panicked", "run_id", p.run.ID, "node_id", node.ID, "panic", r, "stack", string(debug.Stack()))
			o.err = fault.New(fault.Internal, "The node stopped with an internal error; the server's log has the details.")
		}
	}()
	var sends *delivery
	if s, real := in.Services.(*services); real && s.delivery != nil {
		sends = s.delivery
		o.message = sends.message
		defer func() { sends.pass.leave(sends.how, sends.problem, sends.answered, sends.after) }()
	}
	if !p.plan.types[node.Type].Waits { // or what it waits for might find no slot
		select {
		case e.slots <- struct{}{}:
			defer func() { <-e.slots; e.worked.Add(1) }()
		case <-ctx.Done():
			return outcome{index: index, err: context.Cause(ctx)}
		case <-e.stopping:
			return outcome{index: index, err: errStopping}
		}
	}
	if sends != nil { // Deliver makes it durable and limits its time
		o.output, o.err = p.plan.nodes[node.ID].Run(ctx, in)
	} else {
		if p.plan.types[node.Type].SideEffects {
			// What others will see must not happen before everything up to here is durable.
			if err := p.flushed(ctx); err != nil {
				return outcome{index: index, err: err}
			}
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if node.Timeout > 0 {
			limited, cancel = context.WithTimeoutCause(ctx, node.Timeout, errTimeout)
		}
		defer cancel()
		o.output, o.err = p.plan.nodes[node.ID].Run(limited, in)
		o.err = inTime(limited, o.err, node.Timeout)
	}
	o.taken = in.Services.(interface{ tookIn() *taken }).tookIn()
	if o.err != nil && ctx.Err() != nil {
		o.err = context.Cause(ctx) // cancelled or stopping: whatever the node made of it
	}
	if o.output.Data != nil {
		raw, err := json.Marshal(o.output.Data)
		switch {
		case err != nil && o.err == nil:
			o.err = fmt.Errorf("output of %s is not JSON: %w", node.ID, err)
		case len(raw) > maxOutput && o.err == nil:
			o.err = fault.New(fault.Unprocessable, "The output is %d bytes; at most %d are kept.", len(raw), maxOutput)
		default:
			o.raw = raw
		}
	}
	return o
}

// inTime says so if err is there because the time of an attempt was over.
func inTime(limited context.Context, err error, timeout time.Duration) error {
	if err == nil || !errors.Is(context.Cause(limited), errTimeout) {
		return err
	}
	return fault.Retry(fault.Wrap(err, fault.Unavailable, "No answer within %s (timeout_seconds).", timeout), 0)
}

const maxOutput = 1 << 20

var errTimeout = errors.New("attempt timed out")

const (
	backoffBase = time.Second
	backoffCap  = 5 * time.Minute
)

// backoff is the wait before the next attempt: jittered in [base, base·2ⁿ], at most the cap, never
// before the receiver wants it.
func backoff(failures int, after time.Duration) time.Duration {
	top := backoffCap
	if failures < 9 { // 2⁹ s is over the cap
		top = min(backoffBase<<failures, backoffCap)
	}
	return max(backoffBase+rand.N(top-backoffBase+1), after)
}

// input gathers what a node is given.
func (p *progress) input(node *definition.PlanNode, st *nodeState, now time.Time) Input {
	attempt := st.attempt
	s := &services{e: p.e, run: *p.run, nodeID: node.ID, plan: p.plan, batch: p.data.batch, intake: p.data.intake}
	in := Input{
		Run: p.info(), NodeID: node.ID, Attempt: attempt, Now: now,
		Key:     idempotencyKey(p.run, node.ID),
		Payload: p.data.payload, Document: p.run.Payload, Incident: p.data.incident, Alerts: p.data.alerts,
		Vars:     p.vars(node, now),
		Services: s,
		Log: func(line string) {
			p.write(db.RunWrite{}, event(EventLog, node.ID, attempt, "", line))
		},
		Emit: func(text string) {
			p.write(db.RunWrite{}, event(EventText, node.ID, attempt, "", text))
		},
	}
	if p.dry != nil {
		in.Services = &dryServices{services: in.Services.(*services), run: p.dry, nodeID: node.ID, incident: in.Incident, alerts: in.Alerts}
	}
	for _, id := range node.Upstream {
		r := p.results[id]
		in.Upstream = append(in.Upstream, UpstreamResult{
			NodeOutput: ai.NodeOutput{NodeID: id, Type: p.plan.Nodes[p.plan.ByID[id]].Type, Output: r.output},
			Errors:     r.errors, Skipped: r.status == db.StageSkipped,
		})
	}
	if st.pass != nil {
		in.Target = st.pass.target
		s.delivery = &delivery{p: p, node: node, pass: st.pass, message: st.message, alone: len(p.plan.notifiers) == 1}
		if st.message == nil {
			s.delivery.message = newMessage(in)
		}
		st.pass = nil
	}
	return in
}

func (p *progress) info() RunInfo {
	r := p.run
	info := RunInfo{
		ID: r.ID, TraceID: r.TraceID, Definition: r.DefinitionName, DefinitionVersion: r.DefinitionVersion,
		Source: r.Source, Environment: r.Environment, Trigger: r.Trigger, DeliveryID: r.DeliveryID,
		IncidentID: r.IncidentID, ParentRunID: r.ParentRunID, Change: r.Change,
	}
	if p.e.o.PublicURL != "" {
		info.URL = p.e.o.PublicURL + "/admin/runs/" + r.ID
	}
	return info
}

// idempotencyKey names one message of one node for one change of one incident, so that a receiver
// recognises it on every attempt, also of a retried run. Without a change it is the run's own.
func idempotencyKey(r *db.Run, nodeID string) string {
	return effectKey(r) + "/" + nodeID
}

// effectKey is what the idempotency keys of a run begin with.
func effectKey(r *db.Run) string {
	switch {
	case r.EffectKey != "":
		return r.EffectKey
	case r.Change != "":
		return "incident/" + r.Change + "/" + r.DefinitionName
	}
	return "run/" + r.ID
}

// vars is the same data for expressions: results of upstream nodes, and nothing else.
func (p *progress) vars(node *definition.PlanNode, now time.Time) expr.Vars {
	nodes := make(map[string]any, len(node.Upstream))
	for _, id := range node.Upstream {
		r := p.results[id]
		out := r.output
		if out == nil {
			out = map[string]any{}
		}
		nodes[id] = expr.NodeVar(out, r.errors, r.status == db.StageSkipped)
	}
	return p.data.vars(p.info(), nodes, now)
}
