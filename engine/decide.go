package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// What a node's own conditions and edges decided; these begin the reasons. A retry of the run decides
// again if a node before it runs again.
const (
	branchNotTaken  = "the branch that leads here was not taken"
	skipIfErrors    = "skip_if_errors: "
	skipIfCondition = "skip_if_condition: "
	whenIsFalse     = "when is false: "
)

// needs reports whether all predecessors are final, and whether any edge from them is taken. It notes
// whether one of these comes from an on_error.
func (p *progress) needs(node *definition.PlanNode) (ready, live bool) {
	if len(node.Needs) == 0 {
		return true, true
	}
	rescue := false
	for _, edge := range node.Needs {
		from := p.results[edge.From]
		if !from.final {
			return false, false
		}
		if from.takes(edge) {
			live, rescue = true, rescue || edge.OnError || from.rescue
		}
	}
	p.results[node.ID].rescue = rescue
	return true, live
}

// takes reports whether a final node leads on by this edge.
func (st *nodeState) takes(edge definition.Edge) bool {
	if edge.OnError {
		return st.status == db.StageFailed
	}
	return st.passed && (edge.Outcome == "" || edge.Outcome == st.branch)
}

// notTaken is the reason why a node is skipped to which no edge leads.
func (p *progress) notTaken(node *definition.PlanNode) string {
	var why []string
	for _, edge := range node.Needs {
		text, from := "", p.results[edge.From]
		switch {
		case from.status == db.StageSkipped:
			text = edge.From + " was skipped"
		case edge.OnError:
			text = edge.From + " did not fail"
		case from.status == db.StageFailed:
			text = edge.From + " failed"
		default:
			text = fmt.Sprintf("%s chose %q", edge.From, from.branch)
			next := p.plan.Nodes[p.plan.ByID[edge.From]].Next
			if next != nil && next.When != nil && next.When[from.branch] == nil && from.branch != "false" && from.branch != "true" {
				text += ", for which its next has no key"
			}
		}
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	return branchNotTaken + ": " + strings.Join(why, ", ")
}

// skipReason evaluates the node's own conditions; "" means it runs.
func (p *progress) skipReason(ctx context.Context, node *definition.PlanNode, now time.Time) (string, error) {
	for _, id := range node.SkipIfErrors {
		if r := p.results[id]; r != nil && len(r.errors) > 0 {
			return skipIfErrors + id + " has errors", nil
		}
	}
	if node.RunIf == nil && node.SkipIf == nil {
		return "", nil
	}
	vars := p.vars(node, now)
	if node.SkipIf != nil {
		hit, err := boolean(ctx, node.SkipIf, vars)
		if err != nil {
			return "", fault.Wrap(err, fault.Unprocessable, "skip_if_condition cannot be evaluated. %s", fault.Of(err).Message)
		}
		if hit {
			return skipIfCondition + node.SkipIfCondition, nil
		}
	}
	if node.RunIf != nil {
		hit, err := boolean(ctx, node.RunIf, vars)
		if err != nil {
			return "", fault.Wrap(err, fault.Unprocessable, "when cannot be evaluated. %s", fault.Of(err).Message)
		}
		if !hit {
			return whenIsFalse + node.When, nil
		}
	}
	return "", nil
}

func boolean(ctx context.Context, program *expr.Program, vars expr.Vars) (bool, error) {
	v, err := program.Eval(ctx, vars)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fault.New(fault.Unprocessable, "The result is not true or false.")
	}
	return b, nil
}
