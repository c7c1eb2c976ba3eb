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
	var ids oneOrMany
	if json.Unmarshal(data, &ids) == nil {
		n.IDs = ids
		return nil
	}
	var byOutcome map[string]oneOrMany
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
		return oneOrMany(n.IDs).MarshalJSON()
	}
	byOutcome := make(map[string]oneOrMany, len(n.When))
	for outcome, ids := range n.When {
		byOutcome[outcome] = ids
	}
	return json.Marshal(byOutcome)
}

// Outcomes returns the outcomes that are named, sorted.
func (n *Next) Outcomes() []string { return slices.Sorted(maps.Keys(n.When)) }

// oneOrMany is a list whose only element may be written without brackets.
type oneOrMany []string

func (m *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*m = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(m))
}

func (m oneOrMany) MarshalJSON() ([]byte, error) {
	if len(m) == 1 {
		return json.Marshal(m[0])
	}
	return json.Marshal([]string(m))
}

// JSONSchema describes the three forms.
func (Next) JSONSchema() *jsonschema.Schema {
	ids := func() []*jsonschema.Schema {
		return []*jsonschema.Schema{
			{Type: "string", Title: "One node", MinLength: new(uint64(1))},
			{Type: "array", Title: "Several nodes", Items: &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))}, MinItems: new(uint64(1)), UniqueItems: true},
		}
	}
	return &jsonschema.Schema{
		Title: "Next",
		AnyOf: append(ids(), &jsonschema.Schema{
			Type: "object", Title: "By outcome", MinProperties: new(uint64(1)),
			AdditionalProperties: &jsonschema.Schema{AnyOf: ids()},
		}),
	}
}

// JSONSchemaExtend describes what tags cannot.
func (Node) JSONSchemaExtend(s *jsonschema.Schema) {
	s.Properties.Set("config", &jsonschema.Schema{Type: "object", Title: "Configuration", Description: "Settings of the node, by its type."})
	next, _ := s.Properties.Get("next")
	next.Description = "Where the node leads: an id, a list of ids, or for a condition an object from outcome to id or ids. Leave it out to end here."
	id, _ := s.Properties.Get("id")
	id.Not = &jsonschema.Schema{Enum: []any{"true", "false", "null", "in"}}
}
