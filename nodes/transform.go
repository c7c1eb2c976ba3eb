package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

type transformConfig struct {
	SourceNode     string  `json:"source_node" jsonschema:"title=Source node,format=node,minLength=1,description=Id of the upstream node whose output is read."`
	Extract        string  `json:"extract,omitempty" jsonschema:"title=Extract,minLength=1,description=Path to the part to take\\, like recommendations or system.disk[0]. Without it: the whole output.,example=recommendations"`
	FilterPriority string  `json:"filter_priority,omitempty" jsonschema:"title=Priority,minLength=1,description=Keep the entries of the list whose priority this is. Upper and lower case are the same."`
	Filter         string  `json:"filter,omitempty" jsonschema:"title=Filter,format=cel,minLength=1,description=Keep the entries of the list for which this CEL expression is true. An entry is called item; a key that it does not have: not kept."`
	Mapping        mapping `json:"mapping,omitempty" jsonschema:"title=Mapping,minProperties=1,description=Make an object: for each key a path into what was extracted and filtered\\, or {\"cel\": expression} that sees it as item. What is not there is null."`
}

const transformAbout = "Takes a part of an upstream node's output, filters it and reshapes it, in this order: extract, filter_priority, filter, mapping. " +
	"Output: transformed, source_node, and unverified (true) if it holds text of an AI."

var (
	filterKind  = expr.Options{Kind: expr.Bool, Item: true}
	mappingKind = expr.Options{Item: true}
)

func transformType() engine.NodeType {
	return define(definition.Type{
		Name: "transform", Title: "Transform", Description: transformAbout,
		Schema: patched(drivers.SchemaOf[transformConfig](), patch{"properties.mapping.additionalProperties", mappedSchema}),
	}, checkTransform, newTransform)
}

func checkTransform(cfg transformConfig, c *definition.Checker) {
	c.Ref("/source_node", cfg.SourceNode)
	if cfg.Extract != "" {
		checkPath("/extract", cfg.Extract, c)
	} else if cfg.Filter != "" || cfg.FilterPriority != "" {
		c.Error("/extract", definition.CodeMissingKey, "A filter needs extract: it keeps entries of a list, and the output of a node is an object.")
	}
	if cfg.FilterPriority != "" && c.TypeOf(cfg.SourceNode) == "intelligence" && !slices.Contains(ai.Priorities, strings.ToLower(cfg.FilterPriority)) {
		c.Warn("/filter_priority", definition.CodeBadValue, "An analysis has no priority %q, so nothing will be kept. Known: %s.", cfg.FilterPriority, words(ai.Priorities))
	}
	if cfg.Filter != "" {
		c.Expression("/filter", cfg.Filter, filterKind)
	}
	cfg.Mapping.check("/mapping", mappingKind, c)
}

type transform struct {
	source, priority string
	extract          path
	filter           *expr.Program // nil: keep all
	mapping          *mapper       // nil: the value as it is
}

func newTransform(cfg transformConfig) (engine.Node, error) {
	n := transform{source: cfg.SourceNode, priority: cfg.FilterPriority}
	var errs [3]error
	if cfg.Extract != "" {
		n.extract, errs[0] = parsePath(cfg.Extract)
	}
	if cfg.Filter != "" {
		n.filter, errs[1] = expr.Compile(cfg.Filter, filterKind)
	}
	if cfg.Mapping != nil {
		n.mapping, errs[2] = cfg.Mapping.compile(mappingKind)
	}
	return n, errors.Join(errs[:]...)
}

func (n transform) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	out := engine.Output{Data: map[string]any{"source_node": n.source}}
	source := upstream(in, n.source)
	if source.Output == nil {
		out.Errors = append(out.Errors, fmt.Sprintf("%s has no output, so there is nothing to transform.", n.source))
	}
	var value any
	if source.Output != nil {
		value = n.extract.of(source.Output)
	}
	value, notes, err := n.keep(ctx, in, value)
	if err != nil {
		return engine.Output{}, err
	}
	out.Errors = append(out.Errors, notes...)
	if n.mapping != nil {
		vars := in.Vars
		vars.Item = value
		if value, err = n.mapping.object(ctx, vars, value); err != nil {
			return engine.Output{}, err
		}
	}
	out.Data["transformed"] = value
	if n.unverified(in) {
		out.Data["unverified"] = true
	}
	return out, nil
}

// keep filters a list. What is not there stays so: there is nothing to filter.
func (n transform) keep(ctx context.Context, in engine.Input, value any) (any, []string, error) {
	if value == nil || n.priority == "" && n.filter == nil {
		return value, nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, nil, fault.New(fault.Unprocessable, "A filter needs a list, but what extract leads to is not one.")
	}
	kept, without := []any{}, 0
	for _, item := range list {
		if n.priority != "" {
			fields, _ := item.(map[string]any)
			if priority, _ := fields["priority"].(string); !strings.EqualFold(priority, n.priority) {
				continue
			}
		}
		if n.filter != nil {
			vars := in.Vars
			vars.Item = item
			match, err := n.filter.Eval(ctx, vars)
			if _, missing := errors.AsType[*expr.Missing](err); missing {
				without++
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			if match != true {
				continue
			}
		}
		kept = append(kept, item)
	}
	if without > 0 {
		return kept, []string{fmt.Sprintf("filter: %d of %d entries do not have a key that the expression names; they were not kept.", without, len(list))}, nil
	}
	return kept, nil, nil
}

// unverified reports whether the result may hold text of an AI: from the source or through mapping.
func (n transform) unverified(in engine.Input) bool {
	ids := []string{n.source}
	if n.mapping != nil {
		for _, program := range n.mapping.programs {
			ids = append(ids, program.Nodes()...)
		}
	}
	return slices.ContainsFunc(ids, func(id string) bool { return unverified(upstream(in, id)) })
}

// upstream is the result of an upstream node; empty if it has none.
func upstream(in engine.Input, id string) engine.UpstreamResult {
	for _, u := range in.Upstream {
		if u.NodeID == id {
			return u
		}
	}
	return engine.UpstreamResult{}
}

// unverified reports whether a node's output holds text of an AI. Local rules are none.
func unverified(u engine.UpstreamResult) bool {
	switch u.Type {
	case "intelligence":
		provider, _ := u.Output["provider"].(string)
		return provider != "" && provider != "local"
	case "transform", "pipeline":
		return u.Output["unverified"] == true
	}
	return false
}
