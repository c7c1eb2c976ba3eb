package definition

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Call names a definition that a node runs. Version 0 is the newest.
type Call struct {
	Definition string
	Version    int
}

func (c Call) String() string {
	if c.Version == 0 {
		return c.Definition
	}
	return fmt.Sprintf("%s (version %d)", c.Definition, c.Version)
}

// Callee is a stored definition, or one version of it, as validation sees it.
type Callee struct {
	IsActive bool
	Calls    []Call
}

// Calls returns what the nodes of a document call. The document may be invalid.
func Calls(config json.RawMessage, types map[string]Type) (calls []Call) {
	doc, _ := Decode(config)
	if doc == nil {
		return nil
	}
	for _, n := range doc.Nodes {
		if t := types[n.Type]; t.Call != nil {
			if call := t.Call(n.Config); call.Definition != "" {
				calls = append(calls, call)
			}
		}
	}
	return calls
}

// Call checks that a node may run what it names: it is there, active, and does not lead back here.
func (c *Checker) Call(path string, call Call) {
	callee, known := c.Catalog.Callees[call]
	_, named := c.Catalog.Callees[Call{Definition: call.Definition}]
	switch {
	case call == Call{Definition: c.Catalog.Name}: // its own state does not matter, what is being saved calls itself
	case !known && named:
		c.Error(path, CodeUnknownDefinition, "The pipeline definition %q has no version %d.", call.Definition, call.Version)
		return
	case !known:
		c.Error(path, CodeUnknownDefinition, "There is no pipeline definition %q. Save it first.", call.Definition)
		return
	case !callee.IsActive:
		c.Error(path, CodeInactiveDefinition, "The pipeline definition %q is not active, so it cannot be run. Make it active first.", call.Definition)
		return
	}
	if cycle := c.Catalog.leadsBack([]Call{{Definition: c.Catalog.Name}}, call, map[Call]bool{}); cycle != nil {
		names := make([]string, len(cycle))
		for i, step := range cycle {
			names[i] = step.String()
		}
		c.Error(path, CodeRecursion, "Definitions must not run each other in a circle: %s.", strings.Join(names, " → "))
	}
}

// leadsBack returns the way by which a call leads back to something on its way, nil if it does not.
// harmless are the calls that are known not to.
func (c Catalog) leadsBack(way []Call, call Call, harmless map[Call]bool) []Call {
	for i, before := range way {
		if before == call && before.Definition != "" {
			return append(way[i:len(way):len(way)], call)
		}
	}
	if harmless[call] {
		return nil
	}
	for _, next := range c.Callees[call].Calls {
		if cycle := c.leadsBack(append(way[:len(way):len(way)], call), next, harmless); cycle != nil {
			return cycle
		}
	}
	harmless[call] = true
	return nil
}
