// Package alertmanager reads the webhooks of Prometheus' Alertmanager, format version 4, and bodies that
// hold alerts in its format without the envelope: {"alerts": [{"status": …, "labels": …}]}.
package alertmanager

import (
	"context"
	"fmt"
	"net/http"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

const name = "alertmanager"

// Config is empty: the format needs no settings.
type Config struct{}

// Kind describes the source.
func Kind() drivers.Kind[alerts.Source] {
	return drivers.Define(name, "Prometheus Alertmanager", func(context.Context, Config) (alerts.Source, error) { return source{}, nil })
}

type source struct{}

// Detect wants what every Alertmanager sends since 2016, and not the orgId that Grafana adds.
func (source) Detect(_ http.Header, body map[string]any) bool {
	_, list := body["alerts"].([]any)
	_, key := body["groupKey"].(string)
	_, org := body["orgId"]
	return list && key && !org && body["version"] == "4"
}

func (source) Parse(header http.Header, body []byte) (alerts.Batch, error) {
	doc, err := strictjson.Decode(body)
	if err != nil {
		return alerts.Batch{}, err
	}
	group, ok := doc.(map[string]any)
	if !ok {
		return alerts.Batch{}, fault.New(fault.Unprocessable, "The body of alertmanager must be an object.")
	}
	if _, org := group["orgId"]; org {
		return alerts.Batch{}, fault.New(fault.Unprocessable, "The body is a webhook of Grafana. Send it to the source grafana.")
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
	home := alerts.Link{Text: "Alertmanager", URL: b.First("", group, "externalURL")}
	for i, element := range list {
		path := fmt.Sprintf("/alerts/%d", i)
		if a, ok := b.Element(path, element, status); ok {
			a.Links = []alerts.Link{home}
			b.Add(path, a)
		}
	}
	return b.Batch()
}
