package definition

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"penstock/drivers"
	"penstock/engine/expr"
)

// Check decodes and validates. It is what drafts, saved definitions, every door and every run go
// through. The plan is nil if any issue is an error.
func Check(data []byte, catalog Catalog) (*Plan, []Issue) {
	doc, issues := Decode(data)
	if doc == nil {
		return nil, issues
	}
	plan, more := Validate(doc, catalog)
	issues = append(issues, more...)
	sortIssues(issues)
	issues = few(issues)
	if HasErrors(issues) {
		return nil, issues
	}
	return plan, issues
}

// HasErrors reports whether an issue is more than a warning.
func HasErrors(issues []Issue) bool {
	return slices.ContainsFunc(issues, func(i Issue) bool { return i.Severity == SeverityError })
}

// Validate checks what a decoded document means: its ids, types, edges, expressions, references and
// configurations. It says nothing about what [Decode] has reported. The plan is nil if any issue is
// an error.
func Validate(doc *Document, catalog Catalog) (*Plan, []Issue) {
	v := &validation{doc: doc, catalog: catalog, programs: make([]programs, len(doc.Nodes)), schemas: map[string]*schema{}}
	v.ids()
	v.graph = newGraph(doc, catalog.Types, v.report)
	v.graph.cycles(v.report)
	for i := range doc.Nodes {
		v.node(i)
		if v.full() {
			break
		}
	}
	v.unreached()
	v.triggers()
	v.schedules()
	sortIssues(v.issues)
	if HasErrors(v.issues) || len(doc.Nodes) == 0 {
		return nil, v.issues
	}
	return v.plan(), v.issues
}

type validation struct {
	doc      *Document
	catalog  Catalog
	graph    *graph
	issues   []Issue
	programs []programs
	errors   int // among the issues
	sources  int // bytes of the expressions and templates that were compiled
	route    *Route
	schemas  map[string]*schema // of types that the catalog has not compiled
}

type programs struct{ runIf, skipIf *expr.Program }

func (v *validation) report(i Issue) {
	i.Severity = cmp.Or(i.Severity, SeverityError)
	if v.issues = append(v.issues, i); i.Severity == SeverityError {
		v.errors++
	}
}

// full reports whether there are more errors than are shown, so that no more need be found.
func (v *validation) full() bool { return v.errors > MaxIssues }

// few keeps [MaxIssues] of the issues, errors before warnings, and says so.
func few(issues []Issue) []Issue {
	if len(issues) <= MaxIssues {
		return issues
	}
	isError := func(i Issue) bool { return i.Severity == SeverityError }
	errors := slices.DeleteFunc(slices.Clone(issues), func(i Issue) bool { return !isError(i) })
	if len(errors) > MaxIssues {
		return append(errors[:MaxIssues], Issue{Code: CodeTooMany, Severity: SeverityError,
			Message: fmt.Sprintf("There is more to correct; these are %d of the problems.", MaxIssues)})
	}
	warnings := slices.DeleteFunc(issues, isError)
	return append(append(errors, warnings[:MaxIssues-len(errors)]...), Issue{Code: CodeTooMany, Severity: SeverityWarning,
		Message: "There are more warnings than are shown."})
}

func (v *validation) ids() {
	first := map[string]int{}
	for i, n := range v.doc.Nodes {
		if n.ID == "" {
			continue
		}
		if before, double := first[n.ID]; double {
			v.report(Issue{Path: fmt.Sprintf("/nodes/%d/id", i), Code: CodeDuplicateID, NodeID: n.ID,
				Message: fmt.Sprintf("Nodes %d and %d both have the id %q. Rename one of them.", before+1, i+1, n.ID)})
			continue
		}
		first[n.ID] = i
	}
}

// hasErrors is the short form of skip_if_condition.
var hasErrors = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\.has_errors\s*$`)

func (v *validation) node(i int) {
	n := v.doc.Nodes[i]
	c := &Checker{Catalog: v.catalog, NodeID: n.ID, v: v, node: i, base: fmt.Sprintf("/nodes/%d", i)}
	if n.When != "" {
		v.programs[i].runIf = c.Expression("/when", n.When, expr.Options{Kind: expr.Bool})
	}
	if n.SkipIfCondition != "" {
		source := hasErrors.ReplaceAllString(n.SkipIfCondition, "nodes.$1.has_errors")
		v.programs[i].skipIf = c.Expression("/skip_if_condition", source, expr.Options{Kind: expr.Bool})
	}
	for k, id := range n.SkipIfErrors {
		if id != "" && !v.full() {
			c.Ref(fmt.Sprintf("/skip_if_errors/%d", k), id)
		}
	}
	t, known := v.catalog.Types[n.Type]
	switch {
	case n.Type == "": // reported with the structure
		return
	case !known:
		types := sortedKeys(v.catalog.Types)
		message := fmt.Sprintf("%s has the unknown type %q. Available: %s.", capital(c.name()), n.Type, strings.Join(types, ", "))
		if near := nearest(n.Type, types); near != "" {
			message = fmt.Sprintf("%s has the unknown type %q. Did you mean %q? Available: %s.", capital(c.name()), n.Type, near, strings.Join(types, ", "))
		}
		c.Error("/type", CodeUnknownType, "%s", message)
		return
	}
	v.branches(t, n, c)
	v.config(t, n, c)
}

func (v *validation) branches(t Type, n Node, c *Checker) {
	byOutcome := n.Next != nil && n.Next.When != nil
	inConfig := len(t.targets(n.Config)) > 0
	switch {
	case inConfig && n.Next != nil:
		c.Error("/next", CodeNextTwice, "The config of %s says where the run goes on, and next does too. Remove one of them.", c.name())
	case inConfig:
	case byOutcome && !t.Branches:
		c.Error("/next", CodeBranchesForbidden, "%s is of type %q, which has no outcomes. Write an id or a list of ids.", capital(c.name()), t.Name)
	case !byOutcome && t.Branches:
		c.Warn("/next", CodeBranchesUnused, "Nothing depends on the outcome of %s. Write next as an object, for example {\"true\": \"some_node\"}.", c.name())
	}
}

func (v *validation) config(t Type, n Node, c *Checker) {
	config := n.Config
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	c.base += "/config"
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		c.Error("", CodeSyntax, "The config of %s is not valid JSON.", c.name())
		return
	}
	problems := v.schema(t).check(value, func(path []string) string { return within("the config of "+c.name(), path) })
	for _, p := range problems {
		c.Error(pointer(p.path...), p.code, "%s", p.message)
	}
	if len(problems) == 0 && t.Check != nil {
		t.Check(config, c)
	}
}

func (v *validation) schema(t Type) *schema {
	if s, ok := v.catalog.schemas[t.Name]; ok {
		return s
	}
	s, ok := v.schemas[t.Name]
	if !ok {
		s = compileSchema(t.Schema)
		v.schemas[t.Name] = s
	}
	return s
}

// unreached warns of nodes that stand apart: nothing leads to them and they lead nowhere.
func (v *validation) unreached() {
	for i, n := range v.doc.Nodes {
		if i > 0 && n.ID != "" && !v.graph.sequence && n.Next == nil && len(v.graph.edges[i]) == 0 && len(v.graph.ancestors[i]) == 0 {
			v.report(Issue{Path: fmt.Sprintf("/nodes/%d", i), Code: CodeUnreached, Severity: SeverityWarning, NodeID: n.ID,
				Message: fmt.Sprintf("Nothing leads to %q and it leads nowhere: it runs at the start, beside the other nodes. Name it in the next of the node that it should follow.", n.ID)})
		}
	}
}

func (v *validation) plan() *Plan {
	order := v.graph.order()
	p := &Plan{Document: v.doc, Route: v.route, Nodes: make([]PlanNode, len(order)), ByID: map[string]int{}}
	place := make([]int, len(order)) // in the plan, by place in the document
	for at, i := range order {
		place[i] = at
		p.ByID[v.doc.Nodes[i].ID] = at
	}
	defaults := v.doc.Defaults
	if defaults == nil {
		defaults = &Defaults{}
	}
	for at, i := range order {
		n := v.doc.Nodes[i]
		t := v.catalog.Types[n.Type]
		p.Nodes[at] = PlanNode{
			Node: n, Position: i,
			Required:     n.Required == nil || *n.Required,
			MaxRetries:   first(DefaultMaxRetries, n.MaxRetries, defaults.MaxRetries),
			KeepsTrying:  t.KeepsTrying && n.MaxRetries == nil && defaults.MaxRetries == nil,
			Timeout:      timeout(t, n.TimeoutSeconds, defaults.TimeoutSeconds),
			SkipIfErrors: n.SkipIfErrors,
			RunIf:        v.programs[i].runIf,
			SkipIf:       v.programs[i].skipIf,
		}
		for before := at - 1; before >= 0; before-- {
			if v.graph.ancestors[i][order[before]] {
				p.Nodes[at].Upstream = append(p.Nodes[at].Upstream, v.doc.Nodes[order[before]].ID)
			}
		}
	}
	for _, from := range order {
		for _, e := range v.graph.edges[from] {
			to := &p.Nodes[place[e.to]]
			to.Needs = append(to.Needs, Edge{From: v.doc.Nodes[from].ID, Outcome: e.outcome, OnError: e.onError})
		}
	}
	return p
}

// first is the first number that is written, else the fallback.
func first(fallback int, written ...*int) int {
	for _, n := range written {
		if n != nil {
			return *n
		}
	}
	return fallback
}

// sortIssues puts issues in the order of the document.
func sortIssues(issues []Issue) {
	slices.SortStableFunc(issues, func(a, b Issue) int {
		return slices.CompareFunc(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"), func(x, y string) int {
			i, errX := strconv.Atoi(x)
			j, errY := strconv.Atoi(y)
			if errX == nil && errY == nil {
				return cmp.Compare(i, j)
			}
			return cmp.Compare(x, y)
		})
	})
}

func pointer(path ...string) string { return drivers.Pointer(path...) }
