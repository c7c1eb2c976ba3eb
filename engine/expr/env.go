package expr

import (
	"math/bits"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// environment is what expressions are compiled in, and what every program of it has in common.
type environment struct {
	*cel.Env
	charges []cost.TrackerOption
}

// plain and withItem are built at first use; they never change after that.
var (
	plain    = sync.OnceValue(func() *environment { return newEnvironment() })
	withItem = sync.OnceValue(func() *environment { return newEnvironment(cel.Variable("item", cel.DynType)) })
)

func newEnvironment(more ...cel.EnvOption) *environment {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		ext.Strings(), ext.Math(), ext.Lists(ext.ListsMaxRangeSize(maxRange)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(MaxSource),
		cel.Variable("payload", cel.DynType),
		cel.Variable("alert", cel.DynType),
		cel.Variable("alerts", cel.ListType(cel.DynType)),
		cel.Variable("incident", cel.DynType),
		cel.Variable("run", cel.DynType),
		cel.Variable("nodes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType),
	}
	env, err := cel.NewEnv(append(options, more...)...)
	if err == nil {
		env, err = env.Extend(guards(env)...)
	}
	if err != nil {
		panic("expression environment: " + err.Error())
	}
	e := &environment{Env: env}
	for name, x := range expensive {
		e.charges = append(e.charges, e.charge(name, x.work)...)
	}
	return e
}

// expense is what one call of a function costs in steps or bytes of work; ten are one unit of cost.
// CEL looks at cost and size only after a call, which is too late for 'x'.replace(”, big): where
// guarded is set, too much work is refused before.
type expense struct {
	work    func(args []ref.Val) int
	guarded bool
}

// expensive are the functions that can cost more than CEL's own figures say.
var expensive = map[string]expense{
	"replace": {guarded: true, work: func(args []ref.Val) int {
		if len(args) < 3 {
			return 0
		}
		s, old, replacement := text(args[0]), text(args[1]), text(args[2])
		return len(s) + strings.Count(s, old)*len(replacement)
	}},
	"indexOf":     {guarded: true, work: searchWork},
	"lastIndexOf": {guarded: true, work: searchWork},
	"split":       {guarded: true, work: func(args []ref.Val) int { return 4 * len(text(args[0])) }},
	"join": {guarded: true, work: func(args []ref.Val) int {
		n := weight(args[0], maxWork)
		if len(args) > 1 {
			n += length(args[0]) * len(text(args[1]))
		}
		return n
	}},
	"format":                {guarded: true, work: func(args []ref.Val) int { return len(text(args[0])) + weight(args[1], maxWork) }},
	"distinct":              {guarded: true, work: func(args []ref.Val) int { n := length(args[0]); return n * n }},
	"flatten":               {guarded: true, work: func(args []ref.Val) int { return weight(args[0], maxWork) }},
	"reverse":               {work: func(args []ref.Val) int { return weight(args[0], maxWork) }},
	"sort":                  {work: sortWork},
	"@sortByAssociatedKeys": {work: sortWork},
	operators.Equals:        {work: comparisonWork},
	operators.NotEquals:     {work: comparisonWork},
	operators.In: {work: func(args []ref.Val) int {
		if _, ok := args[1].(traits.Mapper); ok {
			return 10
		}
		return weight(args[1], maxWork)
	}},
}

func sortWork(args []ref.Val) int {
	n := length(args[0])
	return 10 * n * bits.Len(uint(n))
}

func comparisonWork(args []ref.Val) int {
	return min(weight(args[0], maxWork), weight(args[1], maxWork))
}

func searchWork(args []ref.Val) int { return len(text(args[0])) * (1 + len(text(args[1]))) }

func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

func length(v ref.Val) int {
	if sizer, ok := v.(traits.Sizer); ok {
		if n, ok := sizer.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 0
}

// weight is the number of bytes of text in v, through lists and maps, with ten for every value; it
// stops counting at limit.
func weight(v ref.Val, limit int) int {
	n := 10
	switch v := v.(type) {
	case types.String:
		n += len(v)
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True && n <= limit; {
			key := it.Next()
			value, _ := v.Find(key)
			n += weight(key, limit-n) + weight(value, limit-n)
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True && n <= limit; {
			n += weight(it.Next(), limit-n)
		}
	}
	return n
}

// guards redeclares the guarded functions: the same signatures, refused when the work is too much.
func guards(env *cel.Env) []cel.EnvOption {
	var options []cel.EnvOption
	for name, e := range expensive {
		if !e.guarded {
			continue
		}
		fn := env.Functions()[name]
		bindings, err := fn.Bindings()
		if err != nil {
			panic(err)
		}
		byID := map[string]*functions.Overload{}
		for _, b := range bindings {
			byID[b.Operator] = b
		}
		var overloads []cel.FunctionOpt
		for _, o := range fn.OverloadDecls() {
			bound := byID[o.ID()]
			guarded := cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				if e.work(args) > maxWork {
					return types.NewErr("%s: %s", name, tooMuch)
				}
				switch {
				case len(args) == 1 && bound.Unary != nil:
					return bound.Unary(args[0])
				case len(args) == 2 && bound.Binary != nil:
					return bound.Binary(args[0], args[1])
				}
				return bound.Function(args...)
			})
			declare := cel.Overload
			if o.IsMemberFunction() {
				declare = cel.MemberOverload
			}
			overloads = append(overloads, declare(o.ID(), o.ArgTypes(), o.ResultType(), guarded))
		}
		options = append(options, cel.Function(name, overloads...))
	}
	return options
}

// leastSize is a number of instructions that a pattern has at least. Repetitions repeat what they hold, up to a thousand
// times each, so that few bytes are many instructions.
func leastSize(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += leastSize(sub)
	}
	switch re.Op {
	case syntax.OpConcat, syntax.OpEmptyMatch: // what they hold
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpRepeat:
		n *= max(re.Min, re.Max)
	default:
		n++
	}
	return min(n, 1<<30)
}

// pattern compiles a regular expression, and says how many instructions it has. It does not compile one that has too many.
func pattern(source string) (*regexp.Regexp, int, error) {
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	if n := leastSize(parsed); n > maxRegexp {
		return nil, n, nil // to compile it would take time
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, err
	}
	re, err := regexp.Compile(source)
	return re, len(prog.Inst), err
}

// programOptions are the limits of one program. Patterns of matches are literals, compiled once here.
func (e *environment) programOptions() []cel.ProgramOption {
	sizes := map[string]int{} // of the compiled patterns
	matchWork := func(args []ref.Val) int { return len(text(args[0])) * sizes[text(args[1])] }
	compile := func(call interpreter.InterpretableCall, source string) (interpreter.InterpretableCall, error) {
		re, size, err := pattern(source)
		if err != nil {
			return nil, err
		}
		sizes[source] = size
		match := func(args ...ref.Val) ref.Val {
			s, ok := args[0].(types.String)
			if !ok {
				return types.NoSuchOverloadErr()
			}
			if matchWork(args) > maxWork {
				return types.NewErr("matches: %s", tooMuch)
			}
			return types.Bool(re.MatchString(string(s)))
		}
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), match), nil
	}
	return []cel.ProgramOption{
		cel.OptimizeRegex(&interpreter.RegexOptimization{Function: "matches", RegexIndex: 1, Factory: compile}),
		cel.InterruptCheckFrequency(interruptEvery),
		cel.CostTracking(unresolved{}),
		cel.CostTrackerOptions(e.charges...),
		cel.CostTrackerOptions(e.charge("matches", matchWork)...),
		cel.CostLimit(maxCost),
		cel.MemoryTracking(
			types.MemoryTrackerSizeCalculator(types.NewSizeCalculator(
				types.SizeCalculatorMaxDepth(maxNesting), types.SizeCalculatorMaxTraversal(maxSize))),
			types.MemoryTrackerSampleInterval(64)),
		cel.MemoryLimit(maxSize),
	}
}

// charge replaces CEL's figures for the cost of a function.
func (e *environment) charge(name string, work func(args []ref.Val) int) []cost.TrackerOption {
	tracker := func(args []ref.Val, _ ref.Val) *uint64 { return inCost(work(args)) }
	var options []cost.TrackerOption
	for _, overload := range e.Functions()[name].OverloadDecls() {
		options = append(options, cost.OverloadTracker(overload.ID(), tracker))
	}
	return options
}

// unresolved charges calls on data whose types are known at run time only. CEL has no overload for
// them while it compiles, and so no figure.
type unresolved struct{}

func (unresolved) CallCost(function, overloadID string, args []ref.Val, _ ref.Val) *uint64 {
	if x, ok := expensive[function]; ok {
		return inCost(x.work(args))
	}
	if overloadID != "" {
		return nil
	}
	work := 0
	for _, arg := range args {
		work += weight(arg, maxWork)
	}
	return inCost(work)
}

func inCost(work int) *uint64 { return new(uint64(1 + work/10)) }
