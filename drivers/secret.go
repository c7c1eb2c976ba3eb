package drivers

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/invopop/jsonschema"
)

// Secret is a configuration value that is never shown: not by any API, page, log, export or error.
// In a document it is written as text, as {"secret": "name"} or, for admins, as {"env": "NAME"};
// saving moves text into the sealed secrets and leaves the reference. A driver is always built
// from resolved text: [Kind.MapSecrets] replaces the references before Build.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text. Keep it out of errors and logs.
func (s Secret) Reveal() string { return s.text }

// IsSet reports whether there is any text.
func (s Secret) IsSet() bool { return s.text != "" }

func (s Secret) String() string                   { return "[secret]" }
func (s Secret) GoString() string                 { return "[secret]" }
func (s Secret) Format(f fmt.State, _ rune)       { _, _ = f.Write([]byte("[secret]")) }
func (s Secret) LogValue() slog.Value             { return slog.StringValue("[secret]") }
func (s Secret) MarshalJSON() ([]byte, error)     { return []byte(`"[secret]"`), nil }
func (s *Secret) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.text) }

// JSONSchema describes the three ways to write a secret; writeOnly marks it for forms and redaction.
func (Secret) JSONSchema() *jsonschema.Schema {
	ref := func(key, what string) *jsonschema.Schema {
		props := jsonschema.NewProperties()
		props.Set(key, &jsonschema.Schema{Type: "string", MinLength: new(uint64(1)), Description: what})
		return &jsonschema.Schema{Type: "object", Properties: props, Required: []string{key}, AdditionalProperties: jsonschema.FalseSchema}
	}
	return &jsonschema.Schema{
		WriteOnly: true,
		AnyOf: []*jsonschema.Schema{
			{Type: "string"},
			ref("secret", "Name of a stored secret."),
			ref("env", "Name of an environment variable of the server. Admins only."),
		},
	}
}

// Ref is a reference to a secret as it is written in a document. One of the two is set.
type Ref struct {
	Secret string `json:"secret,omitempty"`
	Env    string `json:"env,omitempty"`
}

// ParseRef reads a reference; ok is false for text and anything else.
func ParseRef(raw json.RawMessage) (ref Ref, ok bool) {
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &ref) != nil {
		return Ref{}, false
	}
	return ref, (ref.Secret == "") != (ref.Env == "")
}

// MapSecrets returns config with every secret value (found by the schema, also inside maps and
// lists) replaced by what replace returns for it. The rest of config is kept as it is. Both
// directions use it: saving lifts text into references, building puts text in their place.
func (k Kind[T]) MapSecrets(config json.RawMessage, replace func(path string, value json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	return MapSecrets(k.Schema, config, replace)
}

// MapSecrets is [Kind.MapSecrets] for a schema of its own.
func MapSecrets(schema, config json.RawMessage, replace func(path string, value json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	if len(config) == 0 {
		return config, nil
	}
	return mapSecrets(schema, config, "", replace)
}

type secretSchema struct {
	WriteOnly            bool                       `json:"writeOnly"`
	Properties           map[string]json.RawMessage `json:"properties"`
	AdditionalProperties json.RawMessage            `json:"additionalProperties"`
	Items                json.RawMessage            `json:"items"`
}

func mapSecrets(schema, value json.RawMessage, path string, replace func(string, json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	var s secretSchema
	if json.Unmarshal(schema, &s) != nil { // "true" and "false" are schemas too
		return value, nil
	}
	if s.WriteOnly {
		return replace(path, value)
	}
	var err error
	switch {
	case len(value) > 0 && value[0] == '{' && (s.Properties != nil || len(s.AdditionalProperties) > 0):
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return value, nil
		}
		changed := false
		for key, child := range object {
			sub, ok := s.Properties[key]
			if !ok {
				sub = s.AdditionalProperties
			}
			if len(sub) == 0 {
				continue
			}
			out, err := mapSecrets(sub, child, path+Pointer(key), replace)
			if err != nil {
				return nil, err
			}
			changed = changed || string(out) != string(child)
			object[key] = out
		}
		if changed {
			value, err = json.Marshal(object)
		}
	case len(value) > 0 && value[0] == '[' && len(s.Items) > 0:
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			return value, nil
		}
		for i, child := range list {
			if list[i], err = mapSecrets(s.Items, child, fmt.Sprintf("%s/%d", path, i), replace); err != nil {
				return nil, err
			}
		}
		value, err = json.Marshal(list)
	}
	return value, err
}
