package definition

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/invopop/jsonschema"
)

// UnmarshalJSON reads "id", ["id", …] or {"outcome": "id" or ["id", …]}.
func (n *Next) UnmarshalJSON(data []byte) error {
	*n = Next{}
	var ids IDs
	if json.Unmarshal(data, &ids) == nil {
		n.IDs = ids
		return nil
	}
	var byOutcome map[string]IDs
	if err := json.Unmarshal(data, &byOutcome); err != nil {
		return fmt.Errorf("next must be a node id, a list of ids or an object from outcome to ids: %w", err)
	}
	n.When = make(map[string][]string, len(byOutcome))
	for outcome, ids := range byOutcome {
		n.When[outcome] = ids
	}
	return nil
}

// MarshalJSON writes the shortest form that means the same.
func (n Next) MarshalJSON() ([]byte, error) {
	if n.When == nil {
		return IDs(n.IDs).MarshalJSON()
	}
	byOutcome := make(map[string]IDs, len(n.When))
	for outcome, ids := range n.When {
		byOutcome[outcome] = ids
	}
	return json.Marshal(byOutcome)
}

// Outcomes returns the outcomes that are named, sorted.
func (n *Next) Outcomes() []string { return slices.Sorted(maps.Keys(n.When)) }

// IDs is a list of nodes whose only element may be written without brackets.
type IDs []string

// UnmarshalJSON reads "id" or ["id", …].
func (m *IDs) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*m = IDs{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(m))
}

// MarshalJSON writes the shorter form.
func (m IDs) MarshalJSON() ([]byte, error) {
	if len(m) == 1 {
		return json.Marshal(m[0])
	}
	return json.Marshal([]string(m))
}

// JSONSchema describes both forms.
func (IDs) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Format: "target", Title: "One node", MinLength: new(uint64(1))},
		{Type: "array", Title: "Several nodes", Items: &jsonschema.Schema{Type: "string", Format: "target", MinLength: new(uint64(1))}, MinItems: new(uint64(1)), UniqueItems: true},
	}}
}

// JSONSchema describes the three forms.
func (Next) JSONSchema() *jsonschema.Schema {
	s := IDs{}.JSONSchema()
	s.Title = "Next"
	s.AnyOf = append(s.AnyOf, &jsonschema.Schema{
		Type: "object", Title: "By outcome", MinProperties: new(uint64(1)), AdditionalProperties: IDs{}.JSONSchema(),
	})
	return s
}

// JSONSchemaExtend describes what tags cannot.
func (Node) JSONSchemaExtend(s *jsonschema.Schema) {
	s.Properties.Set("config", &jsonschema.Schema{Type: "object", Title: "Configuration", Description: "Settings of the node, by its type."})
	next, _ := s.Properties.Get("next")
	next.Description = "Where the node leads: an id, a list of ids, or for a condition an object from outcome to id or ids. Leave it out to end here."
	onError, _ := s.Properties.Get("on_error")
	onError.Title = "On error"
	onError.Description = "Nodes that run only when this one has finally failed, even if the run fails with it: an id or a list of ids. They see what went wrong as nodes.<id>.errors. In a definition without next they stand outside the order of the list."
	id, _ := s.Properties.Get("id")
	id.Not = &jsonschema.Schema{Enum: []any{"true", "false", "null", "in"}}
}
