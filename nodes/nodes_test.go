package nodes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/ai/claude"
	"penstock/drivers/ai/local"
	"penstock/drivers/ai/openai"
	"penstock/drivers/alerts/alertmanager"
	alertsgeneric "penstock/drivers/alerts/generic"
	"penstock/drivers/alerts/grafana"
	"penstock/drivers/notify/console"
	"penstock/drivers/notify/email"
	"penstock/drivers/notify/generic"
	"penstock/drivers/notify/notifytest"
	"penstock/drivers/notify/pagerduty"
	"penstock/drivers/notify/slack"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/nodes"
	"penstock/nodes/host"
	"penstock/nodes/nodetest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// deps are the built-in kinds, and a machine with fixed figures.
func deps(t testing.TB) nodes.Deps {
	t.Helper()
	n, a := notifytest.Deps(t, nil), ai.Deps{}
	return nodes.Deps{
		Sources: drivers.NewRegistry(alertmanager.Kind(), grafana.Kind(), alertsgeneric.Kind()),
		Notify:  drivers.NewRegistry(slack.Kind(n), email.Kind(n), pagerduty.Kind(n), generic.Kind(n), console.Kind(n)),
		AI:      drivers.NewRegistry(local.Kind(a), openai.Kind(a), claude.Kind(a)),
		Measure: machine,
		HTTP:    n.HTTP, Dial: n.Dial,
	}
}

// machine is a sample with only what was asked for.
func machine(ctx context.Context, w host.Want) (host.Sample, error) {
	all := map[string]any{
		"cpu":    map[string]any{"percent": 93.5, "count": 4, "count_logical": 8, "per_cpu": []float64{93.5}},
		"memory": map[string]any{"total_gb": 16.0, "available_gb": 4.0, "used_gb": 12.0, "percent": 75.0, "swap_total_gb": 2.0, "swap_used_gb": 0.5, "swap_percent": 25.0},
		"disk":   map[string]any{"path": "/", "total_gb": 100.0, "used_gb": 40.0, "free_gb": 60.0, "percent": 40.0},
		"processes": []any{
			map[string]any{"pid": 12, "name": "postgres", "cpu_percent": 180.2, "memory_percent": 31.4},
		},
	}
	s := host.Sample{Host: "penstock-1", At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), System: map[string]any{}}
	for _, metric := range w.Include {
		s.System[metric] = all[metric]
	}
	return s, ctx.Err()
}

func types(t testing.TB) []engine.NodeType { t.Helper(); return nodes.All(deps(t)) }

func nodeType(t testing.TB, name string) engine.NodeType {
	t.Helper()
	return pick(t, types(t), name)
}

func pick(t testing.TB, all []engine.NodeType, name string) engine.NodeType {
	t.Helper()
	for _, nt := range all {
		if nt.Name == name {
			return nt
		}
	}
	t.Fatalf("there is no node type %q", name)
	return engine.NodeType{}
}

// issues validates a document with one node of the given type behind the nodes before.
func issues(t testing.TB, nodeType, config string, channels map[string]definition.Channel, before ...string) string {
	t.Helper()
	document := fmt.Sprintf(`{"version": "1.0", "nodes": [%s]}`,
		strings.Join(append(before, fmt.Sprintf(`{"id": "it", "type": %q, "config": %s}`, nodeType, config)), ", "))
	_, found := nodetest.Check(types(t), document, channels)
	var lines []string
	for _, i := range found {
		if i.Code != definition.CodeBranchesUnused {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s", i.Severity, i.Code, strings.TrimPrefix(i.Path, fmt.Sprintf("/nodes/%d/config", len(before))), i.Message))
		}
	}
	return strings.Join(lines, "\n")
}

func golden(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func TestTypesDescribeThemselves(t *testing.T) {
	t.Parallel()
	var names []string
	for _, nt := range types(t) {
		names = append(names, nt.Name)
		if nt.Title == "" || nt.Description == "" {
			t.Errorf("%s has no title or description", nt.Name)
		}
		var schema struct {
			Properties map[string]struct {
				Title, Description, Type string
				AnyOf                    []any
			}
			AdditionalProperties *bool
		}
		if err := json.Unmarshal(nt.Schema, &schema); err != nil {
			t.Fatal(err)
		}
		if schema.AdditionalProperties == nil || *schema.AdditionalProperties {
			t.Errorf("%s accepts unknown keys", nt.Name)
		}
		for key, p := range schema.Properties {
			if p.Title == "" || p.Description == "" || p.Type == "" && p.AnyOf == nil {
				t.Errorf("%s.%s has no title, description or type", nt.Name, key)
			}
		}
	}
	if want := []string{"ingest", "context", "check", "intelligence", "transform", "condition", "notify", "pipeline"}; !slices.Equal(names, want) {
		t.Errorf("types %v, want %v", names, want)
	}
	for name, want := range map[string]time.Duration{"notify": 10 * time.Second, "intelligence": 20 * time.Second, "context": 0} {
		if got := nodeType(t, name).Timeout; got != want {
			t.Errorf("timeout of %s %v, want %v", name, got, want)
		}
	}
	if !nodeType(t, "notify").SideEffects || !nodeType(t, "condition").Branches {
		t.Error("notify has side effects and condition has branches")
	}
}

// Everything that kinds accept must be accepted where secrets are references, which validation
// cannot read.
func TestReferencesStandForSecrets(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"slack":     `{"webhook_url": {"secret": "a"}}`,
		"pagerduty": `{"routing_key": {"secret": "a"}}`,
		"generic":   `{"endpoint": "https://example.com", "headers": {"Authorization": {"secret": "a"}}}`,
		"email":     `{"host": "mail.example.com", "username": "u", "password": {"env": "P"}, "from": "a@example.com", "to": ["b@example.com"]}`,
	} {
		if got := issues(t, "notify", fmt.Sprintf(`{"driver": %q, "driver_config": %s}`, name, config), nil); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, name := range []string{"openai", "claude"} {
		if got := issues(t, "intelligence", fmt.Sprintf(`{"provider": %q, "provider_config": {"api_key": {"secret": "a"}}}`, name), nil); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestSettingsAreThoseOfTheKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, nodeType, config, want string }{
		{"unknown driver", "notify", `{"driver": "slak", "channel": "#a"}`, `Did you mean "slack"? One of: "slack", "email", "pagerduty", "generic", "console".`},
		{"unknown provider", "intelligence", `{"provider": "gemini"}`, `error bad_value /provider`},
		{"provider missing", "intelligence", `{}`, `"provider" is missing`},
		{"setting of another driver", "notify", `{"driver": "slack", "driver_config": {"routing_key": "x"}}`, `error unknown_key /driver_config/routing_key`},
		{"wrong type", "notify", `{"driver": "email", "driver_config": {"port": "25"}}`, `error wrong_type /driver_config/port`},
		{"refused by the driver", "notify", `{"driver": "slack", "driver_config": {"webhook_url": "nowhere"}}`, `error bad_value /driver_config/webhook_url: slack: webhook_url must be a full http or https address`},
		{"refused by the provider", "intelligence", `{"provider": "openai", "provider_config": {"redact": ["("], "api_key": "k"}}`, `error bad_value /provider_config: openai: redact[0] is not a regular expression`},
		{"settings missing", "notify", `{"driver": "pagerduty", "driver_config": {}}`, `warning missing_setting /driver_config: PagerDuty cannot send until driver_config has routing_key.`},
		{"key missing", "intelligence", `{"provider": "openai"}`, `warning missing_setting /provider: openai cannot be asked until OPENAI_API_KEY is set. Until then local answers.`},
		{"key missing, no fallback", "intelligence", `{"provider": "openai", "fallback": "none"}`, `Until then the node fails.`},
		{"fallback's key missing", "intelligence", `{"provider": "local", "fallback": "claude"}`, `warning missing_setting /fallback: claude cannot answer as the fallback until ANTHROPIC_API_KEY is set.`},
		{"unknown source", "ingest", `{"driver": "nagios"}`, `One of: "alertmanager", "grafana", "generic".`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := issues(t, c.nodeType, c.config, nil); !strings.Contains(got, c.want) {
				t.Errorf("issues:\n%s\nwant: %s", got, c.want)
			}
		})
	}
}
