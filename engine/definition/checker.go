package definition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"penstock/engine/expr"
)

// Checker is what a [Type.Check] reports to, and where it learns what surrounds its node. Paths are
// JSON pointers into the config: "/message", or "" for the whole.
type Checker struct {
	Catalog Catalog
	NodeID  string

	v    *validation
	node int
	base string // pointer to what paths are relative to
}

// Error reports something that must be fixed before the definition can run.
func (c *Checker) Error(path, code, format string, args ...any) {
	c.v.report(Issue{Path: c.base + path, Code: code, Message: fmt.Sprintf(format, args...), NodeID: c.NodeID})
}

// Warn reports something that may be a mistake, or that is still to be done.
func (c *Checker) Warn(path, code, format string, args ...any) {
	c.v.report(Issue{Path: c.base + path, Code: code, Message: fmt.Sprintf(format, args...), NodeID: c.NodeID, Severity: SeverityWarning})
}

// Expression compiles source and checks that the nodes it names are upstream. It returns nil if it
// does not compile; that is reported.
func (c *Checker) Expression(path, source string, o expr.Options) *expr.Program {
	if c.tooMuch(path, source) {
		return nil
	}
	program, err := expr.Compile(source, o)
	if err != nil {
		c.notCompiled(path, CodeBadExpression, "expression", err)
		return nil
	}
	c.refs(path, program.Nodes())
	return program
}

// Template compiles source and checks that the nodes it names are upstream. It returns nil if it
// does not compile; that is reported.
func (c *Checker) Template(path, source string) *expr.Template {
	if c.tooMuch(path, source) {
		return nil
	}
	template, err := expr.CompileTemplate(source)
	if err != nil {
		c.notCompiled(path, CodeBadTemplate, "template", err)
		return nil
	}
	c.refs(path, template.Nodes())
	return template
}

// tooMuch reports the first source with which there are more of them than may be compiled: that takes its time.
func (c *Checker) tooMuch(path, source string) bool {
	before := c.v.sources
	c.v.sources += len(source)
	if before <= MaxExpressions && c.v.sources > MaxExpressions {
		c.Error(path, CodeTooLarge, "The expressions and templates of the definition have more than %d bytes. Split it into several definitions.", MaxExpressions)
	}
	return c.v.sources > MaxExpressions
}

func (c *Checker) notCompiled(path, code, what string, err error) {
	c.notCompiledIn(c.name(), path, code, what, err)
}

func (c *Checker) notCompiledIn(where, path, code, what string, err error) {
	if e, ok := errors.AsType[*expr.CompileError](err); ok {
		c.v.report(Issue{Path: c.base + path, Code: code, NodeID: c.NodeID, Line: e.Line, Column: e.Column,
			Message: fmt.Sprintf("The %s of %s does not compile: line %d, column %d: %s.", what, where, e.Line, e.Column, e.Message)})
		return
	}
	c.Error(path, code, "The %s of %s does not compile: %v.", what, where, err)
}

func (c *Checker) refs(path string, ids []string) {
	for _, id := range ids {
		c.Ref(path, id)
	}
}

// Ref checks that id is a node that has run before this one, and reports it otherwise.
func (c *Checker) Ref(path, id string) bool {
	i, known := c.v.graph.index[id]
	switch {
	case !known:
		c.Error(path, CodeUnknownNode, "%s refers to %q, but no node has that id. %s", capital(c.name()), id, c.v.graph.suggest(id, c.node))
	case i == c.node:
		c.Error(path, CodeNotUpstream, "%s refers to itself, but it has no result before it has run.", capital(c.name()))
	case !c.v.graph.ancestors[c.node][i]:
		c.Error(path, CodeNotUpstream, "%s refers to %q, which does not run before it. %s", capital(c.name()), id, c.upstreamHint())
	default:
		return true
	}
	return false
}

func (c *Checker) upstreamHint() string {
	if len(c.Upstream()) == 0 {
		return "Nothing runs before it."
	}
	return "Upstream: " + joinWords(c.Upstream()) + "."
}

// Upstream returns the ids of all nodes that run before this one, in the order of the document.
func (c *Checker) Upstream() []string {
	var ids []string
	for i, n := range c.v.doc.Nodes {
		if n.ID != "" && i != c.node && c.v.graph.ancestors[c.node][i] {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// TypeOf returns the type of a node, "" if no node has that id.
func (c *Checker) TypeOf(id string) string {
	i, ok := c.v.graph.index[id]
	if !ok {
		return ""
	}
	return c.v.doc.Nodes[i].Type
}

// Channel looks a stored channel up.
func (c *Checker) Channel(name string) (Channel, bool) {
	channel, ok := c.Catalog.Channels[name]
	return channel, ok
}

// Outcomes says that the node can have no other outcomes than these. Edges for others are reported.
func (c *Checker) Outcomes(possible ...string) {
	next := c.v.doc.Nodes[c.node].Next
	if next == nil {
		return
	}
	for _, outcome := range next.Outcomes() {
		if !slices.Contains(possible, outcome) {
			c.v.report(Issue{
				Path: fmt.Sprintf("/nodes/%d/next%s", c.node, pointer(outcome)), Code: CodeUnknownOutcome, NodeID: c.NodeID,
				Message: fmt.Sprintf("%s can never have the outcome %q, so what follows would never run. Possible: %s.", capital(c.name()), outcome, joinWords(possible)),
			})
		}
	}
}

// Results says that the node can have these outcomes, among others. Those for which next has no key are reported.
func (c *Checker) Results(path string, outcomes []string) {
	next := c.v.doc.Nodes[c.node].Next
	if next == nil || next.When == nil {
		return
	}
	for _, outcome := range outcomes {
		if _, named := next.When[outcome]; !named {
			c.Warn(path, CodeUnhandledOutcome, "%s can have the outcome %q, but next has no key for it: whatever follows is skipped then. Named: %s.", capital(c.name()), outcome, joinWords(next.Outcomes()))
		}
	}
}

// name is how messages call the node.
func (c *Checker) name() string {
	if c.NodeID == "" {
		return fmt.Sprintf("node %d", c.node+1)
	}
	return fmt.Sprintf("node %q", c.NodeID)
}

func timeout(t Type, written ...*int) time.Duration {
	for _, seconds := range written {
		if seconds != nil {
			return time.Duration(*seconds) * time.Second
		}
	}
	if t.Waits {
		return 0
	}
	return cmp.Or(t.Timeout, DefaultTimeout)
}
