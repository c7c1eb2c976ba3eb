package definition

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"

	"penstock/drivers"
)

// SchemaID is where the published schema is found below a server's address.
const SchemaID = "/schemas/pipeline-1.0.json"

// Schema is the published JSON Schema (draft 2020-12) of documents: made from the structs that decode
// them, with the configuration of every node type in the catalog. What it cannot say – the graph,
// expressions, channels – is [Validate]'s. For forms, format marks what a text is: cel, template,
// channel and definition (name of a stored one), node (id of one upstream), target (id of one that
// follows), cron, time-zone.
func Schema(catalog Catalog) json.RawMessage {
	document := parseSchema(drivers.SchemaOf[Document]())
	document.Version = "https://json-schema.org/draft/2020-12/schema"
	document.ID = SchemaID
	document.Title = "Penstock pipeline definition"
	document.Description = "Version " + Version + " of the definition document."

	nodes, _ := document.Properties.Get("nodes")
	kind, _ := nodes.Items.Properties.Get("type")
	for _, name := range sortedKeys(catalog.Types) {
		t := catalog.Types[name]
		kind.Enum = append(kind.Enum, name)
		nodes.Items.AllOf = append(nodes.Items.AllOf, typeRule(t))
	}
	raw, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic("definition schema: " + err.Error())
	}
	return raw
}

// typeRule says what holds for nodes of one type.
func typeRule(t Type) *jsonschema.Schema {
	config := parseSchema(t.Schema)
	config.Title, config.Description = t.Title, t.Description
	then := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
	then.Properties.Set("config", config)
	if len(compileSchema(t.Schema).check(map[string]any{}, func([]string) string { return "" })) > 0 {
		then.Required = []string{"config"}
	}
	if !t.Branches {
		then.Properties.Set("next", &jsonschema.Schema{Not: &jsonschema.Schema{Type: "object"}})
	}
	is := &jsonschema.Schema{Properties: jsonschema.NewProperties(), Required: []string{"type"}}
	is.Properties.Set("type", &jsonschema.Schema{Const: t.Name})
	return &jsonschema.Schema{If: is, Then: then}
}

func parseSchema(raw json.RawMessage) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	if err := json.Unmarshal(raw, s); err != nil {
		panic(fmt.Sprintf("schema %s: %v", raw, err))
	}
	return s
}
