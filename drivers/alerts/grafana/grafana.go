// Package grafana reads the webhooks of Grafana's unified alerting. They look like Alertmanager's, with
// an orgId, links and measured values of their own; they are never taken for Alertmanager's.
package grafana

import (
	"context"
	"encoding/json"
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

const name = "grafana"

// Config is empty: the format needs no settings.
type Config struct{}

// Kind describes the source.
func Kind() drivers.Kind[alerts.Source] {
	return drivers.Define(name, "Grafana", func(context.Context, Config) (alerts.Source, error) { return source{}, nil })
}

type source struct{}

// Detect wants version "1", an orgId and the list of alerts; a title or a state proves nothing.
func (source) Detect(_ http.Header, body map[string]any) bool {
	_, list := body["alerts"].([]any)
	_, org := body["orgId"].(json.Number)
	return list && org && body["version"] == "1"
}

func (source) Parse(header http.Header, body []byte) (alerts.Batch, error) {
	doc, err := strictjson.Decode(body)
	if err != nil {
		return alerts.Batch{}, err
	}
	group, ok := doc.(map[string]any)
	if !ok {
		return alerts.Batch{}, fault.New(fault.Unprocessable, "The body of grafana must be an object.")
	}
	if _, org := group["orgId"]; !org && group["version"] == "4" {
		return alerts.Batch{}, fault.New(fault.Unprocessable, "The body is a webhook of Alertmanager. Send it to the source alertmanager.")
	}
	if err := alerts.RefuseForeign(header, group); err != nil {
		return alerts.Batch{}, err
	}
	b := alerts.NewBuilder(name)
	list, err := b.Elements("/alerts", group["alerts"])
	if err != nil {
		return alerts.Batch{}, err
	}
	b.Truncated("/truncatedAlerts", group["truncatedAlerts"])
	status := b.Status("/status", group["status"], alerts.Firing)
	for i, element := range list {
		path := fmt.Sprintf("/alerts/%d", i)
		a, ok := b.Element(path, element, status)
		if !ok {
			continue
		}
		fields := element.(map[string]any) // Element has checked it
		for _, link := range []struct{ text, key string }{
			{"Silence", "silenceURL"}, {"Dashboard", "dashboardURL"}, {"Panel", "panelURL"}, {"Image", "imageURL"},
		} {
			a.Links = append(a.Links, alerts.Link{Text: link.text, URL: b.First(path, fields, link.key)})
		}
		if values := measured(b, path, fields); values != "" && a.Annotations["values"] == "" {
			a.Annotations["values"] = values
		}
		b.Add(path, a)
	}
	return b.Batch()
}

// measured writes the values of the rule's expressions as text: "B=44.2, C=1". They are kept as an
// annotation because they change from one notification to the next.
func measured(b *alerts.Builder, path string, fields map[string]any) string {
	values, ok := b.Texts(path+"/values", fields["values"])
	if !ok {
		b.Note(path+"/values", "is not an object; left out")
	}
	if len(values) == 0 {
		return b.First(path, fields, "valueString")
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, key+"="+values[key])
	}
	return strings.Join(parts, ", ")
}
