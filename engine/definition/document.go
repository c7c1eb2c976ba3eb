// Package definition is the pipeline document: decoding, the graph it means, and validation. It is
// pure: no I/O, no clock. What exists (node types, channels) comes in as a [Catalog].
package definition

import (
	"encoding/json"
	"time"

	"penstock/engine/expr"
)

// Version is the only document version there is.
const Version = "1.0"

// What holds where the document is silent.
const (
	DefaultMaxRetries = 3
	DefaultTimeout    = 300 * time.Second
)

// The bounds of a document.
const (
	MaxNodes = 200
	MaxSize  = 256 << 10 // bytes of its compact JSON
	MaxInput = 512 << 10 // bytes of what is decoded: JSON or YAML with its white space and comments

	MaxExpressions = 64 << 10 // bytes of all expressions and templates
	MaxIssues      = 100      // that are reported; there may be more
)

// Document is a decoded pipeline definition.
type Document struct {
	Version     string    `json:"version" jsonschema:"title=Version,enum=1.0,description=Version of the document format."`
	Description string    `json:"description,omitempty" jsonschema:"title=Description,description=What the pipeline is for."`
	Triggers    *Triggers `json:"triggers,omitempty" jsonschema:"title=Triggers,description=What starts runs besides callers who name the definition."`
	Defaults    *Defaults `json:"defaults,omitempty" jsonschema:"title=Defaults,description=What holds for nodes that say nothing."`
	Nodes       []Node    `json:"nodes" jsonschema:"title=Nodes,minItems=1,maxItems=200,description=The steps. If no node has next\\, they run one after another in this order. If any has\\, next draws the graph: nodes that nothing leads to start first and nodes that do not depend on each other run in parallel."`
}

// Defaults holds for every node that does not say otherwise.
type Defaults struct {
	MaxRetries     *int `json:"max_retries,omitempty" jsonschema:"title=Retries,minimum=0,maximum=1000,description=How often a failed attempt is repeated if the error may pass. If nothing is written: 3\\, but notify is tried for 24 hours."`
	TimeoutSeconds *int `json:"timeout_seconds,omitempty" jsonschema:"title=Timeout of an attempt in seconds,minimum=1,maximum=86400,description=If nothing is written: notify 10 and intelligence 20\\, everything else 300."`
}

// Node is one step.
type Node struct {
	ID              string          `json:"id" jsonschema:"title=ID,pattern=^[A-Za-z_][A-Za-z0-9_]*$,maxLength=255,description=Unique name of the node. Expressions see its result as nodes.<id>."`
	Type            string          `json:"type" jsonschema:"title=Type,minLength=1,description=What the node does."`
	Config          json.RawMessage `json:"config,omitempty"`
	Next            *Next           `json:"next,omitempty"`
	OnError         IDs             `json:"on_error,omitempty"`
	Required        *bool           `json:"required,omitempty" jsonschema:"title=Required,default=true,description=Whether the run fails if this node finally fails. If not\\, the run goes on and ends as partial."`
	When            string          `json:"when,omitempty" jsonschema:"title=Run only if,format=cel,minLength=1,description=CEL expression. The node is skipped unless it is true."`
	SkipIfErrors    []string        `json:"skip_if_errors,omitempty" jsonschema:"title=Skip if these had errors,format=node,uniqueItems=true,description=Ids of upstream nodes. The node is skipped if one of them has errors."`
	SkipIfCondition string          `json:"skip_if_condition,omitempty" jsonschema:"title=Skip if,format=cel,minLength=1,description=CEL expression. The node is skipped if it is true. <id>.has_errors is short for nodes.<id>.has_errors."`
	MaxRetries      *int            `json:"max_retries,omitempty" jsonschema:"title=Retries,minimum=0,maximum=1000,description=How often a failed attempt is repeated if the error may pass."`
	TimeoutSeconds  *int            `json:"timeout_seconds,omitempty" jsonschema:"title=Timeout of an attempt in seconds,minimum=1,maximum=86400"`
}

// Next is where a node leads: one id, a list, or (condition) ids by outcome. It decodes all three
// forms and encodes the shortest.
type Next struct {
	IDs  []string            // for every outcome
	When map[string][]string // by outcome of a condition; nil for other nodes
}

// Severity of an issue.
type Severity string

const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Issue is one thing that is wrong, or may be, with a document.
type Issue struct {
	Path     string   `json:"path"` // JSON pointer into the document
	Code     string   `json:"code"` // stable, see the Code constants
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
	NodeID   string   `json:"node_id,omitempty"`
	Line     int      `json:"line,omitempty"` // with Column, both from 1: where in the expression or template at Path
	Column   int      `json:"column,omitempty"`
}

// Type is what the document must know of a node type.
type Type struct {
	Name        string
	Title       string
	Description string
	Schema      json.RawMessage // of config
	Timeout     time.Duration   // of an attempt where nothing is written; zero: DefaultTimeout
	SideEffects bool            // its attempts are visible outside: the start of one is durable before it runs
	KeepsTrying bool            // where no number of retries is written, an error that may pass is retried for as long as the engine is set to
	Branches    bool            // its next may be a map from outcome to ids
	Waits       bool            // its attempts wait for others: as long as it takes where no timeout is written, without a worker, and on after a restart
	// Targets returns the edges that a configuration draws in place of next; it must bear one that the
	// schema refuses. May be nil.
	Targets func(config json.RawMessage) []Target
	// Call returns the definition that a configuration runs; it must bear one that the schema refuses.
	// May be nil.
	Call func(config json.RawMessage) Call
	// Check reports what the schema cannot: expressions, templates, node references, drivers,
	// channels. It is called only with a config that the schema accepts. May be nil.
	Check func(config json.RawMessage, c *Checker)
}

// Target is where a node leads for one of its outcomes, as its configuration says.
type Target struct {
	Path    string // JSON pointer into the config
	Outcome string
	IDs     IDs
}

// Catalog is what exists outside the document.
type Catalog struct {
	Name     string   // of the definition that is checked, "" for a draft without one
	Routes   []*Route // alert triggers of active definitions, the checked one's may be among them
	Types    map[string]Type
	Channels map[string]Channel // by name
	Callees  map[Call]Callee    // what the document calls, and what that calls, as far as it exists

	schemas map[string]*schema // of Types, as far as NewCatalog has compiled them
}

// NewCatalog is a catalog without channels whose schemas are compiled once. Whoever checks many
// documents makes one and sets Channels in copies of it.
func NewCatalog(types ...Type) Catalog {
	c := Catalog{Types: map[string]Type{}, schemas: map[string]*schema{}}
	for _, t := range types {
		c.Types[t.Name] = t
		c.schemas[t.Name] = compileSchema(t.Schema)
	}
	return c
}

// Channel is a stored channel as validation sees it.
type Channel struct {
	Driver   string
	IsActive bool
	Missing  []string // settings it still needs
	Untested bool     // no test has passed
}

// Plan is a valid document, ready to run: nodes in topological order (definition order where free).
type Plan struct {
	Document *Document
	Nodes    []PlanNode
	ByID     map[string]int // index into Nodes
	Route    *Route         // its alert trigger, nil without one
}

// PlanNode is a node with everything that runs need, resolved.
type PlanNode struct {
	Node
	Position     int // in the document
	Needs        []Edge
	Upstream     []string // all ancestors, nearest first: no node stands behind one that it needs
	Required     bool
	MaxRetries   int
	KeepsTrying  bool          // not MaxRetries but time is the limit
	Timeout      time.Duration // zero: none
	SkipIfErrors []string
	RunIf        *expr.Program // compiled When, nil if nothing is written
	SkipIf       *expr.Program // compiled SkipIfCondition, nil if nothing is written
}

// Edge leads here from a predecessor. It is taken when that has succeeded or was passed over, with
// this outcome if one is set; an edge of on_error, when it has finally failed.
type Edge struct {
	From    string
	Outcome string
	OnError bool
}
