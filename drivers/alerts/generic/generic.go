// Package generic reads alerts from anything that can POST JSON. The body is one alert, a list of
// alerts, or {"alerts": […]} (with a "status" for those that have none). The keys of an alert, of which
// one of the first two lines or labels.alertname is needed:
//
//	title, name, alertname           what is wrong; the identity, so keep measured values out of it
//	summary, message, description    more text
//	severity, priority, level        critical, error, warning, info and their relatives; none is a warning
//	status, state                    firing, resolved, ok, alerting, …; none is firing
//	host, hostname, host_name, server, node, instance
//	labels, tags                     {"key": "value"}, ["key:value"], "key:value,key:value" or [{"key": …, "value": …}]
//	annotations                      {"key": "text"}
//	fingerprint, dedup_key, dedupKey, id   the same from trigger to recovery; without one, title, host and labels are
//	starts_at, startsAt              RFC 3339, or Unix seconds or milliseconds
//	ends_at, endsAt
//	timestamp, time                  when it happened: the start of a firing alert, the end of a resolved one
//	url, link, generatorURL          where the alert comes from
//	links                            ["https://…"], {"text": "https://…"} or [{"text": …, "url": …}]
//	runbook_url, dashboard_url       more links
//
// An alert as Alertmanager writes it fits into this. Keys that are not in the list are named in a note.
package generic

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

const name = "generic"

// Config is empty: the format needs no settings.
type Config struct{}

// Kind describes the source.
func Kind() drivers.Kind[alerts.Source] {
	return drivers.Define(name, "Generic JSON", func(context.Context, Config) (alerts.Source, error) { return source{}, nil })
}

type source struct{}

// Detect wants something that can be the name of an alert, and nothing that is known to be the body of
// another system. It comes last in a registry.
func (source) Detect(header http.Header, body map[string]any) bool {
	elements, ok := body["alerts"].([]any)
	if !ok {
		elements = []any{body}
	}
	return alerts.RefuseForeign(header, body) == nil && slices.ContainsFunc(elements, named)
}

func (source) Parse(header http.Header, body []byte) (alerts.Batch, error) {
	doc, err := strictjson.Decode(body)
	if err != nil {
		return alerts.Batch{}, err
	}
	b := alerts.NewBuilder(name)
	switch doc := doc.(type) {
	case []any:
		err = parseList(b, header, "", map[string]any{"alerts": doc})
	case map[string]any:
		if _, ok := doc["alerts"]; ok {
			err = parseList(b, header, "/alerts", doc)
			unused(b, "", doc, envelopeKeys)
		} else if err = alerts.RefuseForeign(header, doc); err == nil {
			parseElement(b, "", doc, alerts.Firing)
		}
	default:
		err = fault.New(fault.Unprocessable, "The body of generic must be an object or a list of objects.")
	}
	if err != nil {
		return alerts.Batch{}, err
	}
	return b.Batch()
}

// parseList reads the alerts of an envelope; path is where its list was found.
func parseList(b *alerts.Builder, header http.Header, path string, envelope map[string]any) error {
	if err := alerts.RefuseForeign(header, envelope); err != nil {
		return err
	}
	elements, err := b.Elements(path, envelope["alerts"])
	if err != nil {
		return err
	}
	status := b.Status("/status", envelope["status"], alerts.Firing)
	b.Truncated("/truncatedAlerts", envelope["truncatedAlerts"])
	for i, element := range elements {
		parseElement(b, fmt.Sprintf("%s/%d", path, i), element, status)
	}
	return nil
}

func parseElement(b *alerts.Builder, path string, element any, group alerts.Status) {
	fields, ok := element.(map[string]any)
	if !ok {
		b.Note(path, "is not an object; skipped")
		return
	}
	b.Add(path, reader{b, path, fields}.alert(group))
	unused(b, path, fields, elementKeys)
}

var (
	nameKeys = []string{"title", "name", "alertname"}
	textKeys = []string{"summary", "message", "description"}
)

// named reports whether an element has anything that can be the name of an alert.
func named(element any) bool {
	fields, _ := element.(map[string]any)
	for _, key := range slices.Concat(nameKeys, textKeys) {
		if text, ok := fields[key].(string); ok && strings.TrimSpace(text) != "" {
			return true
		}
	}
	labels, _ := fields["labels"].(map[string]any)
	text, _ := labels["alertname"].(string)
	return text != ""
}

// unused names the keys that nobody reads, so that a typing error is seen.
func unused(b *alerts.Builder, path string, fields map[string]any, known []string) {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			keys = append(keys, fmt.Sprintf("%.60q", key))
		}
	}
	if len(keys) == 0 {
		return
	}
	rest := ""
	if len(keys) > 10 {
		keys, rest = keys[:10], fmt.Sprintf(" and %d more", len(keys)-10)
	}
	b.Note(path, "keys that are not used: %s%s", strings.Join(keys, ", "), rest)
}
