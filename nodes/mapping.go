package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"penstock/drivers"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

// mapping makes an object: a value for each key.
type mapping map[string]mapped

// mapped is a value of mapping: a path, or an expression.
type mapped struct{ Path, CEL string }

func (m *mapped) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &m.Path)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var form struct {
		CEL string `json:"cel"`
	}
	err := d.Decode(&form)
	m.CEL = form.CEL
	return err
}

// mappedSchema describes mapped.
var mappedSchema = map[string]any{"anyOf": []any{
	map[string]any{"type": "string", "minLength": 1, "description": "Path."},
	map[string]any{
		"type": "object", "required": []string{"cel"}, "additionalProperties": false,
		"properties": map[string]any{"cel": map[string]any{"type": "string", "format": "cel", "minLength": 1, "description": "CEL expression."}},
	},
}}

func (m mapping) keys() []string { return slices.Sorted(maps.Keys(m)) }

// check reports paths that are none and expressions that do not compile.
func (m mapping) check(at string, kind expr.Options, c *definition.Checker) {
	for _, key := range m.keys() {
		if value := m[key]; value.CEL != "" {
			c.Expression(at+drivers.Pointer(key)+"/cel", value.CEL, kind)
		} else {
			checkPath(at+drivers.Pointer(key), value.Path, c)
		}
	}
}

func checkPath(at, text string, c *definition.Checker) {
	if _, err := parsePath(text); err != nil {
		c.Error(at, definition.CodeBadValue, "%v.", err)
	}
}

func (m mapping) compile(kind expr.Options) (*mapper, error) {
	n := &mapper{paths: map[string]path{}, programs: map[string]*expr.Program{}}
	var errs []error
	for _, key := range m.keys() {
		var err error
		if value := m[key]; value.CEL != "" {
			n.programs[key], err = expr.Compile(value.CEL, kind)
		} else {
			n.paths[key], err = parsePath(value.Path)
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// mapper is a compiled mapping.
type mapper struct {
	paths    map[string]path
	programs map[string]*expr.Program
}

// object is the mapping of what vars and, for paths, value hold. What is not there is null.
func (n *mapper) object(ctx context.Context, vars expr.Vars, value any) (map[string]any, error) {
	object := map[string]any{}
	for key, p := range n.paths {
		object[key] = p.of(value)
	}
	for key, program := range n.programs {
		result, err := program.Eval(ctx, vars)
		if _, missing := errors.AsType[*expr.Missing](err); err != nil && !missing {
			return nil, fault.Wrap(err, fault.Unprocessable, "mapping %s: %s", key, fault.Of(err).Message)
		}
		object[key] = result
	}
	return object, nil
}
