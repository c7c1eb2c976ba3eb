package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/fault"
)

// Rerun makes a new run of the same definition version that begins at a node of an ended run: results
// of what came before are taken over, the node and everything behind it runs. Nodes that already had
// an effect outside are run again only if the caller says so: otherwise a fault.Conflict names them.
func (e *Engine) Rerun(ctx context.Context, in RerunInput) (*db.Run, error) {
	if !slices.Contains([]string{"", AlreadySentSkip, AlreadySendAgain}, in.AlreadySent) {
		return nil, fault.About("already_sent", fault.New(fault.Invalid, "already_sent is %q; write %q or %q.", in.AlreadySent, AlreadySentSkip, AlreadySendAgain))
	}
	old, err := e.store.Run(ctx, in.RunID)
	if err != nil {
		return nil, err
	}
	if !old.Status.Terminal() {
		return nil, fault.New(fault.Conflict, "The run is %s; it can be run again when it has ended.", old.Status)
	}
	plan, err := e.compiled.version(ctx, e, old.VersionID)
	if err != nil {
		return nil, err
	}
	from, known := plan.ByID[in.FromNode]
	if in.FromNode == "" {
		return nil, fault.About("from_node", fault.New(fault.Invalid, "from_node is missing: name the node to run again from. Known: %s.", strings.Join(planned(plan), ", ")))
	}
	if !known {
		return nil, fault.About("from_node", fault.New(fault.Invalid, "The definition has no node %q. Known: %s.", in.FromNode, strings.Join(planned(plan), ", ")))
	}
	stages, err := e.store.Stages(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	run := rerunOf(old, in)
	r := rerun{run: &run, old: old, plan: plan, from: &plan.Nodes[from], done: newestOf(stages), in: in}
	taken, err := r.stages()
	if err != nil {
		return nil, err
	}
	if _, err := e.dataOf(ctx, &run); err != nil { // what it would need is not kept for ever
		return nil, err
	}
	release, err := e.admit(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := e.store.AddRerun(ctx, run, taken); err != nil {
		return nil, err
	}
	e.startSoon(run)
	return &run, nil
}

func planned(p *plan) []string {
	ids := make([]string, len(p.Nodes))
	for i, n := range p.Nodes {
		ids[i] = n.ID
	}
	return ids
}

func rerunOf(old *db.Run, in RerunInput) db.Run {
	run := *old
	run.ID, run.Status, run.Epoch, run.CreatedAt, run.CreatedBy = newID(), db.RunPending, 1, now(), in.Actor
	run.Trigger, run.RerunOfRunID, run.RerunFrom = cmp.Or(in.Trigger, db.TriggerAPI), old.ID, in.FromNode
	run.ParentRunID, run.IdempotencyKey, run.Error = "", "", ""
	run.StartedAt, run.FinishedAt, run.ScheduledAt = time.Time{}, time.Time{}, time.Time{}
	run.EffectKey = effectKey(old) // what did not go out is the same message still
	changed := len(in.Input) > 0 && string(in.Input) != "null"
	if changed {
		run.Payload, run.DeliveryID = in.Input, ""
	}
	if changed || in.AlreadySent == AlreadySendAgain {
		run.EffectKey = "run/" + run.ID
	}
	return run
}

// rerun decides what a new run takes over.
type rerun struct {
	run, old *db.Run
	plan     *plan
	from     *definition.PlanNode
	done     map[string]db.StageExecution
	in       RerunInput
}

func (r rerun) stages() ([]db.StageExecution, error) {
	var taken []db.StageExecution
	var sent []string
	for i := range r.plan.Nodes {
		node := &r.plan.Nodes[i]
		stage, ran := r.done[node.ID]
		again := node.ID == r.from.ID || slices.Contains(node.Upstream, r.from.ID)
		before := slices.Contains(r.from.Upstream, node.ID)
		switch {
		case again && r.plan.types[node.Type].SideEffects && (stage.Status == db.StageSucceeded || leftOut(stage)):
			what, why := stage.SkipReason, stage.SkipReason
			if !leftOut(stage) {
				what = alreadySent(stage)
				why = what + " by the run " + or(stage.CopiedFrom, r.old.ID)
			}
			sent = append(sent, node.ID+" "+what)
			if r.in.AlreadySent == AlreadySentSkip {
				// Decided, but in its turn: what follows it must not run before what it follows.
				stage.Status, stage.Errors, stage.SkipReason = db.StagePending, nil, why
				taken = append(taken, r.take(stage))
			}
		case again, !ran && !before:
		case before && !r.settled(node, stage):
			return nil, fault.About("from_node", fault.New(fault.Conflict, "%s stands before %s and has not done its work in the run, so there is nothing to go on from. Run again from %s.", node.ID, r.from.ID, node.ID))
		case before || stage.Status.Done() && !strings.HasPrefix(stage.SkipReason, notStarted):
			taken = append(taken, r.take(stage))
		}
	}
	if skipped := r.done[r.from.ID]; strings.HasPrefix(skipped.SkipReason, branchNotTaken) {
		return nil, fault.About("from_node", fault.New(fault.Conflict, "%s was not reached in the run: %s. Run again from where that was decided.", r.from.ID, skipped.SkipReason))
	}
	if len(sent) > 0 && r.in.AlreadySent == "" {
		return nil, fault.About("already_sent", fault.New(fault.Conflict, "%s. Choose what to do with it: skip or send_again (already_sent).", strings.Join(sent, "; ")))
	}
	return taken, nil
}

// settled reports whether a node before the first one has a result that can be gone on from.
func (r rerun) settled(node *definition.PlanNode, stage db.StageExecution) bool {
	if stage.Status != db.StageFailed {
		return stage.Status.Done() && !strings.HasPrefix(stage.SkipReason, notStarted)
	}
	return !node.Required || r.leadsOn(node.ID)
}

// leadsOn reports whether the failure of a node is what leads to the first one.
func (r rerun) leadsOn(id string) bool {
	way := append(slices.Clone(r.from.Upstream), r.from.ID)
	return slices.ContainsFunc(way, func(to string) bool {
		return slices.Contains(r.plan.Nodes[r.plan.ByID[to]].Needs, definition.Edge{From: id, OnError: true})
	})
}

// take is an earlier result as a row of the new run.
func (r rerun) take(s db.StageExecution) db.StageExecution {
	s.CopiedFrom = or(s.CopiedFrom, r.old.ID)
	s.RunID, s.Attempt = r.run.ID, 1
	s.NotBefore, s.StartedAt, s.FinishedAt = time.Time{}, time.Time{}, time.Time{}
	return s
}

// leftOut reports whether the run, a rerun itself, has left a node out because an earlier run had done its work.
func leftOut(s db.StageExecution) bool {
	return s.Status == db.StageSkipped && s.CopiedFrom != "" && strings.HasPrefix(s.SkipReason, already)
}

// already begins what a node has done outside.
const already = "already "

// alreadySent says what a node has done outside, when and where.
func alreadySent(s db.StageExecution) string {
	if id := gjson.GetBytes(s.Output, "run_id").String(); id != "" {
		return fmt.Sprintf(already+"ran %s", gjson.GetBytes(s.Output, "definition"))
	}
	to := or(gjson.GetBytes(s.Output, "channel").String(), gjson.GetBytes(s.Output, "driver").String())
	text := already + "sent"
	if !s.FinishedAt.IsZero() {
		text += s.FinishedAt.UTC().Format(" 2006-01-02 15:04 UTC")
	}
	if to != "" {
		text += " to " + to
	}
	return text
}
