// Package expr is the one expression language of pipelines: CEL over plain data, and text templates
// whose {{ holes }} are CEL.
//
// An expression sees the variables of [Vars] and nothing else: no environment, file, network or
// Go method is reachable. What it may cost is bounded four times over: 4 kB of source, a cost
// limit that counts what really is done, a size limit for every value it makes, and a deadline for
// loops. Whatever is compiled here is immutable and may be evaluated by many goroutines at once.
package expr

import (
	"time"

	"cel.dev/cel-go/cel"
)

// The bounds of expressions and templates.
const (
	MaxSource   = 4 << 10  // bytes of one expression
	MaxTemplate = 16 << 10 // bytes of one template
	MaxHoles    = 100      // of one template
	MaxText     = 16 << 10 // bytes that a template renders to; the rest is cut with a note
	Deadline    = 50 * time.Millisecond

	maxCost        = 100_000 // of an expression; a template has twice as much
	maxSize        = 100_000 // elements of one value; ten bytes of text are one element
	maxWork        = 1 << 20 // steps or bytes of one call of a guarded function
	maxRange       = 10_000  // elements of lists.range
	maxRegexp      = 500     // instructions of a compiled pattern
	maxResult      = 1 << 20 // bytes of a result as plain data
	maxNesting     = 100     // of the source
	interruptEvery = 100     // loop steps between two looks at the deadline
	attempts       = 5       // at an expression that met its deadline without having done anything
)

// Vars is what an expression sees. Everything in it must be plain data, see [Plain]. A nil map is
// seen as null, so that `incident != null` asks whether there is one.
type Vars struct {
	Payload  any              // what started the run
	Alert    map[string]any   // the alert the run is about
	Alerts   []map[string]any // all alerts of the run
	Incident map[string]any
	Run      map[string]any
	Nodes    map[string]any // by node id, each made by NodeVar
	Now      time.Time      // fixed per attempt
	Item     any            // the list element at hand, where Options.Item is set
}

// Names returns the variables that expressions see everywhere.
func Names() []string {
	return []string{"payload", "alert", "alerts", "incident", "run", "nodes", "now"}
}

// NodeVar is what nodes.<id> is in an expression. Output must be plain data.
func NodeVar(output any, errors []string, skipped bool) map[string]any {
	list := make([]any, len(errors))
	for i, e := range errors {
		list[i] = e
	}
	return map[string]any{"output": output, "errors": list, "has_errors": len(errors) > 0, "skipped": skipped}
}

// nodeKeys are the keys of a NodeVar; anything else is refused when the expression is compiled.
var nodeKeys = []string{"output", "errors", "has_errors", "skipped"}

// activation lets CEL look variables up. It is Vars under another name, to keep the methods that CEL
// asks for out of the package's face.
type activation struct{ Vars }

func (a activation) ResolveName(name string) (any, bool) {
	switch name {
	case "payload":
		return a.Payload, true
	case "alert":
		return orNull(a.Alert), true
	case "alerts":
		return a.Alerts, true
	case "incident":
		return orNull(a.Incident), true
	case "run":
		return orNull(a.Run), true
	case "nodes":
		return a.Nodes, true
	case "now":
		return a.Now.UTC(), true
	case "item":
		return a.Item, true
	}
	return nil, false
}

func (activation) Parent() cel.Activation { return nil }

func orNull(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}
