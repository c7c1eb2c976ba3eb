package expr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"penstock/fault"
)

// Kind is what an expression has to result in.
type Kind int

const (
	Any Kind = iota
	Bool
	BoolOrString
)

// Options say what an expression is for. The zero value is an expression of any result.
type Options struct {
	Kind Kind
	Item bool // the variable item exists
}

func (o Options) names() []string {
	if o.Item {
		return append(Names(), "item")
	}
	return Names()
}

// Program is a compiled expression.
type Program struct {
	source  string
	options Options
	program cel.Program
	typ     *cel.Type
	nodes   []string
	reads   [][]string // paths of what it reads, each from a variable on
	texts   []string   // written in it as what it may result in
}

// Compile checks an expression. The error is a *CompileError.
func Compile(source string, o Options) (*Program, error) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, &CompileError{1, 1, "the expression is empty"}
	case len(source) > MaxSource:
		return nil, &CompileError{1, 1, fmt.Sprintf("the expression is longer than %d bytes", MaxSource)}
	case !utf8.ValidString(source):
		return nil, &CompileError{1, 1, "the expression is not valid UTF-8"}
	}
	env := plain()
	if o.Item {
		env = withItem()
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, compileError(issues, source, o)
	}
	p := &Program{source: source, options: o, typ: checked.OutputType()}
	if err := p.inspect(checked.NativeRep()); err != nil {
		return nil, err
	}
	p.texts = resultTexts(checked.NativeRep().Expr())
	if !o.Kind.accepts(p.typ) {
		return nil, &CompileError{1, 1, fmt.Sprintf("the expression gives %s, but %s is needed", typeName(p.typ), o.Kind)}
	}
	program, err := env.Program(checked, env.programOptions()...)
	if err != nil {
		return nil, &CompileError{1, 1, err.Error()}
	}
	p.program = program
	return p, nil
}

// String returns the source.
func (p *Program) String() string { return p.source }

// Nodes returns the ids that the expression uses as nodes.<id> or nodes["<id>"], each once.
func (p *Program) Nodes() []string { return slices.Clone(p.nodes) }

// Texts returns the texts that are written in the expression as what it may result in. It may result in others too.
func (p *Program) Texts() []string { return slices.Clone(p.texts) }

// IsBool reports whether the expression can result in nothing but true and false.
func (p *Program) IsBool() bool { return p.options.Kind == Bool || p.typ.IsExactType(cel.BoolType) }

// Eval computes the expression. The result is plain data. A key that is not there is a *Missing in
// the error's chain; all errors but ctx's own say in words for the user what is wrong.
func (p *Program) Eval(ctx context.Context, vars Vars) (any, error) {
	value, _, err := p.eval(ctx, vars)
	return value, err
}

// eval also says what it has cost. An evaluation that meets its deadline although it has done next to
// nothing was kept waiting by a busy machine; it is pure, so it is tried again.
func (p *Program) eval(ctx context.Context, vars Vars) (value any, spent uint64, err error) {
	var out ref.Val
	for range attempts {
		limited, cancel := context.WithTimeout(ctx, Deadline)
		var details *cel.EvalDetails
		out, details, err = p.program.ContextEval(limited, activation{vars})
		cancel()
		spent = 0
		if c := details.ActualCost(); c != nil {
			spent = *c
		}
		if !errors.Is(err, interpreter.InterruptError{}) || ctx.Err() != nil || spent > maxCost/10 {
			break
		}
	}
	if err != nil {
		return nil, spent, evalError(ctx, p.source, err)
	}
	value, err = p.result(out)
	return value, spent, err
}

// result turns a CEL value into plain data of the kind that is asked for.
func (p *Program) result(out ref.Val) (any, error) {
	value, err := native(out)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unprocessable, "The expression %q failed: its result is too large.", brief(p.source))
	}
	switch value.(type) {
	case bool:
		return value, nil
	case string:
		if p.options.Kind != Bool {
			return value, nil
		}
	default:
		if p.options.Kind == Any {
			return value, nil
		}
	}
	return nil, fault.New(fault.Unprocessable, "The expression %q gave %s, but %s is needed.", brief(p.source), brief(Text(value)), p.options.Kind)
}

func (k Kind) String() string {
	switch k {
	case Bool:
		return "true or false"
	case BoolOrString:
		return "true, false or a text"
	}
	return "a value"
}

func (k Kind) accepts(t *cel.Type) bool {
	if t.Kind() == types.DynKind {
		return true
	}
	switch k {
	case Bool:
		return t.Kind() == types.BoolKind
	case BoolOrString:
		return t.Kind() == types.BoolKind || t.Kind() == types.StringKind
	}
	return true
}

func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.StringKind:
		return "a text"
	case types.IntKind, types.UintKind, types.DoubleKind:
		return "a number"
	case types.ListKind:
		return "a list"
	case types.MapKind:
		return "an object"
	case types.BoolKind:
		return "true or false"
	}
	return t.String()
}

// inspect notes the nodes that are used, and refuses what CEL would only notice at run time: keys
// that no node result has, and patterns of matches that are not written in the expression or too big.
func (p *Program) inspect(tree *ast.AST) error {
	var problem *CompileError
	report := func(e ast.Expr, format string, args ...any) {
		if problem == nil {
			at := tree.SourceInfo().GetStartLocation(e.ID())
			problem = &CompileError{max(at.Line(), 1), max(at.Column()+1, 1), fmt.Sprintf(format, args...)}
		}
	}
	inner := map[int64]bool{} // expressions that are part of a longer path
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		p.note(e, inner)
		if id, ok := nodeID(e); ok && !slices.Contains(p.nodes, id) {
			p.nodes = append(p.nodes, id)
		}
		if of, key, ok := selection(e); ok && !slices.Contains(nodeKeys, key) {
			if id, ok := nodeID(of); ok {
				report(e, "nodes.%s has no key %q; available: %s", id, key, strings.Join(nodeKeys, ", "))
			}
		}
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches" {
			args := e.AsCall().Args()
			last := args[len(args)-1]
			source, ok := literal(last)
			if !ok {
				report(last, "the pattern of matches must be a quoted text")
			} else if _, size, err := pattern(source); err != nil {
				report(last, "the pattern is not valid: %v", err)
			} else if size > maxRegexp {
				report(last, "the pattern is too big: %d instructions, at most %d are allowed", size, maxRegexp)
			}
		}
	}))
	if problem != nil {
		return problem
	}
	return nil
}

// resultTexts follows both ways of c ? a : b, and the default of orValue.
func resultTexts(e ast.Expr) []string {
	if text, ok := literal(e); ok {
		return []string{text}
	}
	if e.Kind() != ast.CallKind {
		return nil
	}
	switch args := e.AsCall().Args(); e.AsCall().FunctionName() {
	case operators.Conditional:
		return append(resultTexts(args[1]), resultTexts(args[2])...)
	case "orValue":
		return resultTexts(args[0])
	}
	return nil
}

// nodeID is the id in nodes.<id>, nodes["<id>"] and their optional forms.
func nodeID(e ast.Expr) (string, bool) {
	of, key, ok := selection(e)
	if !ok || of.Kind() != ast.IdentKind || strings.TrimPrefix(of.AsIdent(), ".") != "nodes" {
		return "", false
	}
	return key, true
}

// selection takes apart a.key, a["key"], a.?key and a[?"key"].
func selection(e ast.Expr) (of ast.Expr, key string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().Operand(), e.AsSelect().FieldName(), true
	case ast.CallKind:
		switch call := e.AsCall(); call.FunctionName() {
		case operators.Index, operators.OptIndex, operators.OptSelect:
			key, ok = literal(call.Args()[1])
			return call.Args()[0], key, ok
		}
	}
	return nil, "", false
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
