package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/fault"
)

// plan is a compiled definition version.
type plan struct {
	*definition.Plan
	versionID string
	types     map[string]NodeType
	nodes     map[string]Node
	notifiers map[string]Notifier  // those of nodes that are
	ingest    *definition.PlanNode // the first ingest node, nil without one
}

// compiled caches what is made from definitions and channels. A version never changes, but the
// channels it names may: everything is dropped when this process changes one, and after a moment
// in case another did.
type compiled struct {
	mu      sync.Mutex
	plans   map[string]*plan // by version id
	names   *briefly[named]  // by definition name
	drivers *briefly[built]  // by channel name
	routing *routing
}

// routing is who is asked about alerts, for [namesFor].
type routing struct {
	routes []*route
	until  time.Time
}

// named is a definition as webhooks look it up, for a moment: another process may change it.
type named struct {
	def  *db.PipelineDefinition
	plan *plan
	err  error
}

// forget drops everything: definitions or channels have changed.
func (c *compiled) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// New ones, so that what is being looked up or compiled changes nothing.
	c.plans, c.routing = map[string]*plan{}, &routing{}
	c.names = &briefly[named]{found: map[string]found[named]{}}
	c.drivers = &briefly[built]{found: map[string]found[built]{}}
}

// namesFor is how long a looked-up name holds: as long as a change made by another process may take
// to be seen here. Changes made by this process are seen at once.
const namesFor = time.Second

// lookUpLimit is how long a sender waits for a store that does not answer, before it is told so.
const lookUpLimit = 2 * time.Second

// byName looks a definition up that may be run: it exists, is active and valid. However many senders ask for one
// at the same moment, the store is asked once: a store that comes back must not be run down by those who waited.
func (c *compiled) byName(ctx context.Context, e *Engine, name string) named {
	c.mu.Lock()
	names := c.names
	c.mu.Unlock()
	n, err := names.get(ctx, name, func(ctx context.Context) (named, bool, error) {
		n := c.lookUp(ctx, e, name)
		return n, n.def != nil || fault.Is(n.err, fault.NotFound), nil // do not remember that the store was away
	})
	if err != nil {
		n.err = err
	}
	return n
}

// channel returns a channel's driver, looked up once however many messages ask for it at the same moment.
func (c *compiled) channel(ctx context.Context, e *Engine, name string) (built, error) {
	c.mu.Lock()
	channels := c.drivers
	c.mu.Unlock()
	return channels.get(ctx, name, func(ctx context.Context) (built, bool, error) {
		b, err := e.buildChannel(ctx, name)
		return b, err == nil, err
	})
}

// briefly keeps what is looked up by name, for [namesFor].
type briefly[T any] struct {
	mu      sync.Mutex
	found   map[string]found[T]
	lookUps singleflight.Group
}

type found[T any] struct {
	value T
	until time.Time
}

// get looks up what is not known, once for all who ask at the same moment. keep: it may be given to later ones too.
func (b *briefly[T]) get(ctx context.Context, name string, lookUp func(context.Context) (value T, keep bool, err error)) (T, error) {
	b.mu.Lock()
	f, ok := b.found[name]
	b.mu.Unlock()
	if ok && time.Now().Before(f.until) {
		return f.value, nil
	}
	answer := b.lookUps.DoChan(name, func() (any, error) {
		until := time.Now().Add(namesFor)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpLimit)
		defer cancel()
		value, keep, err := lookUp(ctx)
		if keep {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.found[name] = found[T]{value, until}
		}
		return value, err
	})
	select {
	case r := <-answer:
		return r.Val.(T), r.Err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (c *compiled) lookUp(ctx context.Context, e *Engine, name string) named {
	n := named{}
	def, err := e.store.Definition(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		n.err = fault.New(fault.NotFound, "There is no pipeline definition %q.", name)
	case err != nil:
		n.err = err
	case !def.IsActive:
		n.err = fault.New(fault.NotFound, "The pipeline definition %q is not active.", name)
	default:
		var version *db.PipelineDefinitionVersion
		if version, n.err = e.store.DefinitionVersionByNumber(ctx, def.ID, def.Version); n.err == nil {
			n.plan, n.err = c.compile(ctx, e, version)
		}
		if n.err == nil || !db.IsDown(n.err) && ctx.Err() == nil {
			n.def = def
		}
	}
	return n
}

// version compiles the version a run is pinned to.
func (c *compiled) version(ctx context.Context, e *Engine, id string) (*plan, error) {
	c.mu.Lock()
	p := c.plans[id]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	version, err := e.store.DefinitionVersion(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.compile(ctx, e, version)
}

// compile validates a version against what exists now and builds its nodes.
func (c *compiled) compile(ctx context.Context, e *Engine, version *db.PipelineDefinitionVersion) (*plan, error) {
	c.mu.Lock()
	plans := c.plans
	c.mu.Unlock()
	catalog, err := e.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	catalog.Name = version.DefinitionName
	p, err := e.build(ctx, version.Config, catalog)
	if err != nil {
		return nil, err
	}
	p.versionID = version.ID
	c.mu.Lock()
	plans[version.ID] = p
	c.mu.Unlock()
	return p, nil
}

// build validates a document and builds its nodes.
func (e *Engine) build(ctx context.Context, config json.RawMessage, catalog definition.Catalog) (*plan, error) {
	checked, issues, err := e.checked(ctx, catalog, config)
	if err != nil {
		return nil, err
	}
	if _, err := check(issues); err != nil {
		return nil, err
	}
	p := &plan{Plan: checked, types: map[string]NodeType{}, nodes: map[string]Node{}, notifiers: map[string]Notifier{}}
	for _, t := range e.o.Types {
		p.types[t.Name] = t
	}
	for i := range checked.Nodes {
		node := &checked.Nodes[i]
		built, err := p.types[node.Type].Build(node.Config)
		if err != nil {
			return nil, fmt.Errorf("build node %s: %w", node.ID, err)
		}
		p.nodes[node.ID] = built
		if n, ok := built.(Notifier); ok {
			p.notifiers[node.ID] = n
		}
		if node.Type == "ingest" && p.ingest == nil {
			p.ingest = node
		}
	}
	return p, nil
}

// ingestSettings is what the engine itself must know of an ingest node.
type ingestSettings struct {
	Driver   string `json:"driver"`
	OnRepeat string `json:"on_repeat"`
}

func ingestConfig(p *plan) (s ingestSettings) {
	if p.ingest != nil && len(p.ingest.Config) > 0 {
		_ = json.Unmarshal(p.ingest.Config, &s) // validated by the node type's schema
	}
	return s
}
