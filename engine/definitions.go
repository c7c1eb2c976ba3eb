package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"penstock/db"
	"penstock/drivers"
	"penstock/engine/definition"
	"penstock/fault"
)

// validName is what definitions, channels and sources may be called.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,254}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fault.About("name", fault.New(fault.Invalid, "The name %q is not allowed: 1 to 255 of a–z, 0–9, dot, dash and underscore, beginning with a letter or digit.", name))
	}
	return nil
}

// Error says that the document is invalid and begins with the first problem.
func (e *InvalidError) Error() string {
	first := e.Validation.Errors[0]
	text := fmt.Sprintf("The definition is invalid: %s (%s)", strings.TrimSuffix(first.Message, "."), first.Path)
	if n := len(e.Validation.Errors) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text + "."
}

// Unwrap makes an InvalidError a fault.Unprocessable with the same text.
func (e *InvalidError) Unwrap() error { return fault.New(fault.Unprocessable, "%s", e.Error()) }

// check turns issues into a validation, and an error if there are errors.
func check(issues []definition.Issue) (Validation, error) {
	v := Validation{Errors: []definition.Issue{}, Warnings: []definition.Issue{}}
	for _, issue := range issues {
		if issue.Severity == definition.SeverityError {
			v.Errors = append(v.Errors, issue)
		} else {
			v.Warnings = append(v.Warnings, issue)
		}
	}
	v.Valid = len(v.Errors) == 0
	if !v.Valid {
		return v, &InvalidError{v}
	}
	return v, nil
}

// NodeTypes returns the node types in the order they are offered.
func (e *Engine) NodeTypes() []NodeType { return e.o.Types }

// Catalog is what exists outside a document at the moment: node types and stored channels.
func (e *Engine) Catalog(ctx context.Context) (definition.Catalog, error) {
	c := e.catalog
	c.Channels = map[string]definition.Channel{}
	channels, err := e.store.Channels(ctx)
	if err != nil {
		return c, err
	}
	for _, ch := range channels {
		c.Channels[ch.Name] = e.channelInfo(ctx, &ch)
	}
	return c, nil
}

// Edges returns the edges of a document, valid or not, for drawing it.
func (e *Engine) Edges(doc *definition.Document) []definition.DrawnEdge {
	return definition.Edges(doc, e.catalog.Types)
}

// catalogFor is the catalog in which a definition of that name, "" for none, is checked before it is saved.
func (e *Engine) catalogFor(ctx context.Context, name string) (definition.Catalog, error) {
	c, err := e.Catalog(ctx)
	if err != nil {
		return c, err
	}
	routes, err := e.compiled.routes(ctx, e)
	for _, r := range routes {
		if r.err == nil {
			c.Routes = append(c.Routes, r.Route)
		}
	}
	c.Name = name
	return c, err
}

// Validate checks a draft, JSON or YAML, exactly as saving and running do. name is that of the definition
// it is for, "" if it has none yet.
func (e *Engine) Validate(ctx context.Context, name string, config []byte) (Validation, error) {
	catalog, err := e.catalogFor(ctx, name)
	if err != nil {
		return Validation{}, err
	}
	_, issues, err := e.checked(ctx, catalog, config)
	if err != nil {
		return Validation{}, err
	}
	v, _ := check(issues)
	return v, nil
}

// checked checks a configuration against a catalog and the definitions that it runs.
func (e *Engine) checked(ctx context.Context, catalog definition.Catalog, config json.RawMessage) (*definition.Plan, []definition.Issue, error) {
	catalog.Callees = map[definition.Call]definition.Callee{}
	if err := e.findCallees(ctx, catalog, config); err != nil {
		return nil, nil, err
	}
	plan, issues := definition.Check(config, catalog)
	return plan, issues, nil
}

// findCallees adds to the catalog what a configuration calls, and what that calls.
func (e *Engine) findCallees(ctx context.Context, catalog definition.Catalog, config json.RawMessage) error {
	if !bytes.Contains(config, []byte("pipeline")) {
		return nil // the only type that calls
	}
	for _, call := range definition.Calls(config, catalog.Types) {
		for _, c := range []definition.Call{{Definition: call.Definition}, call} {
			if _, found := catalog.Callees[c]; found {
				continue
			}
			def, err := e.store.Definition(ctx, c.Definition)
			if err == nil && c.Version != 0 {
				var version *db.PipelineDefinitionVersion
				if version, err = e.store.DefinitionVersionByNumber(ctx, def.ID, c.Version); err == nil {
					def.Config = version.Config
				}
			}
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			catalog.Callees[c] = definition.Callee{IsActive: def.IsActive, Calls: definition.Calls(def.Config, catalog.Types)}
			if err := e.findCallees(ctx, catalog, def.Config); err != nil {
				return err
			}
		}
	}
	return nil
}

// SaveDefinition creates or changes a definition. A configuration that differs makes a new version.
func (e *Engine) SaveDefinition(ctx context.Context, in DefinitionInput) (def *db.PipelineDefinition, created bool, warnings []definition.Issue, err error) {
	if err := checkName(in.Name); err != nil {
		return nil, false, nil, err
	}
	save := db.DefinitionSave{
		Name: in.Name, Description: in.Description, Tags: in.Tags, IsActive: in.IsActive, Message: in.Message,
		Author: in.Actor, ExpectedVersion: in.ExpectedVersion, MustCreate: in.MustCreate, MustExist: in.MustExist,
		Schedules: func(config json.RawMessage) ([]db.Schedule, error) { return schedulesAt(config, e.o.Clock()) },
	}
	if in.Config != nil {
		catalog, err := e.catalogFor(ctx, in.Name)
		if err != nil {
			return nil, false, nil, err
		}
		plan, issues, err := e.checked(ctx, catalog, in.Config)
		if err != nil {
			return nil, false, nil, err
		}
		v, err := check(issues)
		if err != nil {
			return nil, false, nil, err
		}
		warnings = v.Warnings
		doc, _ := definition.JSON(in.Config) // Check has read it already
		stored, err := e.store.Definition(ctx, in.Name)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, false, nil, err
		}
		var before json.RawMessage
		if stored != nil {
			before = stored.Config
		}
		if save.Config, save.Secrets, err = e.liftSecrets(in.Name, doc, before, in.Admin); err != nil {
			return nil, false, nil, err
		}
		save.NodeCount = len(plan.Nodes)
		if in.Description == nil && plan.Document.Description != "" {
			save.Description = &plan.Document.Description
		}
	} else if in.MustCreate {
		return nil, false, nil, fault.About("config", fault.New(fault.Invalid, "config is required to create a definition."))
	}
	if in.IsActive != nil && !*in.IsActive {
		if err := e.notCalled(ctx, in.Name); err != nil {
			return nil, false, nil, err
		}
	}
	def, created, err = e.store.SaveDefinition(ctx, save)
	e.compiled.forget() // also if it is refused: somebody else may just have saved what was checked against
	if err != nil {
		return nil, false, nil, err
	}
	return def, created, warnings, nil
}

// DeleteDefinition frees the name. Runs that are under way finish; their versions stay. One that an
// active definition runs is kept (fault.Conflict).
func (e *Engine) DeleteDefinition(ctx context.Context, name string, expectedVersion *int) error {
	if err := e.notCalled(ctx, name); err != nil {
		return err
	}
	err := e.store.DeleteDefinition(ctx, name, expectedVersion)
	e.compiled.forget()
	return err
}

// notCalled is a fault.Conflict if an active definition runs the named one: it could not be run any more.
func (e *Engine) notCalled(ctx context.Context, name string) error {
	users, err := e.usersOf(ctx, func(node gjson.Result) bool {
		return node.Get("type").String() == "pipeline" && node.Get("config.definition").String() == name
	})
	users = slices.DeleteFunc(users, func(user string) bool { return user == name }) // an older version of itself
	if err != nil || len(users) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "The pipeline definition %q is run by %s. Change them first, or make them inactive.", name, strings.Join(users, ", "))
}

// secretSettings are the node settings whose schema depends on a driver or provider named beside them.
var secretSettings = []struct{ kind, settings string }{{"driver", "driver_config"}, {"provider", "provider_config"}}

// liftSecrets moves secret text written in a document into sealed secrets and leaves references. A
// reference that stays must still send to where it did: stored is the document before, nil for a new one.
func (e *Engine) liftSecrets(name string, doc, stored json.RawMessage, admin bool) (json.RawMessage, []db.Secret, error) {
	var secrets []db.Secret
	out, err := e.mapNodeSecrets(doc, func(nodeID, settings, path string, value json.RawMessage) (json.RawMessage, error) {
		if _, isRef := drivers.ParseRef(value); isRef && !admin {
			find := fmt.Sprintf(`nodes.#(id==%q).config.%s`, nodeID, settings)
			before, after := gjson.GetBytes(stored, find), gjson.GetBytes(doc, find)
			if movedTarget(json.RawMessage(before.Raw), json.RawMessage(after.Raw)) {
				return nil, errMoved("node " + nodeID + ", " + settings + path)
			}
		}
		ref, secret, err := e.lift("definition/"+name+"/"+nodeID+path, value, admin)
		if secret != nil {
			secrets = append(secrets, *secret)
		}
		return ref, err
	})
	return out, secrets, err
}

// mapNodeSecrets replaces every secret in the driver and provider settings of a document's nodes.
func (e *Engine) mapNodeSecrets(doc json.RawMessage, replace func(nodeID, settings, path string, value json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	var d struct {
		Nodes []struct {
			ID     string                     `json:"id"`
			Config map[string]json.RawMessage `json:"config"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, err
	}
	for i, node := range d.Nodes {
		for _, s := range secretSettings {
			var kind string
			if json.Unmarshal(node.Config[s.kind], &kind) != nil || len(node.Config[s.settings]) == 0 {
				continue
			}
			schema := e.settingsSchema(s.kind, kind)
			out, err := drivers.MapSecrets(schema, node.Config[s.settings], func(path string, value json.RawMessage) (json.RawMessage, error) {
				return replace(node.ID, s.settings, path, value)
			})
			if err != nil {
				return nil, err
			}
			if string(out) != string(node.Config[s.settings]) {
				if doc, err = sjson.SetRawBytes(doc, fmt.Sprintf("nodes.%d.config.%s", i, s.settings), out); err != nil {
					return nil, err
				}
			}
		}
	}
	return doc, nil
}

// settingsSchema is the schema of a driver's or provider's settings, nil if it does not exist.
func (e *Engine) settingsSchema(kind, name string) json.RawMessage {
	if kind == "driver" {
		if k, err := e.o.Notify.Get(name); err == nil {
			return k.Schema
		}
		return nil
	}
	if k, err := e.o.AI.Get(name); err == nil {
		return k.Schema
	}
	return nil
}
