package expr

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// environment and itemEnvironment are built at first use; they never change after that.
var (
	environment     = sync.OnceValue(func() *cel.Env { return newEnv() })
	itemEnvironment = sync.OnceValue(func() *cel.Env { return newEnv(cel.Variable("item", cel.DynType)) })
)

func newEnv(more ...cel.EnvOption) *cel.Env {
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
	return env
}

// heavy are the library functions whose one call can cost more than the length of its arguments,
// with the number of steps or bytes that it will cost. CEL looks at cost and size only after a call,
// which is too late for 'x'.replace(”, big): these are asked before.
var heavy = map[string]func(args []ref.Val) int{
	"replace": func(args []ref.Val) int {
		if len(args) < 3 {
			return 0
		}
		s, old, replacement := text(args[0]), text(args[1]), text(args[2])
		return len(s) + strings.Count(s, old)*len(replacement)
	},
	"indexOf":     searchWork,
	"lastIndexOf": searchWork,
	"split":       func(args []ref.Val) int { return 4 * len(text(args[0])) },
	"join": func(args []ref.Val) int {
		n := weight(args[0], maxWork)
		if list, ok := args[0].(traits.Lister); ok && len(args) > 1 {
			n += length(list) * len(text(args[1]))
		}
		return n
	},
	"format":   func(args []ref.Val) int { return len(text(args[0])) + weight(args[1], maxWork) },
	"distinct": func(args []ref.Val) int { n := length(args[0]); return n * n },
	"flatten":  func(args []ref.Val) int { return weight(args[0], maxWork) },
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

// weight is the number of elements and bytes in v, through lists and maps; it stops counting at limit.
func weight(v ref.Val, limit int) int {
	n := 1
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

// guards redeclares the heavy functions: the same signatures, refused when the work is too much.
func guards(env *cel.Env) []cel.EnvOption {
	var options []cel.EnvOption
	for name, work := range heavy {
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
				if work(args) > maxWork {
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

// pattern compiles a regular expression, and says how many instructions it has.
func pattern(source string) (*regexp.Regexp, int, error) {
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, err
	}
	re, err := regexp.Compile(source)
	return re, len(prog.Inst), err
}

// programOptions are the limits of one program. Patterns of matches are literals, compiled once here.
func programOptions() []cel.ProgramOption {
	sizes := regexpSizes{}
	return []cel.ProgramOption{
		cel.OptimizeRegex(&interpreter.RegexOptimization{
			Function: "matches", RegexIndex: 1,
			Factory: func(call interpreter.InterpretableCall, source string) (interpreter.InterpretableCall, error) {
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
					if len(s)*size > maxWork {
						return types.NewErr("matches: %s", tooMuch)
					}
					return types.Bool(re.MatchString(string(s)))
				}
				return interruptible{interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), match)}, nil
			},
		}),
		cel.CustomDecoratorV2(interruptCalls),
		cel.InterruptCheckFrequency(interruptEvery),
		cel.CostTracking(sizes),
		cel.CostLimit(maxCost),
		cel.MemoryTracking(
			types.MemoryTrackerSizeCalculator(types.NewSizeCalculator(
				types.SizeCalculatorMaxDepth(maxNesting), types.SizeCalculatorMaxTraversal(maxSize))),
			types.MemoryTrackerSampleInterval(64)),
		cel.MemoryLimit(maxSize),
	}
}

// regexpSizes charges the heavy functions, and matches by the size of its compiled patterns, with
// what they really cost; CEL's own figures hold for the rest.
type regexpSizes map[string]int

func (r regexpSizes) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	work := 0
	switch estimate, ok := heavy[function]; {
	case ok:
		work = estimate(args)
	case function == "matches" && len(args) == 2:
		work = len(text(args[0])) * r[text(args[1])]
	default:
		return nil
	}
	return new(uint64(1 + work/10))
}

// interruptCalls makes every function call look at the deadline, not only loops.
func interruptCalls(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if call, ok := i.(interpreter.InterpretableCall); ok {
		return interruptible{call}, nil
	}
	return i, nil
}

type interruptible struct{ interpreter.InterpretableCall }

func (c interruptible) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	if frame.CheckInterrupt() {
		return types.WrapErr(interpreter.InterruptError{})
	}
	return c.InterpretableCall.Exec(frame)
}
