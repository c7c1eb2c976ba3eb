package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"penstock/drivers"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

type conditionConfig struct {
	Expression string          `json:"expression,omitempty" jsonschema:"title=Expression,format=cel,minLength=1,description=CEL expression that gives true\\, false or a text. The keys of next are its outcomes.,example=incident.severity == 'critical'"`
	Cases      []conditionCase `json:"cases,omitempty" jsonschema:"title=Cases,minItems=1,maxItems=100,description=In place of expression and next: the first case that holds says where the run goes on."`
	Else       definition.IDs  `json:"else,omitempty"`
}

type conditionCase struct {
	When string         `json:"when" jsonschema:"title=When,format=cel,minLength=1,description=CEL expression that gives true or false."`
	Next definition.IDs `json:"next"`
}

const conditionAbout = "Decides where the run goes on. With expression, next is an object from outcome to node: {\"true\": \"page\", \"false\": \"note\"}. " +
	"With cases, the first whose when is true leads on, else the nodes in else: {\"cases\": [{\"when\": \"incident.severity == 'critical'\", \"next\": \"page\"}], \"else\": \"note\"}; later cases are not evaluated. " +
	"What only an outcome that did not happen leads to is skipped. Output: result and branch; with cases both are \"case 1\", \"case 2\" and so on, or \"else\". " +
	"A key that is not there is an error; write incident.?severity.orValue('') where it may be missing."

var (
	conditionKind = expr.Options{Kind: expr.BoolOrString}
	caseKind      = expr.Options{Kind: expr.Bool}
)

const elseBranch = "else"

func caseBranch(i int) string { return fmt.Sprintf("case %d", i+1) }

func conditionType() engine.NodeType {
	return define(definition.Type{
		Name: "condition", Title: "Condition", Description: conditionAbout, Branches: true, Targets: conditionTargets,
		Schema: patched(drivers.SchemaOf[conditionConfig](),
			patch{"anyOf", []any{map[string]any{"required": []string{"expression"}}, map[string]any{"required": []string{"cases"}}}},
			patch{"properties.cases.items.properties.next.title", "Next"},
			patch{"properties.cases.items.properties.next.description", "Where the run goes on in this case: an id or a list of ids."},
			patch{"properties.else.title", "Else"},
			patch{"properties.else.description", "Where the run goes on when no case holds: an id or a list of ids. Without it nothing follows then."},
		),
	}, checkCondition, newCondition)
}

func conditionTargets(config json.RawMessage) (targets []definition.Target) {
	var cfg conditionConfig
	_ = json.Unmarshal(config, &cfg) // what cannot be read is the schema's to report
	for i, c := range cfg.Cases {
		targets = append(targets, definition.Target{Path: fmt.Sprintf("/cases/%d/next", i), Outcome: caseBranch(i), IDs: c.Next})
	}
	if len(cfg.Else) > 0 {
		targets = append(targets, definition.Target{Path: "/else", Outcome: elseBranch, IDs: cfg.Else})
	}
	return targets
}

func checkCondition(cfg conditionConfig, c *definition.Checker) {
	switch {
	case cfg.Expression != "" && len(cfg.Cases) > 0:
		c.Error("/expression", definition.CodeBadValue, "A condition has either an expression, whose outcomes next names, or cases. Remove one of them.")
	case cfg.Else != nil && len(cfg.Cases) == 0:
		c.Error("/else", definition.CodeBadValue, "else belongs to cases. With an expression, next names the outcomes: {\"true\": …, \"false\": …}.")
	}
	if cfg.Expression != "" {
		switch p := c.Expression("/expression", cfg.Expression, conditionKind); {
		case p == nil:
		case p.IsBool():
			c.Outcomes("true", "false")
		default:
			c.Results("/expression", p.Texts())
		}
	}
	for i, one := range cfg.Cases {
		c.Expression(fmt.Sprintf("/cases/%d/when", i), one.When, caseKind)
	}
}

func newCondition(cfg conditionConfig) (engine.Node, error) {
	if cfg.Expression != "" {
		p, err := expr.Compile(cfg.Expression, conditionKind)
		return condition{p}, err
	}
	var n cases
	var errs []error
	for _, one := range cfg.Cases {
		p, err := expr.Compile(one.When, caseKind)
		n, errs = append(n, p), append(errs, err)
	}
	return n, errors.Join(errs...)
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
	return decided(result, branch), nil
}

type cases []*expr.Program

func (n cases) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	for i, program := range n {
		holds, err := program.Eval(ctx, in.Vars)
		if err != nil {
			return engine.Output{}, fault.Wrap(err, fault.Unprocessable, "%s: %s", caseBranch(i), fault.Of(err).Message)
		}
		if holds == true {
			return decided(caseBranch(i), caseBranch(i)), nil
		}
	}
	return decided(elseBranch, elseBranch), nil
}

func decided(result any, branch string) engine.Output {
	return engine.Output{Data: map[string]any{"result": result, "branch": branch}, Branch: branch}
}
