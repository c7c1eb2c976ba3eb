package nodes

import (
	"context"
	"strconv"

	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
)

type conditionConfig struct {
	Expression string `json:"expression" jsonschema:"title=Expression,minLength=1,description=CEL expression that gives true\\, false or a text. The keys of next are its outcomes.,example=incident.severity == 'critical'"`
}

const conditionAbout = "Decides where the run goes on. next is an object from outcome to node: {\"true\": \"page\", \"false\": \"note\"}. " +
	"What only an outcome that did not happen leads to is skipped. Output: result and branch. A key that is not there is an error; write incident.?severity.orValue('') where it may be missing."

var conditionKind = expr.Options{Kind: expr.BoolOrString}

func conditionType() engine.NodeType {
	return define(definition.Type{Name: "condition", Title: "Condition", Description: conditionAbout, Branches: true},
		func(cfg conditionConfig, c *definition.Checker) {
			if p := c.Expression("/expression", cfg.Expression, conditionKind); p != nil && p.IsBool() {
				c.Outcomes("true", "false")
			}
		},
		func(cfg conditionConfig) (engine.Node, error) {
			p, err := expr.Compile(cfg.Expression, conditionKind)
			return condition{p}, err
		})
}

type condition struct{ program *expr.Program }

func (n condition) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	result, err := n.program.Eval(ctx, in.Vars)
	if err != nil {
		return engine.Output{}, err
	}
	branch, isText := result.(string)
	if !isText {
		branch = strconv.FormatBool(result.(bool))
	}
	return engine.Output{Data: map[string]any{"result": result, "branch": branch}, Branch: branch}, nil
}
