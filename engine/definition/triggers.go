package definition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"penstock/engine/expr"
)

// Changes of an incident that alerts bring, as triggers name them.
const (
	ChangeCreated  = "created"
	ChangeSeverity = "severity_changed"
	ChangeResolved = "resolved"
	ChangeReopened = "reopened"
	ChangeRepeated = "repeated" // nothing material changed
)

// DefaultPriority holds for a trigger that names none.
const DefaultPriority = 100

// materialChanges are what a trigger takes if it does not say.
var materialChanges = []string{ChangeCreated, ChangeSeverity, ChangeResolved, ChangeReopened}

// Triggers are what starts runs of a definition besides callers who name it.
type Triggers struct {
	Alert    *AlertTrigger `json:"alert,omitempty" jsonschema:"title=Alerts,description=Starts a run for every change of an incident that matches."`
	Schedule []Schedule    `json:"schedule,omitempty" jsonschema:"title=Schedules,maxItems=20,description=When runs start by themselves\\, as long as the definition is active."`
}

// AlertTrigger takes changes of incidents that no caller has named a definition for.
type AlertTrigger struct {
	Match    string   `json:"match" jsonschema:"title=Match,format=cel,minLength=1,description=CEL expression over alert (the most severe of the delivery for this incident)\\, alerts\\, incident\\, payload and now. A key that is missing is no match. true takes everything."`
	Priority *int     `json:"priority,omitempty" jsonschema:"title=Priority,minimum=0,maximum=1000000,default=100,description=Definitions are asked in ascending priority\\, then by name. The first that matches takes the change."`
	Continue bool     `json:"continue,omitempty" jsonschema:"title=Continue,default=false,description=Ask the definitions after this one too\\, although it has matched."`
	On       []string `json:"on,omitempty" jsonschema:"title=On,minItems=1,uniqueItems=true,enum=created,enum=severity_changed,enum=resolved,enum=reopened,enum=repeated,description=Changes of the incident that count. All but repeated if nothing is written."`
}

// Route is a definition's alert trigger, ready to be asked.
type Route struct {
	Name     string // of the definition
	Match    *expr.Program
	Priority int
	Continue bool
	On       []string
}

// CatchAll is the route of the definition "default" if it says nothing about triggers: it takes what nobody
// else wants, so that an alert is not lost because somebody has saved a document without them.
func CatchAll(name string) *Route {
	match, err := expr.Compile("true", expr.Options{Kind: expr.Bool})
	if err != nil {
		panic(err)
	}
	return &Route{Name: name, Match: match, Priority: 1000, On: materialChanges}
}

// PriorityOf is the priority of a trigger.
func PriorityOf(t *AlertTrigger) int { return first(DefaultPriority, t.Priority) }

// CompareRoutes is the order in which definitions are asked.
func CompareRoutes(a, b *Route) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
}

// triggers checks what starts the definition.
func (v *validation) triggers() {
	t := v.doc.Triggers
	if t == nil || t.Alert == nil || t.Alert.Match == "" { // a missing match is reported with the structure
		return
	}
	const path = "/triggers/alert/match"
	program, err := expr.Compile(t.Alert.Match, expr.Options{Kind: expr.Bool})
	if err != nil {
		(&Checker{v: v}).notCompiledIn("the alert trigger", path, CodeBadExpression, "match", err)
		return
	}
	for _, name := range []string{"nodes", "run"} {
		if slices.Contains(program.Variables(), name) {
			v.report(Issue{Path: path, Code: CodeNotUpstream,
				Message: fmt.Sprintf("The match of the alert trigger uses %q, but there is no run yet when it is asked. Available: alert, alerts, incident, payload, now.", name)})
		}
	}
	v.route = &Route{
		Name: v.catalog.Name, Match: program, Priority: PriorityOf(t.Alert),
		Continue: t.Alert.Continue, On: t.Alert.On,
	}
	if len(v.route.On) == 0 {
		v.route.On = materialChanges
	}
	for _, other := range v.catalog.Routes {
		if other.Name != v.catalog.Name && other.shadows(v.route) {
			v.report(Issue{Path: "/triggers/alert", Code: CodeShadowedTrigger, Severity: SeverityWarning,
				Message: fmt.Sprintf("This trigger never gets an alert: %q (priority %d) is asked before it, matches %s and does not continue. Give this one a lower priority number than %d, or set continue there.",
					other.Name, other.Priority, describeMatch(other.Match), other.Priority)})
			return
		}
	}
}

// shadows reports whether nothing that r takes gets past o. It knows the two cases that can be
// proven from the text: o matches everything, or exactly the same.
func (o *Route) shadows(r *Route) bool {
	if o.Continue || CompareRoutes(o, r) >= 0 {
		return false
	}
	for _, change := range r.On {
		if !slices.Contains(o.On, change) {
			return false
		}
	}
	match := squeeze(o.Match.String())
	return match == "true" || match == squeeze(r.Match.String())
}

func describeMatch(p *expr.Program) string {
	if squeeze(p.String()) == "true" {
		return "everything"
	}
	return "the same"
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
