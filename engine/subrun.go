package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/fault"
)

// maxDepth is how many runs may stand in a chain of runs that started each other.
const maxDepth = 8

// subRunID is the run that a node of a run starts: the same for every attempt, on every process.
func subRunID(runID, nodeID string) string {
	sum := sha256.Sum256([]byte(runID + "/" + nodeID))
	id := uuid.UUID(sum[:16])
	if parent, err := uuid.Parse(runID); err == nil {
		copy(id[:6], parent[:6]) // the time, so that ids stay in the order of time
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80 // version 7
	return id.String()
}

// SubRun implements [Services].
func (s *services) SubRun(ctx context.Context, in SubRun) (SubRunResult, error) {
	id := subRunID(s.run.ID, s.nodeID)
	child, err := s.e.store.Run(ctx, id)
	if fault.Is(err, fault.NotFound) {
		child, err = s.startSubRun(ctx, id, in)
	}
	if err != nil {
		return SubRunResult{}, err
	}
	result := SubRunResult{RunID: id, Definition: child.DefinitionName, Version: child.DefinitionVersion, Status: child.Status}
	if !in.Wait {
		return result, nil
	}
	if !child.Status.Terminal() {
		if err := s.await(ctx, id); err != nil {
			return result, err
		}
	}
	return s.e.subRunResult(ctx, id)
}

// startSubRun commits the run and starts it. It is not paced: its parent was, and waits for it.
func (s *services) startSubRun(ctx context.Context, id string, in SubRun) (*db.Run, error) {
	e, parent := s.e, &s.run
	if len(in.Payload) > maxOutput {
		return nil, fault.New(fault.Unprocessable, "The payload is %d bytes; at most %d are allowed.", len(in.Payload), maxOutput)
	}
	def, plan, err := e.runnable(ctx, in.Definition, in.Version)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(err, fault.Unprocessable, "%s", fault.Of(err).Message)
	}
	if err == nil {
		err = e.notTooDeep(ctx, parent, def.Name)
	}
	if err != nil {
		return nil, err
	}
	run := newRun(def, plan.versionID, now())
	run.ID, run.ParentRunID, run.Trigger = id, parent.ID, db.TriggerPipeline
	run.TraceID, run.Source, run.Environment, run.CreatedBy = parent.TraceID, parent.Source, parent.Environment, parent.CreatedBy
	run.IncidentID, run.Payload = parent.IncidentID, in.Payload
	data, err := e.dataOf(ctx, &run)
	if err != nil {
		return nil, err
	}
	e.fresh.Store(id, e.prepare(run, plan, data, nil))
	if err := e.store.Accept(ctx, db.Acceptance{Runs: []db.Run{run}}); err != nil {
		e.fresh.Delete(id)
		if fault.Is(err, fault.Conflict) { // an earlier attempt that was thought dead
			return e.store.Run(ctx, id)
		}
		return nil, err
	}
	e.startSoon(run)
	return &run, nil
}

// notTooDeep refuses to start a run below too many others.
func (e *Engine) notTooDeep(ctx context.Context, parent *db.Run, name string) error {
	way := []string{name}
	for run := parent; ; {
		way = append([]string{run.DefinitionName}, way...)
		if len(way) > maxDepth {
			return fault.New(fault.Unprocessable, "At most %d runs may start each other: %s.", maxDepth, strings.Join(way, " → "))
		}
		if run.ParentRunID == "" {
			return nil
		}
		var err error
		if run, err = e.store.Run(ctx, run.ParentRunID); fault.Is(err, fault.NotFound) {
			return nil // removed since
		} else if err != nil {
			return err
		}
	}
}

// await waits until a run started by this node has ended, whichever process works it. If this run is
// cancelled, that one is too. After a while it gives up with errAwaits, so that this run can rest.
func (s *services) await(ctx context.Context, id string) error {
	e := s.e
	// What waits works nothing: it must not keep others from being started.
	e.load.Add(-1)
	defer e.load.Add(1)
	parent, err := e.store.Run(ctx, s.run.ID)
	if err != nil {
		return err
	}
	err = errCancelled // before there was a run to cancel
	if parent.Status != db.RunCancelled {
		looking, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		if s.plan.Nodes[s.plan.ByID[s.nodeID]].Timeout == 0 { // else its time runs in memory
			defer time.AfterFunc(e.o.RestAfter, func() { stop(errAwaits) }).Stop()
		}
		err = e.ended(looking, id)
	}
	if errors.Is(err, errCancelled) {
		_ = e.cancelSubRun(context.WithoutCancel(ctx), s.run.ID, s.nodeID) // so does the canceller, who tells what goes wrong
	}
	return err
}

// ended waits for the end of a run, and no longer than this process may wait.
func (e *Engine) ended(ctx context.Context, id string) error {
	var stopping sync.WaitGroup
	defer stopping.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stopping.Go(func() {
		select {
		case <-e.stopping:
			stop(errStopping)
		case <-ctx.Done():
		}
	})
	after, err := e.store.LastSequence(ctx, id)
	if err == nil {
		for _, err = range e.Watch(ctx, id, after) {
			if err != nil {
				break
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// subRunResult is what a run that has ended gives to the one that started it.
func (e *Engine) subRunResult(ctx context.Context, id string) (SubRunResult, error) {
	run, err := e.store.Run(ctx, id)
	if err != nil {
		return SubRunResult{}, err
	}
	plan, err := e.compiled.version(ctx, e, run.VersionID)
	if err != nil {
		return SubRunResult{}, err
	}
	stages, err := e.store.Stages(ctx, id)
	if err != nil {
		return SubRunResult{}, err
	}
	return subRunResultOf(run, plan, newestOf(stages)), nil
}

func subRunResultOf(run *db.Run, plan *plan, newest map[string]db.StageExecution) SubRunResult {
	r := SubRunResult{RunID: run.ID, Definition: run.DefinitionName, Version: run.DefinitionVersion, Status: run.Status, Error: run.Error}
	follows := map[string]bool{}
	for _, node := range plan.Nodes {
		for _, edge := range node.Needs {
			follows[edge.From] = true
		}
	}
	for _, node := range plan.Nodes {
		stage := newest[node.ID]
		if stage.Status == db.StageFailed {
			r.Failed = append(r.Failed, node.ID)
		}
		if output := plainObject(stage.Output); !follows[node.ID] && output != nil {
			r.Final = append(r.Final, ai.NodeOutput{NodeID: node.ID, Type: node.Type, Output: output})
		}
	}
	return r
}

// newestOf is the newest attempt of each node; stages come by attempt.
func newestOf(stages []db.StageExecution) map[string]db.StageExecution {
	newest := make(map[string]db.StageExecution, len(stages))
	for _, s := range stages {
		newest[s.NodeID] = s
	}
	return newest
}

// cancelSubRun cancels the run that a node started, if it has one that has not ended.
func (e *Engine) cancelSubRun(ctx context.Context, runID, nodeID string) error {
	_, err := e.Cancel(ctx, subRunID(runID, nodeID), "the run that waits for it was cancelled", "")
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// cancelOutlived cancels runs whose canceller died before it came to them: the run that waits for them is
// cancelled. What was started without waiting for it goes on.
func (e *Engine) cancelOutlived(ctx context.Context) error {
	runs, err := e.store.OutlivedRuns(ctx, largestStep)
	if err != nil || len(runs) == 0 {
		return err
	}
	parents := make([]string, len(runs))
	for i, r := range runs {
		parents[i] = r.ParentRunID
	}
	byRun, err := e.store.StagesByRun(ctx, unique(parents))
	if err != nil {
		return err
	}
	for _, r := range runs {
		for _, s := range byRun[r.ParentRunID] {
			if subRunID(s.RunID, s.NodeID) == r.ID && e.cancelsSubRun(s) {
				if err := e.cancelSubRun(ctx, s.RunID, s.NodeID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cancelsSubRun reports whether a stage was cancelled that waited for a run, or was about to.
func (e *Engine) cancelsSubRun(s db.StageExecution) bool {
	return s.Status == db.StageCancelled && e.catalog.Types[s.NodeType].Waits
}

// retrySubRun continues the run that a node started, if that failed or was cancelled.
func (e *Engine) retrySubRun(ctx context.Context, runID, nodeID, actor string) error {
	child, err := e.store.Run(ctx, subRunID(runID, nodeID))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && (child.Status == db.RunFailed || child.Status == db.RunCancelled) {
		_, err = e.Retry(ctx, child.ID, actor)
	}
	return err
}
