package alerts

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"penstock/fault"
)

// Detect returns the name of the first source in reg that recognises a body for certain. doc is the
// decoded body; a list is shown to the sources as the object {"alerts": list}. A body that no source
// recognises, or that can only be from a system without a source, is a [fault.Unprocessable].
func Detect(reg *Registry, header http.Header, doc any) (string, error) {
	body, ok := doc.(map[string]any)
	if list, isList := doc.([]any); isList {
		body = map[string]any{"alerts": list}
	} else if !ok {
		return "", fault.New(fault.Unprocessable, "The body must be a JSON object or a list of objects.")
	}
	for _, kind := range reg.All() {
		source, err := kind.Build(context.Background(), nil)
		if err != nil {
			continue // a source that needs settings must be named by the caller
		}
		if d, ok := source.(Detector); ok && d.Detect(header, body) {
			return kind.Name, nil
		}
	}
	if err := RefuseForeign(header, body); err != nil {
		return "", err
	}
	return "", fault.New(fault.Unprocessable,
		"No source recognises the body. Name the source in the request (available: %s), or send at least a title.", strings.Join(reg.Names(), ", "))
}

// Unwrap takes {"driver": "…", "payload": {…}} apart, the way in which REST callers name the source of
// a body. Only an object with exactly these keys (and optionally "source") is one: a vendor's body may
// have a driver or a payload of its own and is returned as it is.
func Unwrap(doc any) (driver string, payload any, wrapped bool) {
	body, ok := doc.(map[string]any)
	if !ok {
		return "", doc, false
	}
	for key := range body {
		if key != "driver" && key != "payload" && key != "source" {
			return "", doc, false
		}
	}
	driver, _ = body["driver"].(string)
	switch body["payload"].(type) {
	case map[string]any, []any:
		if driver != "" {
			return driver, body["payload"], true
		}
	}
	return "", doc, false
}

// vendor is a system whose webhooks are known by their shape and must not be taken for something else.
type vendor struct {
	title      string
	recognises func(header http.Header, body map[string]any) bool
}

var vendors = []vendor{
	{"PagerDuty", func(_ http.Header, body map[string]any) bool {
		event, _ := body["event"].(map[string]any)
		return has(event, "resource_type", "event_type")
	}},
	{"New Relic", func(_ http.Header, body map[string]any) bool {
		return has(body, "issueUrl", "state", "trigger") || has(body, "condition_id", "current_state", "incident_id")
	}},
	{"Opsgenie", func(_ http.Header, body map[string]any) bool {
		alert, _ := body["alert"].(map[string]any)
		return has(body, "action") && has(alert, "alertId")
	}},
	{"Sentry", func(header http.Header, body map[string]any) bool {
		return header.Get("Sentry-Hook-Resource") != "" || has(body, "action", "data", "installation")
	}},
	{"Amazon SNS", func(header http.Header, body map[string]any) bool {
		return header.Get("X-Amz-Sns-Message-Type") != "" || has(body, "Type", "MessageId", "TopicArn") || has(body, "AlarmName", "NewStateValue")
	}},
	{"Uptime Kuma", func(_ http.Header, body map[string]any) bool { return has(body, "heartbeat", "monitor", "msg") }},
	{"CloudEvents", func(header http.Header, body map[string]any) bool {
		return header.Get("Ce-Specversion") != "" || has(body, "specversion", "id", "source", "type")
	}},
	{"Datadog", func(_ http.Header, body map[string]any) bool {
		return has(body, "alert_transition") || has(body, "monitor_id", "transition")
	}},
	{"Zabbix", func(_ http.Header, body map[string]any) bool {
		return has(body, "triggerId", "event_ack") || has(body, "event_nseverity") || has(body, "event_value", "trigger_id")
	}},
	{"Grafana's legacy alerting", func(_ http.Header, body map[string]any) bool { return has(body, "ruleId", "ruleName", "state") }},
}

// RefuseForeign returns a [fault.Unprocessable] for a body, or an element of its list of alerts, that is
// recognised as a webhook of a system whose words must not be read by the rules of another: an
// acknowledgement would become an alert.
func RefuseForeign(header http.Header, body map[string]any) error {
	for _, v := range vendors {
		if v.recognises(header, body) {
			return fault.New(fault.Unprocessable,
				"The body is a webhook of %s, which is not read here. Let it send the generic format (title, severity, status, host, labels) instead.", v.title)
		}
	}
	elements, _ := body["alerts"].([]any)
	for _, element := range elements {
		if fields, ok := element.(map[string]any); ok {
			if err := RefuseForeign(nil, fields); err != nil {
				return err
			}
		}
	}
	return nil
}

func has(body map[string]any, keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { _, ok := body[key]; return !ok })
}
