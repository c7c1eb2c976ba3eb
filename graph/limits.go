package graph

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// Limits bound what one caller can ask for. A zero field means its default.
type Limits struct {
	Body       int64         // bytes of a request or socket message; default 256 KiB
	Tokens     int           // of a document; default 2,000
	Selections int           // fields written in a document; default 500
	Depth      int           // of nested fields; default 12. Introspection has a rule of its own
	Aliases    int           // of an operation, fragments expanded; default 30
	RootFields int           // the same; default 20
	Directives int           // the same; default 50
	Fields     int           // the same, without list sizes; default 10,000
	Complexity int           // with list sizes; default 5,000
	Errors     int           // shown in an answer; default 5
	Time       time.Duration // of a query or mutation; default 30 s

	Sockets    int           // open WebSockets of one caller; default 20
	Operations int           // at the same time on one socket; default 50
	Init       time.Duration // from the upgrade to connection_init; default 5 s
	Ping       time.Duration // between signs of life on streams and sockets; default 15 s
	Write      time.Duration // for a client to take one message of a stream; default 10 s
	Patience   time.Duration // for a subscriber whose queue is full; default 5 s
	Recheck    time.Duration // between looks at the credential of a stream; default 5 s
}

func (l Limits) withDefaults() Limits {
	orInt := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	orTime := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	if l.Body <= 0 {
		l.Body = 256 << 10
	}
	orInt(&l.Tokens, 2_000)
	orInt(&l.Selections, 500)
	orInt(&l.Depth, 12)
	orInt(&l.Aliases, 30)
	orInt(&l.RootFields, 20)
	orInt(&l.Directives, 50)
	orInt(&l.Fields, 10_000)
	orInt(&l.Complexity, 5_000)
	orInt(&l.Errors, 5)
	orInt(&l.Sockets, 20)
	orInt(&l.Operations, 50)
	orTime(&l.Time, 30*time.Second)
	orTime(&l.Init, 5*time.Second)
	orTime(&l.Ping, 15*time.Second)
	orTime(&l.Write, 10*time.Second)
	orTime(&l.Patience, 5*time.Second)
	orTime(&l.Recheck, 5*time.Second)
	return l
}

// documentLimit refuses, before validation, numbers that do not fit and long documents: the
// validator's check for overlapping fields takes time with the square of their number.
type documentLimit struct {
	limits Limits
	known  graphql.Cache[*ast.QueryDocument]
}

func (documentLimit) ExtensionName() string                   { return "DocumentLimit" }
func (documentLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (d documentLimit) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if _, ok := d.known.Get(ctx, params.Query); ok {
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: params.Query}, d.limits.Tokens)
	if err != nil {
		return nil // the executor parses too and says what is wrong
	}
	n := 0
	for _, op := range doc.Operations {
		n += written(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		n += written(f.SelectionSet)
	}
	if n > d.limits.Selections {
		return coded(codeComplexityLimit, "The document has %d fields; the limit is %d.", n, d.limits.Selections)
	}
	return checkNumbers(doc)
}

// written counts the fields of a selection as they stand there.
func written(set ast.SelectionSet) int {
	n := 0
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			n += 1 + written(s.SelectionSet)
		case *ast.InlineFragment:
			n += written(s.SelectionSet)
		}
	}
	return n
}

// shapeLimit refuses operations by their shape. Every fragment is looked at once, so it is cheap even
// where fragments spread fragments 2^n times; it must run before gqlgen's complexity walk, which
// expands them.
type shapeLimit struct{ limits Limits }

func (shapeLimit) ExtensionName() string                   { return "ShapeLimit" }
func (shapeLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (s shapeLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	w := shapeWalk{fragments: map[string]shape{}}
	got := w.selections(op.Operation.SelectionSet)
	w.directives(&got, op.Operation.Directives)
	for _, v := range op.Operation.VariableDefinitions {
		if v.DefaultValue != nil {
			w.value("$"+v.Variable, v.DefaultValue, false)
		}
	}
	for _, rule := range []struct {
		got, limit int
		code, what string
	}{
		{got.depth, s.limits.Depth, codeDepthLimit, "nests %d levels deep"},
		{got.width, s.limits.RootFields, codeRootFieldLimit, "has %d root fields"},
		{got.aliases, s.limits.Aliases, codeAliasLimit, "has %d aliases"},
		{got.directiveCount, s.limits.Directives, codeDirectiveLimit, "has %d directives"},
		{got.fields, s.limits.Fields, codeComplexityLimit, "selects %d fields"},
	} {
		if rule.got > rule.limit {
			return coded(rule.code, "The operation "+rule.what+"; the limit is %d.", rule.got, rule.limit)
		}
	}
	switch {
	case w.hasNUL:
		return coded(codeBadUserInput, "Text must not hold the character NUL.")
	case w.bareWord != "":
		return coded(codeBadUserInput, "%s: JSON has no names of enums; write text in quotes.", w.bareWord)
	}
	if op.Operation.Operation == ast.Subscription {
		// The validator counts names; fields are what is left after aliases, @skip and @include.
		if n := len(graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Subscription"})); n != 1 {
			return coded(errcode.ValidationFailed, "A subscription must select exactly one root field; this one selects %d.", n)
		}
	}
	return nil
}

// shape is the size of a selection with its fragments expanded; sums stop at the largest int32.
type shape struct{ width, fields, depth, aliases, directiveCount int }

func (s *shape) add(o shape) {
	s.width = saturated(s.width + o.width)
	s.fields = saturated(s.fields + o.fields)
	s.depth = max(s.depth, o.depth)
	s.aliases = saturated(s.aliases + o.aliases)
	s.directiveCount = saturated(s.directiveCount + o.directiveCount)
}

func saturated(n int) int { return min(n, math.MaxInt32) }

type shapeWalk struct {
	fragments map[string]shape
	hasNUL    bool
	bareWord  string // where a literal of the scalar JSON has the name of an enum's value
}

func (w *shapeWalk) selections(set ast.SelectionSet) shape {
	var total shape
	for _, selection := range set {
		var one shape
		switch s := selection.(type) {
		case *ast.Field:
			if !strings.HasPrefix(s.Name, "__") {
				one = w.selections(s.SelectionSet)
			}
			one.width = 1
			one.fields = saturated(one.fields + 1)
			one.depth++
			if s.Alias != s.Name {
				one.aliases = saturated(one.aliases + 1)
			}
			w.arguments(s.Arguments)
			w.directives(&one, s.Directives)
		case *ast.InlineFragment:
			one = w.selections(s.SelectionSet)
			w.directives(&one, s.Directives)
		case *ast.FragmentSpread:
			known, ok := w.fragments[s.Name]
			if !ok {
				known = w.selections(s.Definition.SelectionSet) // validation has refused cycles
				w.fragments[s.Name] = known
			}
			one = known
			w.directives(&one, s.Directives)
		}
		total.add(one)
	}
	return total
}

func (w *shapeWalk) directives(s *shape, list ast.DirectiveList) {
	s.directiveCount = saturated(s.directiveCount + len(list))
	for _, d := range list {
		w.arguments(d.Arguments)
	}
}

func (w *shapeWalk) arguments(list ast.ArgumentList) {
	for _, a := range list {
		w.value(a.Name, a.Value, false)
	}
}

// value looks for text that a store would refuse, and for what JSON does not have.
func (w *shapeWalk) value(at string, v *ast.Value, inJSON bool) {
	inJSON = inJSON || v.Definition != nil && v.Definition.Name == "JSON"
	w.hasNUL = w.hasNUL || strings.ContainsRune(v.Raw, 0)
	if inJSON && v.Kind == ast.EnumValue && w.bareWord == "" {
		w.bareWord = at
	}
	for i, child := range v.Children {
		w.value(below(at, i, child), child.Value, inJSON)
	}
}

func coded(code, format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, code)
	return err
}

// costs says what fields cost beyond the ordinary (a scalar nothing, an object 1): connections the
// page size times what is selected of an item, and what needs a statement of its own.
func costs() ComplexityRoot {
	page := func(child int, first, last *int32) int {
		n := int32(defaultPage)
		if first != nil {
			n = *first
		} else if last != nil {
			n = *last
		}
		// Out of range is refused by the resolver; here it must only not overflow.
		return 1 + int(min(max(n, 1), 1000))*max(child, 1)
	}
	nested := func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return 10 + page(child, first, last) // a statement of its own for every parent
	}
	var c ComplexityRoot
	c.Query.PipelineDefinitions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineDefinitionFilter) int {
		return page(child, first, last)
	}
	c.Query.Runs = func(child int, first *int32, _ *string, last *int32, _ *string, _ *PipelineRunFilter) int {
		return page(child, first, last)
	}
	c.Query.Incidents = func(child int, first *int32, _ *string, last *int32, _ *string, _ *IncidentFilter) int {
		return page(child, first, last)
	}
	c.Query.Alerts = func(child int, first *int32, _ *string, last *int32, _ *string, _ *AlertFilter) int {
		return page(child, first, last)
	}
	c.Query.Channels = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	c.Query.Sources = func(child int, first *int32, _ *string, last *int32, _ *string) int {
		return page(child, first, last)
	}
	c.Query.ServerStatus = func(child int) int { return 10 + child }
	c.Query.Nodes = func(child int, ids []string) int { return 1 + len(ids)*max(child, 1) }
	c.PipelineDefinition.Versions = nested
	c.PipelineDefinition.Runs = nested
	c.Incident.Alerts = nested
	c.Incident.Runs = nested
	c.Query.Deliveries = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DeliveryFilter) int {
		return page(child, first, last)
	}
	c.Query.Decisions = func(child int, first *int32, _ *string, last *int32, _ *string, _ *DecisionFilter) int {
		return page(child, first, last)
	}
	c.Query.Why = func(child int, _ string) int { return 10 + 50*max(child, 1)/5 }
	c.Incident.Decisions = nested
	c.Delivery.Decisions = func(child int) int { return 1 + 3*max(child, 1) }
	c.Delivery.Body = func(int) int { return 50 } // up to 1 MiB
	c.Delivery.Alerts = func(int) int { return 50 }
	c.PipelineRun.ChildRuns = nested
	c.PipelineRun.Stages = func(child int) int { return 1 + 3*max(child, 1) }
	c.PipelineRun.Result = func(int) int { return 5 }
	count := func(int) int { return 1 } // of the connection, so it is multiplied too
	c.PipelineDefinitionConnection.TotalCount = count
	c.PipelineRunConnection.TotalCount = count
	c.IncidentConnection.TotalCount = count
	c.AlertConnection.TotalCount = count
	c.DeliveryConnection.TotalCount = count
	c.DecisionConnection.TotalCount = count
	return c
}
