// Package pagerduty opens and resolves alerts by PagerDuty's Events API v2.
package pagerduty

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/fault"
)

// Config are the settings of the driver.
type Config struct {
	RoutingKey drivers.Secret `json:"routing_key,omitzero" jsonschema:"title=Routing key,description=Integration key of an Events API v2 integration of the service to page."`
	BaseURL    string         `json:"base_url,omitempty" jsonschema:"title=Base URL,description=Address of the Events API. Set it for the EU region (https://events.eu.pagerduty.com) or a proxy of yours.,default=https://events.pagerduty.com"`
}

// Kind is the PagerDuty driver.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	return drivers.Define("pagerduty", "PagerDuty", func(_ context.Context, c Config) (notify.Driver, error) {
		c.BaseURL = cmp.Or(c.BaseURL, "https://events.pagerduty.com")
		if err := notify.CheckURL("base_url", c.BaseURL); err != nil {
			return nil, err
		}
		return &driver{deps, c}, nil
	})
}

type driver struct {
	deps   notify.Deps
	config Config
}

type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Payload    *payload `json:"payload,omitempty"` // nil on resolve
	Links      []link   `json:"links,omitempty"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp,omitempty"`
	Component string         `json:"component,omitempty"`
	Group     string         `json:"group,omitempty"`
	Class     string         `json:"class,omitempty"`
	Details   map[string]any `json:"custom_details,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// PagerDuty's limits.
const (
	fieldLimit    = 1024 // of the summary; ours for the other short texts
	dedupKeyLimit = 255
	eventLimit    = 512 << 10 // bytes of the whole request
	textLimit     = 64 << 10  // ours: leaves room for the other details
)

// badKey is in the answer when PagerDuty does not know the routing key, which it says with status 400.
var badKey = regexp.MustCompile(`(?i)routing.key`)

func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if missing := d.Missing(); missing != nil {
		return notify.Receipt{}, notify.NotReady("PagerDuty", missing)
	}
	e, err := d.event(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	receipt, answer, err := d.deps.Do(ctx, notify.Post{
		URL: strings.TrimSuffix(d.config.BaseURL, "/") + "/v2/enqueue", Path: "/v2/enqueue", Body: e, Key: m.Key, Secrets: []drivers.Secret{d.config.RoutingKey},
	})
	if errors.Is(err, notify.ErrRefused) && badKey.Match(answer) {
		return receipt, fault.Wrap(notify.ErrCredentials, fault.Unprocessable, "%s", fault.Of(err).Message)
	}
	if err != nil {
		return receipt, err
	}
	var accepted struct {
		DedupKey string `json:"dedup_key"`
	}
	_ = json.Unmarshal(answer, &accepted) // the status alone says that the event was taken
	receipt.MessageID = cmp.Or(notify.Redact(notify.Cut(notify.OneLine(accepted.DedupKey), dedupKeyLimit), d.config.RoutingKey), e.DedupKey)
	receipt.Data = map[string]any{"dedup_key": e.DedupKey}
	return receipt, nil
}

func (d *driver) Missing() []string {
	if !d.config.RoutingKey.IsSet() {
		return []string{"routing_key"}
	}
	return nil
}

func (d *driver) event(m notify.Message) (event, error) {
	e := event{
		RoutingKey: d.config.RoutingKey.Reveal(), Action: string(notify.Trigger),
		DedupKey: dedupKey(cmp.Or(m.DedupKey, m.Key)),
	}
	if m.Action == notify.Resolve {
		e.Action = string(notify.Resolve)
		return e, nil
	}
	e.Client, e.ClientURL = "Penstock", m.URL
	e.Payload = &payload{
		Summary:  field(m.Summary()),
		Source:   cmp.Or(field(m.Source), field(m.Host), "penstock"),
		Severity: string(cmp.Or(m.Severity, alerts.Info)),
		// Component, group and class are what PagerDuty's event rules look at.
		Component: field(m.Host),
		Group:     field(text(m.Context["environment"])),
		Class:     field(text(firstLabel(m.Alerts, "alertname"))),
		Details:   details(m),
	}
	if !m.Since.IsZero() {
		e.Payload.Timestamp = m.Since.UTC().Format(time.RFC3339Nano)
	}
	for _, l := range m.SafeLinks() {
		e.Links = append(e.Links, link{Href: l.URL, Text: l.Text})
	}
	size, err := notify.EncodeJSON(e)
	if err != nil {
		return event{}, fmt.Errorf("encode event: %w", err)
	}
	if len(size) > eventLimit {
		e.Payload.Details = map[string]any{"note": fmt.Sprintf("The details were left out: with them the event has %d KB, and PagerDuty takes %d.", len(size)>>10, eventLimit>>10)}
		e.Links = e.Links[:min(len(e.Links), 10)]
	}
	return e, nil
}

func details(m notify.Message) map[string]any {
	all := map[string]any{}
	if m.Text != "" {
		all["message"] = notify.Cut(notify.Clean(m.Text), textLimit)
	}
	if len(m.Facts) > 0 {
		facts := map[string]string{}
		for _, f := range m.Facts {
			facts[f.Name] = f.Value
		}
		all["facts"] = facts
	}
	if m.Incident != nil {
		all["incident"] = m.Incident
	}
	if len(m.Alerts) > 0 {
		all["alerts"] = m.Alerts
	}
	if len(m.Tags) > 0 {
		all["tags"] = m.Tags
	}
	if len(m.Context) > 0 {
		all["context"] = m.Context
	}
	return all
}

// dedupKey fits any key into PagerDuty's limit; equal keys stay equal and different ones different.
func dedupKey(key string) string {
	if utf8.RuneCountInString(key) <= dedupKeyLimit {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// firstLabel is the label of the first alert that has it; labels are plain data of any shape.
func firstLabel(all []map[string]any, name string) any {
	for _, a := range all {
		switch labels := a["labels"].(type) {
		case map[string]any:
			if v := labels[name]; v != nil {
				return v
			}
		case map[string]string:
			if v, ok := labels[name]; ok {
				return v
			}
		}
	}
	return nil
}

func field(s string) string { return notify.Cut(notify.OneLine(s), fieldLimit) }

func text(v any) string {
	s, _ := v.(string)
	return s
}
