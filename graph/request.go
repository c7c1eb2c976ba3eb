package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

// request is what every transport makes of its input.
type request struct {
	graphql.RawParams
	variables json.RawMessage // as written, for keepJSON
}

// parseRequest reads the JSON form: query, variables, operationName, extensions.
func parseRequest(body []byte) (*request, error) {
	doc, err := strictjson.Decode(body)
	if err != nil {
		return nil, err
	}
	object, ok := doc.(map[string]any)
	if _, batch := doc.([]any); batch {
		return nil, fault.New(fault.Invalid, "Batches are not supported: send one operation per request.")
	}
	if !ok {
		return nil, fault.New(fault.Invalid, "A request is a JSON object with `query`.")
	}
	r := &request{}
	if err := field(object, "query", "a string", &r.Query); err != nil {
		return nil, err
	}
	if err := field(object, "operationName", "a string", &r.OperationName); err != nil {
		return nil, err
	}
	if err := field(object, "variables", "an object", &r.Variables); err != nil {
		return nil, err
	}
	if err := field(object, "extensions", "an object", &r.Extensions); err != nil {
		return nil, err
	}
	if r.Query == "" && r.Extensions["persistedQuery"] == nil {
		return nil, fault.New(fault.Invalid, "`query` is missing.")
	}
	if r.Variables != nil {
		var raw map[string]json.RawMessage // a map, so that keys are matched exactly
		if err := json.Unmarshal(body, &raw); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "The request is not JSON.")
		}
		r.variables = raw["variables"]
	}
	return r, nil
}

func field[T any](object map[string]any, name, what string, into *T) error {
	value, ok := object[name]
	if !ok || value == nil {
		return nil
	}
	if *into, ok = value.(T); !ok {
		return fault.New(fault.Invalid, "`%s` must be %s.", name, what)
	}
	return nil
}

// parseQuery reads the URL form of GET.
func parseQuery(values url.Values) (*request, error) {
	object := map[string]json.RawMessage{}
	for _, name := range []string{"query", "operationName"} {
		if values.Has(name) {
			object[name], _ = json.Marshal(values.Get(name))
		}
	}
	for _, name := range []string{"variables", "extensions"} {
		if text := values.Get(name); text != "" {
			if !json.Valid([]byte(text)) {
				return nil, fault.New(fault.Invalid, "`%s` is not JSON.", name)
			}
			object[name] = json.RawMessage(text)
		}
	}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The request cannot be read.")
	}
	return parseRequest(body)
}

type variablesKey struct{}

// keepJSON puts the text of variables of the scalar JSON, and of such fields of input objects, in the
// place of their decoded values: numbers keep their digits and objects the order of their keys. It refuses what gqlgen
// would take although the specification does not: text for numbers, and numbers for text.
type keepJSON struct{ schema *ast.Schema }

func (keepJSON) ExtensionName() string                        { return "KeepJSON" }
func (k *keepJSON) Validate(s graphql.ExecutableSchema) error { k.schema = s.Schema(); return nil }

func (k *keepJSON) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	raw, _ := ctx.Value(variablesKey{}).(json.RawMessage)
	for name, text := range members(raw) {
		def := op.Operation.VariableDefinitions.ForName(name)
		if value := op.Variables[name]; def != nil && value != nil {
			var bad *gqlerror.Error
			if op.Variables[name], bad = k.keep(def.Type, value, text); bad != nil {
				return within(ast.PathName("variable"), within(ast.PathName(name), bad)) // as the validator has it
			}
		}
	}
	return nil
}

func (k *keepJSON) keep(t *ast.Type, value any, raw json.RawMessage) (_ any, bad *gqlerror.Error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		var texts []json.RawMessage
		if t.Elem != nil && json.Unmarshal(raw, &texts) == nil && len(texts) == len(v) {
			for i := range v {
				if v[i], bad = k.keep(t.Elem, v[i], texts[i]); bad != nil {
					return nil, within(ast.PathIndex(i), bad)
				}
			}
			return v, nil
		}
	case map[string]any:
		if def := k.schema.Types[t.NamedType]; def != nil && def.Kind == ast.InputObject {
			for name, text := range members(raw) {
				if f := def.Fields.ForName(name); f != nil {
					if v[name], bad = k.keep(f.Type, v[name], text); bad != nil {
						return nil, within(ast.PathName(name), bad)
					}
				}
			}
			return v, nil
		}
	}
	if t.NamedType == "JSON" {
		return raw, nil
	}
	if !fits(t, raw) {
		return nil, coded(errcode.ValidationFailed, "This is not of the type %s.", t.Name())
	}
	return value, nil
}

// within puts a step before the place of a problem.
func within(step ast.PathElement, bad *gqlerror.Error) *gqlerror.Error {
	bad.Path = slices.Insert(bad.Path, 0, step)
	return bad
}

// fits reports whether the text of a value is of the kind of JSON that the specification wants for a built-in scalar. What
// else must hold, such as the range of Int, is for others to say.
func fits(t *ast.Type, raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return true
	}
	isText, isNumber := raw[0] == '"', raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
	switch t.Name() {
	case "String":
		return isText
	case "Int", "Float":
		return isNumber
	case "ID":
		return isText || isNumber && !bytes.ContainsAny(raw, ".eE")
	case "Boolean":
		return raw[0] == 't' || raw[0] == 'f'
	}
	return true
}

func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(raw, &m) // it was decoded before; anything else than an object has no members
	return m
}
