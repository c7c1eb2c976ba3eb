package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/sjson"

	"penstock/drivers"
	"penstock/engine/definition"
	"penstock/fault"
)

// patch is one change of a schema: a place in sjson's syntax, and what stands there afterwards.
type patch struct {
	at    string
	value any
}

// patched changes a schema that was made from a struct in what struct tags cannot say.
func patched(schema json.RawMessage, patches ...patch) json.RawMessage {
	for _, p := range patches {
		var err error
		if schema, err = sjson.SetBytes(schema, p.at, p.value); err != nil {
			panic(fmt.Sprintf("schema %s: %v", p.at, err)) // a mistake in the patch
		}
	}
	return schema
}

// oneOf makes a property a choice between names.
func oneOf(property string, names ...string) patch {
	return patch{"properties." + property + ".enum", names}
}

// settingsOf says, for each kind that property can name, which settings it takes.
func settingsOf[T any](property, settings string, reg *drivers.Registry[T]) []patch {
	rules := []any{}
	for _, kind := range reg.All() {
		rules = append(rules, map[string]any{
			"if":   map[string]any{"properties": map[string]any{property: map[string]any{"const": kind.Name}}, "required": []string{property}},
			"then": map[string]any{"properties": map[string]any{settings: kind.Schema}},
		})
	}
	return []patch{oneOf(property, reg.Names()...), {"properties." + settings + ".type", "object"}, {"allOf", rules}}
}

// standIn is put in the place of secrets that validation does not know: text that is good for
// everything a secret can be, an address too.
const standIn = "https://secret.invalid"

// checkSettings builds a driver or provider as far as that is possible without its secrets. It
// reports what Build refuses, at the settings' path, and returns what is still missing.
func checkSettings[T any](c *definition.Checker, at string, kind drivers.Kind[T], settings json.RawMessage) (missing []string) {
	unknown := map[string]bool{}
	filled, err := kind.MapSecrets(settings, func(path string, value json.RawMessage) (json.RawMessage, error) {
		if _, ok := drivers.ParseRef(value); !ok {
			return value, nil
		}
		unknown[path] = true
		return json.Marshal(standIn)
	})
	if err != nil {
		c.Error(at, definition.CodeBadValue, "The settings of %s cannot be read: %s", kind.Name, fault.Of(err).Message)
		return nil
	}
	built, err := kind.Build(context.Background(), filled)
	if err != nil {
		refused := fault.Of(err)
		paths := slices.DeleteFunc(slices.Sorted(maps.Keys(refused.Fields)), func(path string) bool { return unknown[path] })
		switch {
		case len(paths) > 0:
			c.Error(at+paths[0], definition.CodeBadValue, "%s: %s", kind.Name, refused.Message)
		case len(refused.Fields) == 0:
			c.Error(at, definition.CodeBadValue, "%s: %s", kind.Name, refused.Message)
		}
		return nil
	}
	if r, ok := any(built).(interface{ Missing() []string }); ok {
		return r.Missing()
	}
	return nil
}

func words(names []string) string { return strings.Join(names, ", ") }
