package engine

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/db"
	"penstock/fault"
)

// Cancel ends a run at once, whichever process works it: what is running is interrupted, what is
// late is refused, and runs that it waits for are cancelled too. fault.Conflict if it has ended already.
func (e *Engine) Cancel(ctx context.Context, runID, reason, actor string) (*db.Run, error) {
	text := "Cancelled"
	if actor != "" {
		text += " by " + actor
	}
	if n := utf8.RuneCountInString(reason); n > noteLimit {
		return nil, fault.About("reason", fault.New(fault.Invalid, "The reason has %d characters; %d are allowed.", n, noteLimit))
	}
	if reason = strings.TrimSpace(reason); reason != "" {
		text += ": " + reason
	}
	run, err := e.store.CancelRun(ctx, runID, text, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	e.heard(db.Notification{Channel: db.ControlChannel, Payload: runID})
	if err := e.store.Notify(ctx, db.ControlChannel, runID); err != nil {
		e.log.Warn("tell other processes of a cancel", "run_id", runID, "error", err)
	}
	stages, err := e.store.Stages(ctx, runID)
	if err != nil {
		return nil, err
	}
	for _, s := range stages {
		if e.cancelsSubRun(s) {
			if err := e.cancelSubRun(ctx, runID, s.NodeID); err != nil {
				return nil, err
			}
		}
	}
	return run, nil
}

// Retry continues a failed or cancelled run: nodes that failed or were not started get another
// attempt with all their retries, and what was skipped because of them is decided again; nodes that
// succeeded stay as they are.
func (e *Engine) Retry(ctx context.Context, runID, actor string) (*db.Run, error) {
	run, err := e.store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	if run.Status != db.RunFailed && run.Status != db.RunCancelled {
		return nil, fault.New(fault.Conflict, "Only a failed or cancelled run can be continued; this one is %s.", run.Status)
	}
	stages, err := e.store.Stages(ctx, runID)
	if err != nil {
		return nil, err
	}
	newest := newestOf(stages)
	plan, err := e.compiled.version(ctx, e, run.VersionID)
	if err != nil {
		return nil, err
	}
	var again []db.StageExecution
	redo := map[string]bool{}
	for _, node := range plan.Nodes {
		s, known := newest[node.ID]
		redo[node.ID] = !known || !s.Status.Done() || strings.HasPrefix(s.SkipReason, notStarted) ||
			wasDecided(s.SkipReason) && slices.ContainsFunc(node.Upstream, func(id string) bool { return redo[id] })
		if known && redo[node.ID] {
			if plan.types[node.Type].Waits {
				if err := e.retrySubRun(ctx, runID, node.ID, actor); err != nil {
					return nil, err
				}
			}
			row := db.StageExecution{
				RunID: runID, NodeID: s.NodeID, Attempt: s.Attempt + 1, NodeType: s.NodeType, Position: s.Position, Status: db.StagePending,
			}
			if s.CopiedFrom != "" && len(s.Output) > 0 && s.Status != db.StageFailed { // a rerun that was to skip it
				row.CopiedFrom, row.Output, row.SkipReason = s.CopiedFrom, s.Output, already+"sent by the run "+s.CopiedFrom
			}
			again = append(again, row)
		}
	}
	text := "continued"
	if actor != "" {
		text += " by " + actor
	}
	run, err = e.store.RetryRun(ctx, runID, again, text, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	e.startSoon(*run)
	return run, nil
}

// wasDecided reports whether a node was skipped because of what came before it.
func wasDecided(skipReason string) bool {
	return slices.ContainsFunc([]string{branchNotTaken, skipIfErrors, skipIfCondition, whenIsFalse},
		func(prefix string) bool { return strings.HasPrefix(skipReason, prefix) })
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
