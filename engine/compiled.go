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
	plans   map[string]*plan    // by version id
	names   map[string]named    // by definition name
	drivers map[string]built    // by channel name
	lookUps *singleflight.Group // of names that are not cached; another one after something has changed

	routing     []*route
	routedUntil time.Time
}

// named is a definition as webhooks look it up, for a moment: another process may change it.
type named struct {
	def   *db.PipelineDefinition
	plan  *plan
	err   error
	until time.Time
}

// forget drops everything: definitions or channels have changed.
func (c *compiled) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plans, c.names, c.drivers = map[string]*plan{}, map[string]named{}, map[string]built{}
	c.routing, c.routedUntil, c.lookUps = nil, time.Time{}, new(singleflight.Group)
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
	n, ok := c.names[name]
	lookUps := c.lookUps
	c.mu.Unlock()
	if ok && time.Now().Before(n.until) {
		return n
	}
	found := lookUps.DoChan(name, func() (any, error) {
		n := c.lookUp(context.WithoutCancel(ctx), e, name)
		if n.def == nil && !fault.Is(n.err, fault.NotFound) {
			return n, nil // do not remember that the store was away
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lookUps == lookUps {
			c.names[name] = n
		}
		return n, nil
	})
	select {
	case r := <-found:
		return r.Val.(named)
	case <-ctx.Done():
		return named{err: context.Cause(ctx)}
	}
}

// channel returns a channel's driver, looked up once however many messages ask for it at the same moment.
func (c *compiled) channel(ctx context.Context, e *Engine, name string) (built, error) {
	c.mu.Lock()
	b, ok := c.drivers[name]
	lookUps := c.lookUps
	c.mu.Unlock()
	if ok && time.Now().Before(b.until) {
		return b, nil
	}
	found := lookUps.DoChan("channel "+name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpLimit)
		defer cancel()
		b, err := e.buildChannel(ctx, name)
		if err != nil {
			return built{}, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lookUps == lookUps {
			c.drivers[name] = b
		}
		return b, nil
	})
	select {
	case r := <-found:
		return r.Val.(built), r.Err
	case <-ctx.Done():
		return built{}, context.Cause(ctx)
	}
}

func (c *compiled) lookUp(ctx context.Context, e *Engine, name string) named {
	n := named{until: time.Now().Add(namesFor)}
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
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
	c.plans[version.ID] = p
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
