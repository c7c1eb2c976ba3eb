// Package drivers is what every replaceable part has in common: a name, a title, a typed
// configuration described by a JSON Schema, and a function that builds it.
//
// A family (ai, notify, alerts) is a folder with an interface; a driver is a folder below it with
// a Config struct, whose tags are the single description from which validation, forms, completion,
// the GraphQL nodeTypes query and the docs are made. Registries are values returned by plain
// functions: nothing registers itself.
package drivers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"penstock/fault"
)

// Kind is one driver, provider, source or node type: its name, the schema of its configuration,
// and how to build one. Build checks and decodes the configuration strictly; it does no I/O.
type Kind[T any] struct {
	Name   string // as written in definitions: "slack"
	Title  string // for people: "Slack"
	Schema json.RawMessage
	Build  func(ctx context.Context, config json.RawMessage) (T, error)

	check *validator.Schema
}

// Problem is one thing wrong with a configuration.
type Problem struct {
	Path    string // JSON pointer into the configuration, "" for the whole
	Message string
}

// Define makes a Kind from a configuration struct C. Tags: `json:"name,omitempty"` (omitempty or
// omitzero: optional) and `jsonschema:"title=…,description=…,enum=…,default=…,minimum=…"`. A tag value
// with a comma escapes it: `\\,`. Unknown keys are errors. Define panics on a struct it cannot describe.
func Define[C, T any](name, title string, build func(context.Context, C) (T, error)) Kind[T] {
	raw := SchemaOf[C]()
	check := compile(name, raw)
	return Kind[T]{
		Name: name, Title: title, Schema: raw, check: check,
		Build: func(ctx context.Context, config json.RawMessage) (T, error) {
			var zero T
			if len(config) == 0 {
				config = json.RawMessage("{}")
			}
			if problems := validate(check, config); len(problems) > 0 {
				return zero, asFault(title, problems)
			}
			var c C
			d := json.NewDecoder(bytes.NewReader(config))
			d.DisallowUnknownFields()
			if err := d.Decode(&c); err != nil {
				return zero, fault.Wrap(err, fault.Unprocessable, "The configuration of %s cannot be read.", title)
			}
			return build(ctx, c)
		},
	}
}

// Validate reports everything that the schema refuses in config.
func (k Kind[T]) Validate(config json.RawMessage) []Problem {
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	return validate(k.check, config)
}

// SchemaOf describes C as a JSON Schema (draft 2020-12) without references.
func SchemaOf[C any]() json.RawMessage {
	r := jsonschema.Reflector{DoNotReference: true, ExpandedStruct: true, Anonymous: true}
	s := r.ReflectFromType(reflect.TypeFor[C]())
	s.Version = ""
	raw, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("describe %v: %v", reflect.TypeFor[C](), err))
	}
	return raw
}

// Compile prepares a schema for validation by [Schema.Validate]. It panics on a schema that is none.
func Compile(name string, raw json.RawMessage) Schema { return Schema{compile(name, raw)} }

// Schema is a compiled JSON Schema.
type Schema struct{ check *validator.Schema }

// Validate reports everything that the schema refuses in doc.
func (s Schema) Validate(doc json.RawMessage) []Problem { return validate(s.check, doc) }

func compile(name string, raw json.RawMessage) *validator.Schema {
	doc, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		panic(fmt.Sprintf("schema of %s: %v", name, err))
	}
	c := validator.NewCompiler()
	url := "kind:" + name
	if err := c.AddResource(url, doc); err != nil {
		panic(fmt.Sprintf("schema of %s: %v", name, err))
	}
	s, err := c.Compile(url)
	if err != nil {
		panic(fmt.Sprintf("schema of %s: %v", name, err))
	}
	return s
}

func validate(s *validator.Schema, config json.RawMessage) []Problem {
	doc, err := validator.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return []Problem{{Message: "is not valid JSON"}}
	}
	err = s.Validate(doc)
	if err == nil {
		return nil
	}
	ve, ok := errors.AsType[*validator.ValidationError](err)
	if !ok {
		return []Problem{{Message: "cannot be checked"}}
	}
	var problems []Problem
	collect(ve, &problems)
	return problems
}

var printer = message.NewPrinter(language.English)

// collect lists the leaves of a validation error: the causes a person can act on.
func collect(e *validator.ValidationError, into *[]Problem) {
	if len(e.Causes) == 0 {
		*into = append(*into, Problem{Path: Pointer(e.InstanceLocation...), Message: e.ErrorKind.LocalizedString(printer)})
		return
	}
	for _, cause := range e.Causes {
		collect(cause, into)
	}
}

func asFault(title string, problems []Problem) error {
	e := fault.New(fault.Unprocessable, "The configuration of %s is invalid: %s %s.", title, orRoot(problems[0].Path), problems[0].Message)
	e.Fields = map[string]string{}
	for _, p := range problems {
		e.Fields[p.Path] = p.Message
	}
	return e
}

func orRoot(path string) string {
	if path == "" {
		return "it"
	}
	return path
}

// Pointer writes a JSON pointer (RFC 6901) from its tokens.
func Pointer(tokens ...string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	return b.String()
}

// Registry is a set of kinds of one family, in the order given.
type Registry[T any] struct {
	kinds  []Kind[T]
	byName map[string]int
}

// NewRegistry panics when two kinds have one name: a mistake of the programmer.
func NewRegistry[T any](kinds ...Kind[T]) *Registry[T] {
	r := &Registry[T]{kinds: kinds, byName: map[string]int{}}
	for i, k := range kinds {
		if _, double := r.byName[k.Name]; double {
			panic("two kinds named " + k.Name)
		}
		r.byName[k.Name] = i
	}
	return r
}

// Get returns the kind, or a NotFound fault that lists the available ones.
func (r *Registry[T]) Get(name string) (Kind[T], error) {
	if i, ok := r.byName[name]; ok {
		return r.kinds[i], nil
	}
	return Kind[T]{}, fault.New(fault.NotFound, "There is no %q. Available: %s.", name, strings.Join(r.Names(), ", "))
}

// Has reports whether a kind of that name exists.
func (r *Registry[T]) Has(name string) bool { _, ok := r.byName[name]; return ok }

// All returns the kinds in the order they were given.
func (r *Registry[T]) All() []Kind[T] { return slices.Clone(r.kinds) }

// Names returns the kinds' names in the order they were given.
func (r *Registry[T]) Names() []string {
	names := make([]string, len(r.kinds))
	for i, k := range r.kinds {
		names[i] = k.Name
	}
	return names
}
