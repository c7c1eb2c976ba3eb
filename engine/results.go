package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"penstock/db"
	"penstock/fault"
)

// Result is the run with its nodes, as it is now.
func (e *Engine) Result(ctx context.Context, runID string) (RunResult, error) {
	run, err := e.store.Run(ctx, runID)
	if err != nil {
		return RunResult{}, err
	}
	results, err := e.Results(ctx, []db.Run{*run})
	if err != nil {
		return RunResult{}, err
	}
	return results[0], nil
}

// Results is [Engine.Result] for many runs, with one query for all their stages.
func (e *Engine) Results(ctx context.Context, runs []db.Run) ([]RunResult, error) {
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	stages, err := e.store.StagesByRun(ctx, ids)
	if err != nil {
		return nil, err
	}
	results := make([]RunResult, len(runs))
	for i := range runs {
		results[i] = resultOf(&runs[i], stages[runs[i].ID])
	}
	return results, nil
}

// RunWithPayload returns a run and its [Engine.PayloadOf].
func (e *Engine) RunWithPayload(ctx context.Context, runID string) (run *db.Run, payload []byte, err error) {
	if run, err = e.store.Run(ctx, runID); err == nil {
		payload, err = e.PayloadOf(ctx, run)
	}
	return run, payload, err
}

// PayloadOf is what a run works on, as it came: its own payload or the body of its delivery; nil if neither is kept. Lists
// leave the payload of a run out: it is to be read alone.
func (e *Engine) PayloadOf(ctx context.Context, run *db.Run) ([]byte, error) {
	if len(run.Payload) > 0 || run.DeliveryID == "" {
		return run.Payload, nil
	}
	delivery, err := e.store.Delivery(ctx, run.DeliveryID)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return delivery.Body, nil
}

func resultOf(r *db.Run, stages []db.StageExecution) RunResult {
	out := RunResult{
		TraceID: r.TraceID, RunID: r.ID, Definition: r.DefinitionName, DefinitionVersion: r.DefinitionVersion,
		Status: r.Status, Source: r.Source, Environment: r.Environment, Trigger: r.Trigger,
		IncidentID: text(r.IncidentID), ParentRunID: text(r.ParentRunID), RerunOfRunID: text(r.RerunOfRunID), RerunFrom: text(r.RerunFrom), Error: text(r.Error),
		ExecutedNodes: []string{}, SkippedNodes: []string{}, NodeResults: map[string]NodeResult{},
		ScheduledAt: moment(r.ScheduledAt), CreatedAt: r.CreatedAt, StartedAt: moment(r.StartedAt), FinishedAt: moment(r.FinishedAt),
		DurationMS: span(r.StartedAt, r.FinishedAt),
	}
	newest := newestOf(stages)
	last := slices.SortedFunc(func(yield func(db.StageExecution) bool) {
		for _, s := range newest {
			if !yield(s) {
				return
			}
		}
	}, func(a, b db.StageExecution) int {
		return cmp.Or(a.FinishedAt.Compare(b.FinishedAt), cmp.Compare(a.Position, b.Position))
	})
	for _, s := range last {
		out.NodeResults[s.NodeID] = nodeResult(&s)
		switch s.Status {
		case db.StageSkipped:
			out.SkippedNodes = append(out.SkippedNodes, s.NodeID)
		case db.StageSucceeded, db.StageFailed:
			if s.CopiedFrom != "" {
				continue
			}
			out.ExecutedNodes = append(out.ExecutedNodes, s.NodeID)
		}
	}
	if !r.Status.Terminal() {
		what, since := waitsFor(r, newest)
		out.WaitingFor, out.WaitingSince = &what, &since
	}
	return out
}

func nodeResult(s *db.StageExecution) NodeResult {
	return NodeResult{
		NodeID: s.NodeID, NodeType: s.NodeType, Status: s.Status, Attempt: s.Attempt, Output: s.Output,
		Errors: append([]string{}, s.Errors...), DurationMS: span(s.StartedAt, s.FinishedAt),
		Skipped: s.Status == db.StageSkipped, SkipReason: s.SkipReason, CopiedFrom: s.CopiedFrom,
	}
}

// waitsFor says what a run that has not ended waits for, and since when.
func waitsFor(r *db.Run, newest map[string]db.StageExecution) (what string, since time.Time) {
	what, since = "a process that starts it", r.CreatedAt
	if r.Status == db.RunRunning {
		what, since = "its next node to start", r.StartedAt
	}
	rank := 0
	for _, s := range newest {
		switch {
		case s.Status == db.StageRunning && (rank < 2 || s.StartedAt.Before(since)):
			rank, what, since = 2, fmt.Sprintf("%s (%s) to finish attempt %d", s.NodeID, s.NodeType, s.Attempt), s.StartedAt
			if s.NodeType == "pipeline" {
				what = fmt.Sprintf("%s (pipeline): the run %s to end", s.NodeID, subRunID(r.ID, s.NodeID))
			}
		case s.Status == db.StagePending && len(s.Errors) > 0 && rank < 1: // since when it waits is in its events
			rank, what, since = 1, fmt.Sprintf("%s (%s): %s", s.NodeID, s.NodeType, s.Errors[0]), r.StartedAt
		case s.Status == db.StageRetrying && rank < 1:
			rank, what, since = 1, fmt.Sprintf("attempt %d of %s (%s) at %s", s.Attempt+1, s.NodeID, s.NodeType, s.NotBefore.UTC().Format(time.RFC3339)), s.FinishedAt
			if len(s.Errors) > 0 {
				what += "; the last one failed: " + s.Errors[0]
			}
		}
	}
	return what, since
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func span(from, to time.Time) int64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return max(0, to.Sub(from).Milliseconds())
}
