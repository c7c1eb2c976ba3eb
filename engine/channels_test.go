package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"penstock/engine"
	"penstock/fault"
)

func TestChannelSecrets(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		save := func(name, config string, admin bool) (string, error) {
			ch, _, err := s.SaveChannel(t.Context(), engine.ChannelInput{Name: name, Driver: "pagerduty", Config: json.RawMessage(config), Admin: admin})
			if err != nil {
				return "", err
			}
			return string(ch.Config), nil
		}
		must := func(name, config string) string {
			t.Helper()
			got, err := save(name, config, false)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		const ref = `{"secret":"channel/pd/routing_key"}`
		if got := must("pd", `{"routing_key":"canary-0123456789"}`); strings.Contains(got, "canary") || !strings.Contains(got, ref) {
			t.Errorf("stored as %s", got)
		}
		for _, same := range []string{`{}`, `{"routing_key":"[secret]"}`, `{"routing_key":` + ref + `}`} {
			if got := must("pd", same); !strings.Contains(got, ref) {
				t.Errorf("%s lost the secret: %s", same, got)
			}
		}
		for _, moved := range []string{`{"base_url":"https://evil.example"}`, `{"base_url":"https://evil.example","routing_key":"[secret]"}`, `{"base_url":"https://evil.example","routing_key":` + ref + `}`} {
			if _, err := save("pd", moved, false); !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%s sends the secret to another target: %v", moved, err)
			}
		}
		if _, err := save("thief", `{"base_url":"https://evil.example","routing_key":`+ref+`}`, false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("another channel's secret: %v", err)
		}
		if _, err := save("thief", `{"routing_key":{"env":"HOME"}}`, false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("the environment: %v", err)
		}
		if _, err := save("second", `{"routing_key":`+ref+`}`, true); err != nil {
			t.Errorf("an admin: %v", err)
		}
		if err := s.DeleteChannel(t.Context(), "pd"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.SecretValue(t.Context(), "channel/pd/routing_key"); !fault.Is(err, fault.NotFound) {
			t.Errorf("the secret of a deleted channel: %v", err)
		}
		_, _, _, err := s.SaveDefinition(t.Context(), engine.DefinitionInput{Name: "thief", Config: json.RawMessage(
			`{"version":"1.0","nodes":[{"id":"n","type":"step","config":{"driver":"pagerduty","driver_config":{"routing_key":` + ref + `}}}]}`)})
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("a definition with a channel's secret: %v", err)
		}
	})
}
