package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/drivers/alerts/strictjson"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// runData is what a run knows from outside its nodes.
type runData struct {
	payload  any
	batch    *parsed        // of the run's delivery, nil without one
	intake   *intakeOutcome // of the run's delivery, nil before it was taken in
	incident map[string]any
	alerts   []map[string]any

	startedAt map[string]time.Time         // of the running attempt, by node
	retrying  map[string]db.StageExecution // attempts that wait for their successor, by node
}

// vars are the names an expression may use.
func (d *runData) vars(run RunInfo, nodes map[string]any, now time.Time) expr.Vars {
	v := expr.Vars{Payload: d.payload, Alerts: d.alerts, Incident: d.incident, Nodes: nodes, Now: now, Run: map[string]any{
		"id": run.ID, "trace_id": run.TraceID, "definition": run.Definition,
		"definition_version": int64(run.DefinitionVersion), "source": run.Source,
		"environment": run.Environment, "trigger": string(run.Trigger), "url": run.URL,
	}}
	if len(d.alerts) > 0 {
		v.Alert = d.alerts[0]
	}
	return v
}

// prepare makes the progress of a run that was accepted in this process: nothing has to be read again.
func (e *Engine) prepare(run db.Run, plan *plan, data *runData, release func()) *progress {
	run.StartedAt = time.Now().UTC()
	p := &progress{e: e, run: &run, plan: plan, data: data, results: make(map[string]*nodeState, len(plan.Nodes)), once: release}
	for i := range plan.Nodes {
		p.results[plan.Nodes[i].ID] = &nodeState{}
	}
	data.startedAt, data.retrying = map[string]time.Time{}, map[string]db.StageExecution{}
	return p
}

// release gives the room of the run's delivery back; more than once is harmless.
func (p *progress) release() {
	if p.once != nil {
		p.once()
	}
}

// pickUp makes the progress of a run: from memory if it was accepted here a moment ago, else from
// the store, with the next epoch. An error is final: either the run has ended, or it cannot be worked
// and has been recorded as failed.
func (e *Engine) pickUp(ctx context.Context, runID string) (*progress, error) {
	if p, ok := e.fresh.LoadAndDelete(runID); ok {
		return p.(*progress), nil
	}
	wait := 100 * time.Millisecond
	for tries := 1; ; tries++ {
		p, epoch, err := e.resume(ctx, runID)
		f := fault.Of(err)
		if err == nil || ctx.Err() != nil || epoch == 0 && (f.Code == fault.Conflict || f.Code == fault.NotFound) {
			return p, err
		}
		// A store that is away comes back; what cannot be read after several tries is not going to be.
		if f.Code != fault.Unavailable && (f.Code != fault.Internal || tries > 8) && epoch > 0 {
			if ferr := e.fail(ctx, runID, epoch, f.Message); ferr == nil {
				e.log.Error("run cannot be worked", "run_id", runID, "error", err)
				return nil, err
			}
		}
		if !db.IsDown(err) { // which the sweeper tells
			e.log.Warn("start run", "run_id", runID, "try", tries, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// resume raises the run's epoch and reads back what it has done. epoch is 0 if it was not raised.
func (e *Engine) resume(ctx context.Context, runID string) (p *progress, epoch int, err error) {
	run, err := e.store.StartRun(ctx, runID)
	if err != nil {
		return nil, 0, err
	}
	p, err = e.restore(ctx, run)
	return p, run.Epoch, err
}

// fail ends a run that cannot be worked at all, e.g. because its definition names a channel that is gone.
func (e *Engine) fail(ctx context.Context, runID string, epoch int, message string) error {
	run, err := e.store.Run(ctx, runID)
	if err != nil {
		return err
	}
	seq, err := e.store.LastSequence(ctx, runID)
	if err != nil {
		return err
	}
	stages, err := e.store.Stages(ctx, runID)
	if err != nil {
		return err
	}
	w := db.RunWrite{RunID: runID, Epoch: epoch, Wakes: run.AwaitedBy(), Run: &db.RunChange{Status: db.RunFailed, Error: message, FinishedAt: now()}}
	var events []db.RunEvent
	for _, row := range stages {
		if row.Status == db.StagePending || row.Status == db.StageRunning || row.Status == db.StageRetrying {
			row.Status, row.Errors, row.FinishedAt = db.StageFailed, []string{message}, now()
			w.Stages = append(w.Stages, row)
			events = append(events, event(EventStage, row.NodeID, row.Attempt, string(db.StageFailed), message))
		}
	}
	for i, ev := range append(events, event(EventRun, "", 0, string(db.RunFailed), message)) {
		ev.RunID, ev.Sequence, ev.At = runID, seq+1+int64(i), now()
		w.Events = append(w.Events, ev)
	}
	err = e.store.WriteRun(w).Wait(ctx)
	if errors.Is(err, db.ErrFenced) {
		return nil
	}
	return err
}

// refused ends a run of which the store, which works, does not take what it did. It reports false if that is not so.
func (e *Engine) refused(ctx context.Context, p *progress) bool {
	err := p.failed()
	if err == nil || ctx.Err() != nil || db.IsDown(err) {
		return false
	}
	select {
	case <-e.stopping:
		return false
	default:
	}
	e.log.Error("the database does not take what a run did", "run_id", p.run.ID, "error", err)
	err = e.fail(ctx, p.run.ID, p.run.Epoch, "The database does not take what the run did; the server's log has the details.")
	if err != nil {
		e.log.Error("end the run", "run_id", p.run.ID, "error", err)
	}
	return err == nil
}

// restore reads a run back: what its nodes have done, what it knows.
func (e *Engine) restore(ctx context.Context, run *db.Run) (*progress, error) {
	plan, err := e.compiled.version(ctx, e, run.VersionID)
	if err != nil {
		return nil, err
	}
	data, err := e.dataOf(ctx, run)
	if err != nil {
		return nil, err
	}
	stages, err := e.store.Stages(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	started := run.StartedAt
	p := e.prepare(*run, plan, data, nil)
	if !started.IsZero() {
		p.run.StartedAt = started
	}
	if p.seq, err = e.store.LastSequence(ctx, run.ID); err != nil {
		return nil, err
	}
	if err := p.recallMessages(ctx); err != nil {
		return nil, err
	}
	var interrupted []db.StageExecution
	for _, row := range stages {
		st, known := p.results[row.NodeID]
		if !known {
			continue
		}
		node := &plan.Nodes[plan.ByID[row.NodeID]]
		if row.Status == db.StageRunning && plan.types[node.Type].Waits { // it goes on waiting
			st.attempt, st.begun, st.since = row.Attempt-1, true, row.StartedAt
			continue
		}
		if row.Status == db.StageRunning {
			row.Status, row.FinishedAt = db.StageFailed, time.Now().UTC()
			row.Errors = []string{interruptedText}
			interrupted = append(interrupted, row)
		}
		st.recall(row, node)
		if row.Status == db.StageRetrying {
			data.retrying[row.NodeID] = row
		}
	}
	for i := range plan.Nodes {
		node := &plan.Nodes[i]
		st := p.results[node.ID]
		if st.interruptions >= maxInterruptions && !st.final {
			st.final, st.status = true, db.StageFailed
			st.errors = []string{fmt.Sprintf("the process stopped %d times while it ran", st.interruptions)}
			node = &definition.PlanNode{Node: node.Node, Required: true} // it must not happen again
			w := db.RunWrite{}
			p.unsent(&w, st, st.message, db.NotificationFailed, st.errors[0], nil)
			p.write(w)
		}
		if st.final && st.status == db.StageFailed && node.Required && p.failure == "" {
			p.failure = node.ID + " failed: " + strings.Join(st.errors, " ")
		}
	}
	// One that rested goes on as if it had not.
	p.started = len(interrupted) == 0 && !started.IsZero() && p.waits()
	if len(interrupted) > 0 {
		events := make([]db.RunEvent, len(interrupted))
		for i, row := range interrupted {
			events[i] = event(EventStage, row.NodeID, row.Attempt, string(db.StageFailed), interruptedText)
		}
		p.write(db.RunWrite{Stages: interrupted}, events...)
	}
	return p, nil
}

const interruptedText = "Interrupted: the process stopped during this attempt, so its outcome is unknown."

// recall brings the state up to one stored attempt; rows come in order of attempts.
func (st *nodeState) recall(row db.StageExecution, node *definition.PlanNode) {
	parked := row.Status == db.StagePending && len(row.Errors) > 0 // it waited for its channel
	st.attempt, st.status, st.begun = row.Attempt, row.Status, row.Status != db.StagePending || parked && st.begun
	if st.tried.IsZero() {
		st.tried = row.StartedAt
	}
	st.final, st.passed, st.notBefore, st.asking = false, false, row.NotBefore, time.Time{}
	switch row.Status {
	case db.StageSucceeded:
		st.final, st.passed = true, true
		st.errors, st.output = row.Errors, plainObject(row.Output)
		st.branch, _ = st.output["branch"].(string)
	case db.StageSkipped:
		st.output = plainObject(row.Output) // of a rerun: what it did before
		st.final, st.passed = true, !strings.HasPrefix(row.SkipReason, branchNotTaken) && !strings.HasPrefix(row.SkipReason, notStarted)
	case db.StagePending:
		st.attempt = row.Attempt - 1
		if parked && st.message != nil {
			st.asking = st.message.UpdatedAt
		}
		if row.SkipReason != "" { // a rerun asks for a skip
			st.instead = &row
		}
		if !parked { // a retry of the run asks for this attempt
			st.failures, st.interruptions, st.tried = 0, 0, time.Time{}
		}
	case db.StageRetrying:
		st.failures++
	case db.StageFailed:
		switch {
		case slices.Contains(row.Errors, interruptedText):
			st.interruptions++
		case !row.NotBefore.IsZero(): // another attempt was to follow
			st.failures++
		default:
			st.final, st.passed = true, !node.Required
			st.errors, st.output = row.Errors, plainObject(row.Output)
		}
	}
}

// dataOf reads what the run knows: the payload, and the incident and alerts as its delivery left them.
func (e *Engine) dataOf(ctx context.Context, run *db.Run) (*runData, error) {
	d := &runData{}
	if run.DeliveryID != "" {
		var err error
		if d.batch, d.intake, err = e.deliveryOf(ctx, run.DeliveryID); err != nil {
			return nil, err
		}
		d.payload = d.batch.payload
		if d.intake != nil {
			d.see(d.intake.of(run.IncidentID, d.batch))
		}
		return d, nil
	}
	if len(run.Payload) > 0 {
		doc, err := strictjson.Decode(run.Payload)
		if err != nil {
			return nil, err
		}
		d.payload = expr.Plain(doc)
	}
	if run.IncidentID != "" {
		return d, e.seeIncident(ctx, d, run.IncidentID)
	}
	return d, nil
}

// deliveryOf reads a delivery back as it was understood, and its intake if it is done. Many runs may
// have one delivery: what is read is kept for the next of them.
func (e *Engine) deliveryOf(ctx context.Context, id string) (*parsed, *intakeOutcome, error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if kept, ok := e.deliveries.Get(id); ok {
		return kept.parsed, kept.intake, nil
	}
	delivery, err := e.store.Delivery(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if len(delivery.Body) == 0 {
		return nil, nil, fault.New(fault.Unprocessable, "The body of delivery %s is no longer kept, so its runs cannot be worked again. PENSTOCK_RETAIN_BODIES says for how long bodies are kept.", id)
	}
	p, err := e.parsedOf(delivery)
	if err != nil || len(delivery.Intake) == 0 {
		return p, nil, err
	}
	out := &intakeOutcome{}
	if err := json.Unmarshal(delivery.Intake, out); err != nil {
		return nil, nil, fmt.Errorf("intake of delivery %s: %w", id, err)
	}
	e.deliveries.Add(id, keptDelivery{p, out})
	return p, out, nil
}

type keptDelivery struct {
	parsed *parsed
	intake *intakeOutcome
}

// seeIncident gives the run an incident and its alerts as they are now.
func (e *Engine) seeIncident(ctx context.Context, d *runData, id string) error {
	inc, err := e.store.Incident(ctx, id)
	if err != nil {
		return err
	}
	byIncident, err := e.store.AlertsByIncident(ctx, []string{id})
	if err != nil {
		return err
	}
	d.incident, d.alerts = incidentData(inc, e.o.PublicURL), nil
	for _, a := range byIncident[id] {
		d.alerts = append(d.alerts, alertData(&a))
	}
	return nil
}

// see gives the run the incident and alerts of an intake.
func (d *runData) see(r IntakeResult) { d.incident, d.alerts = r.Incident, r.Alerts }

// plainObject decodes a stored output for expressions; nil if there is none.
func plainObject(raw json.RawMessage) map[string]any {
	if len(raw) == 0 {
		return nil
	}
	doc, err := strictjson.Decode(raw)
	if err != nil {
		return nil
	}
	object, _ := expr.Plain(doc).(map[string]any)
	return object
}
