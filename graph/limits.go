package graph

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// documentLimit refuses long documents before validation: the validator's check for overlapping fields
// takes time with the square of their number. It also hides numbers from it, see hideNumbers.
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
	fields, aliases, directives := 0, 0, 0
	var count func(ast.SelectionSet)
	count = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				fields++
				directives += len(s.Directives)
				if s.Alias != s.Name {
					aliases++
				}
				count(s.SelectionSet)
			case *ast.InlineFragment:
				directives += len(s.Directives)
				count(s.SelectionSet)
			case *ast.FragmentSpread:
				directives += len(s.Directives)
			}
		}
	}
	for _, op := range doc.Operations {
		directives += len(op.Directives)
		count(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		count(f.SelectionSet)
	}
	// With more than all operations may have together, one of them has too many. Fields that conflict under one alias are
	// dear to report.
	switch n := len(doc.Operations); {
	case fields > d.limits.Selections:
		return coded(codeComplexityLimit, "The document has %d fields; the limit is %d.", fields, d.limits.Selections)
	case n > 0 && aliases > n*d.limits.Aliases:
		return coded(codeAliasLimit, "The document has %d aliases; the limit is %d for each operation.", aliases, d.limits.Aliases)
	case n > 0 && directives > n*d.limits.Directives:
		return coded(codeDirectiveLimit, "The document has %d directives; the limit is %d for each operation.", directives, d.limits.Directives)
	}
	params.Query = hideNumbers(params.Query, doc)
	return nil
}

// shapeLimit refuses operations by their shape. Every fragment is looked at once, so it is cheap even
// where fragments spread fragments 2^n times; it must run before gqlgen's complexity walk, which
// expands them.
type shapeLimit struct{ limits Limits }

func (shapeLimit) ExtensionName() string                   { return "ShapeLimit" }
func (shapeLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (s shapeLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	w := shapeWalk{limits: s.limits, variables: op.Variables, fragments: map[string]shape{}}
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
	case w.outOfRange != nil:
		return w.outOfRange
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
	limits     Limits
	variables  map[string]any
	fragments  map[string]shape
	outOfRange *gqlerror.Error
	hasNUL     bool
	bareWord   string // where a literal of the scalar JSON has the name of an enum's value
}

func (w *shapeWalk) selections(set ast.SelectionSet) shape {
	var total shape
	for _, selection := range set {
		var one shape
		switch s := selection.(type) {
		case *ast.Field:
			one = w.selections(s.SelectionSet)
			if isIntrospection(s.Name) {
				one.depth = 0 // the validator has a rule for it
			}
			one.width = 1
			one.fields = saturated(one.fields + 1)
			one.depth++
			if s.Alias != s.Name {
				one.aliases = saturated(one.aliases + 1)
			}
			w.arguments(s.Arguments)
			w.amounts(s)
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

// amounts checks the arguments that say how many items are asked for.
func (w *shapeWalk) amounts(f *ast.Field) {
	for _, a := range f.Arguments {
		if w.outOfRange != nil || !slices.Contains([]string{"first", "last", "count", "ids"}, a.Name) {
			continue // others may be large documents
		}
		value, err := a.Value.Value(w.variables)
		if err != nil || value == nil {
			continue
		}
		if a.Name == "ids" {
			if ids, _ := value.([]any); len(ids) > w.limits.IDs {
				w.outOfRange = coded(codeBadUserInput, "Ask for at most %d ids at once.", w.limits.IDs)
			}
		} else if n, err := graphql.UnmarshalInt64(value); err != nil || n < 1 || n > int64(w.limits.Page) {
			w.outOfRange = coded(codeBadUserInput, "`%s` must be from 1 to %d.", a.Name, w.limits.Page)
		}
		if w.outOfRange != nil {
			w.outOfRange.Err = errTooMuch
			w.outOfRange.Locations = []gqlerror.Location{{Line: f.Position.Line, Column: f.Position.Column}}
		}
	}
}

// value looks for text that a store would refuse, and for what JSON does not have.
func (w *shapeWalk) value(at string, v *ast.Value, inJSON bool) {
	inJSON = inJSON || v.Definition != nil && v.Definition.Name == "JSON"
	if _, kept := literal(v.Raw); kept && inJSON {
		return
	}
	w.hasNUL = w.hasNUL || strings.ContainsRune(v.Raw, 0)
	if inJSON && v.Kind == ast.EnumValue && w.bareWord == "" {
		w.bareWord = at
	}
	for i, child := range v.Children {
		w.value(below(at, i, child), child.Value, inJSON)
	}
}

// fewErrors are the rules of validation, of which each reports no more errors than an answer shows: fields that
// conflict do so in pairs.
func fewErrors(most int) func() *rules.Rules {
	var few []core.Rule
	all := rules.NewDefaultRules().GetInner()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		few = append(few, core.Rule{Name: name, RuleFunc: func(observers *core.Events, add core.AddErrFunc) {
			n := 0
			all[name](observers, func(options ...core.ErrorOption) {
				if n++; n <= most {
					add(options...)
				}
			})
		}})
	}
	return func() *rules.Rules { return rules.NewRules(few...) }
}

func coded(code, format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	errcode.Set(err, code)
	return err
}
