package expr

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/interpreter"

	"penstock/fault"
)

// CompileError is what is wrong with the text of an expression or template, and where.
type CompileError struct {
	Line, Column int // both from 1
	Message      string
}

func (e *CompileError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Missing is a key or list index that is not there. Callers have their own policy for it: find it
// with errors.AsType.
type Missing struct{ Key string }

func (e *Missing) Error() string { return "no such key: " + e.Key }

const tooMuch = "too much work for one call; make the text or list shorter first"

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)
	unexpected = regexp.MustCompile(`^(?:mismatched|extraneous) input (.+?)(?: expecting .*)?$`)
	unreadable = regexp.MustCompile(`^(?:no viable alternative at input|token recognition error at:) (.+)$`)
)

// compileError says the first of CEL's findings in words that name what is there instead.
func compileError(issues *cel.Issues, source string, o Options) *CompileError {
	first := issues.Errors()[0]
	e := &CompileError{Line: max(first.Location.Line(), 1), Column: max(first.Location.Column()+1, 1)}
	m := strings.TrimPrefix(first.Message, "Syntax error: ")
	if found := undeclared.FindStringSubmatch(m); found != nil {
		if calledAt(source, e.Line, e.Column) {
			m = fmt.Sprintf("there is no function %q", found[1])
		} else {
			m = fmt.Sprintf("undeclared reference to '%s'; available: %s", found[1], strings.Join(o.names(), ", "))
		}
	} else if found := noOverload.FindStringSubmatch(m); found != nil {
		m = fmt.Sprintf("%s does not work on %s", operatorName(found[1]), found[2])
	} else if found := unexpected.FindStringSubmatch(m); found != nil {
		m = "unexpected " + strings.ReplaceAll(found[1], "'<EOF>'", "end of the expression")
		m = strings.ReplaceAll(m, "<EOF>", "end of the expression")
	} else if found := unreadable.FindStringSubmatch(m); found != nil {
		m = "cannot read " + found[1]
		if strings.ContainsAny(found[1][1:], `"`) || strings.Contains(strings.Trim(found[1], "'"), "'") {
			m += "; is a quote missing?"
		}
	} else if word, ok := strings.CutPrefix(m, "reserved identifier: "); ok {
		m = fmt.Sprintf("'%s' is a reserved word", word)
	} else if strings.Contains(m, "recursion depth") || strings.Contains(m, "recursion limit") {
		m = fmt.Sprintf("the expression is nested too deep, at most %d levels are allowed", maxNesting)
	}
	e.Message = m
	return e
}

// calledAt reports whether CEL's position is that of a call's opening parenthesis.
func calledAt(source string, line, column int) bool {
	lines := strings.Split(source, "\n")
	if line > len(lines) {
		return false
	}
	runes := []rune(lines[line-1])
	return column <= len(runes) && runes[column-1] == '('
}

// operatorName turns CEL's internal names, "_+_" or "_?_:_", into what the author wrote.
func operatorName(name string) string {
	switch name {
	case "_?_:_":
		return "? :"
	case "_[_]":
		return "[ ]"
	}
	return strings.Trim(strings.TrimPrefix(name, "@"), "_")
}

// evalError turns what CEL says into something a person can act on.
func evalError(ctx context.Context, source string, err error) error {
	if ctx.Err() != nil { // the caller's own end, not the expression's deadline
		return context.Cause(ctx)
	}
	failed := func(cause error, why string) error {
		return fault.Wrap(cause, fault.Unprocessable, "The expression %q failed: %s.", brief(source), why)
	}
	message := err.Error()
	if key, ok := strings.CutPrefix(message, "no such key: "); ok {
		return failed(&Missing{key}, fmt.Sprintf("there is no key %q; write ?.key.orValue(…) or has(…) where it may be missing", brief(key)))
	}
	if key, ok := strings.CutPrefix(message, "index out of bounds: "); ok {
		return failed(&Missing{key}, fmt.Sprintf("the list has no element %s", brief(key)))
	}
	if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err); ok {
		switch cancelled.Cause {
		case interpreter.CostLimitExceeded:
			return failed(err, "it does too much work; loop over shorter lists")
		case interpreter.MemoryLimitExceeded:
			return failed(err, "it makes or reads a value that is too large")
		}
	}
	switch {
	case errors.Is(err, interpreter.InterruptError{}):
		return failed(err, fmt.Sprintf("it ran longer than %v", Deadline))
	case strings.HasPrefix(message, "no such overload"):
		return failed(err, "an operator or function was used on a type that it does not work on (whole numbers and decimals do not mix in arithmetic: write 2.0 or double(x))")
	case strings.HasPrefix(message, "internal error"):
		return fmt.Errorf("evaluate %q: %w", brief(source), err)
	}
	return failed(err, brief(message))
}

// brief keeps messages readable: one line, at most 80 characters.
func brief(s string) string {
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > 80 {
		return string(runes[:79]) + "…"
	}
	return string(runes)
}
