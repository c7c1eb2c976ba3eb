package definition_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/drivers"
	"penstock/engine/definition"
	"penstock/engine/expr"
)

// The configurations of the test catalog: each has what one rule needs.
type (
	ingestConfig struct {
		Driver string `json:"driver,omitempty" jsonschema:"title=Driver,enum=alertmanager,enum=generic"`
	}
	contextConfig struct {
		Include      []string `json:"include,omitempty" jsonschema:"title=Include,enum=cpu,enum=memory,enum=disk,enum=processes,uniqueItems=true,description=What to collect."`
		TopProcesses int      `json:"top_processes,omitempty" jsonschema:"title=Top processes,minimum=1,maximum=100,default=5"`
	}
	intelligenceConfig struct {
		Provider string `json:"provider" jsonschema:"title=Provider,description=Which analyser to ask."`
		Prompt   string `json:"prompt,omitempty" jsonschema:"title=Prompt"`
	}
	transformConfig struct {
		SourceNode string         `json:"source_node" jsonschema:"title=Source node"`
		Extract    string         `json:"extract,omitempty" jsonschema:"title=Extract"`
		Priority   string         `json:"filter_priority,omitempty" jsonschema:"title=Priority"`
		Filter     string         `json:"filter,omitempty" jsonschema:"title=Filter"`
		Mapping    map[string]any `json:"mapping,omitempty" jsonschema:"title=Mapping"`
	}
	conditionConfig struct {
		Expression string `json:"expression" jsonschema:"title=Expression"`
	}
	notifyConfig struct {
		Driver       string         `json:"driver,omitempty" jsonschema:"title=Driver"`
		Channel      string         `json:"channel,omitempty" jsonschema:"title=Channel"`
		Message      string         `json:"message,omitempty" jsonschema:"title=Message"`
		Token        drivers.Secret `json:"token,omitzero" jsonschema:"title=Token"`
		DriverConfig map[string]any `json:"driver_config,omitempty" jsonschema:"title=Driver settings"`
	}
)

func decode[C any](config json.RawMessage) (c C) {
	if err := json.Unmarshal(config, &c); err != nil {
		panic("Check was called with a config that the schema refuses: " + err.Error())
	}
	return c
}

// catalog is a set of node types that resembles the real one, with the channel ops-slack.
func catalog() definition.Catalog {
	c := definition.NewCatalog(
		definition.Type{Name: "ingest", Title: "Ingest", Description: "Reads alerts.", Schema: drivers.SchemaOf[ingestConfig]()},
		definition.Type{Name: "context", Title: "Context", Description: "Looks at the system.", Schema: drivers.SchemaOf[contextConfig]()},
		definition.Type{
			Name: "intelligence", Title: "Intelligence", Description: "Analyses.", Timeout: 20 * time.Second,
			Schema: drivers.SchemaOf[intelligenceConfig](),
			Check: func(config json.RawMessage, c *definition.Checker) {
				cfg := decode[intelligenceConfig](config)
				if !slices.Contains([]string{"local", "openai", "claude"}, cfg.Provider) {
					c.Error("/provider", definition.CodeUnknownProvider, "There is no provider %q. Available: local, openai, claude.", cfg.Provider)
				}
				if cfg.Prompt != "" {
					c.Template("/prompt", cfg.Prompt)
				}
			},
		},
		definition.Type{
			Name: "transform", Title: "Transform", Description: "Reshapes.", Schema: drivers.SchemaOf[transformConfig](),
			Check: func(config json.RawMessage, c *definition.Checker) {
				cfg := decode[transformConfig](config)
				c.Ref("/source_node", cfg.SourceNode)
				if cfg.Filter != "" {
					c.Expression("/filter", cfg.Filter, expr.Options{Kind: expr.Bool, Item: true})
				}
			},
		},
		definition.Type{
			Name: "condition", Title: "Condition", Description: "Branches.", Branches: true, Schema: drivers.SchemaOf[conditionConfig](),
			Check: func(config json.RawMessage, c *definition.Checker) {
				cfg := decode[conditionConfig](config)
				if p := c.Expression("/expression", cfg.Expression, expr.Options{Kind: expr.BoolOrString}); p != nil && p.IsBool() {
					c.Outcomes("true", "false")
				}
			},
		},
		definition.Type{
			Name: "notify", Title: "Notify", Description: "Tells people.", Timeout: 10 * time.Second, SideEffects: true,
			Schema: drivers.SchemaOf[notifyConfig](),
			Check: func(config json.RawMessage, c *definition.Checker) {
				cfg := decode[notifyConfig](config)
				if cfg.Message != "" {
					c.Template("/message", cfg.Message)
				}
				if cfg.Driver == "" {
					if channel, ok := c.Channel(cfg.Channel); !ok {
						c.Error("/channel", definition.CodeUnknownChannel, "There is no channel %q.", cfg.Channel)
					} else if channel.Untested {
						c.Warn("/channel", definition.CodeUntestedChannel, "No test of the channel %q has passed.", cfg.Channel)
					}
				}
			},
		},
	)
	c.Channels = map[string]definition.Channel{
		"ops-slack": {Driver: "slack", IsActive: true},
		"untested":  {Driver: "slack", IsActive: true, Untested: true},
	}
	everything, err := expr.Compile("true", expr.Options{Kind: expr.Bool})
	if err != nil {
		panic(err)
	}
	c.Routes = []*definition.Route{{Name: "everything", Match: everything, Priority: 500, On: []string{"created", "resolved"}}}
	return c
}

// mustCheck returns the plan of a document that has to be valid.
func mustCheck(t testing.TB, document string) *definition.Plan {
	t.Helper()
	plan, issues := definition.Check([]byte(document), catalog())
	if plan == nil || len(issues) > 0 {
		t.Fatalf("%.200s\nis refused: %s", document, lines(issues))
	}
	return plan
}

// lines writes issues one a line: severity, code, path, node, message.
func lines(issues []definition.Issue) string {
	var b strings.Builder
	for _, i := range issues {
		b.WriteString(strings.Join([]string{string(i.Severity), i.Code, orDash(i.Path), orDash(i.NodeID), i.Message}, " | ") + "\n")
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
