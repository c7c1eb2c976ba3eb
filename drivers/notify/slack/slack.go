// Package slack sends messages to Slack by an incoming webhook.
package slack

import (
	"context"
	"strings"

	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/fault"
)

// Config are the settings of the driver.
type Config struct {
	WebhookURL drivers.Secret `json:"webhook_url,omitzero" jsonschema:"title=Webhook URL,description=Address of an incoming webhook (https://hooks.slack.com/services/…). Whoever knows it can post: it is stored as a secret."`
}

// Kind is the Slack driver.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	return drivers.Define("slack", "Slack", func(_ context.Context, c Config) (notify.Driver, error) {
		if c.WebhookURL.IsSet() {
			if err := notify.CheckURL("webhook_url", c.WebhookURL.Reveal()); err != nil {
				return nil, err
			}
		}
		return &driver{deps, c}, nil
	})
}

type driver struct {
	deps   notify.Deps
	config Config
}

func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if missing := d.Missing(); missing != nil {
		return notify.Receipt{}, notify.NotReady("Slack", missing)
	}
	receipt, answer, err := d.deps.Do(ctx, notify.Post{
		URL: d.config.WebhookURL.Reveal(), Body: compose(m), Key: m.Key, Secrets: []drivers.Secret{d.config.WebhookURL},
	})
	if err != nil {
		return receipt, err
	}
	// A webhook that works says "ok"; a log-in page or a proxy also answers 200.
	if receipt.Status != 200 || strings.TrimSpace(string(answer)) != "ok" {
		return receipt, fault.New(fault.Unprocessable, "The receiver answered %d, but not with Slack's \"ok\". Check webhook_url. It said: %s", receipt.Status, notify.Cut(notify.OneLine(receipt.Response), 200))
	}
	return receipt, nil
}

func (d *driver) Missing() []string {
	if !d.config.WebhookURL.IsSet() {
		return []string{"webhook_url"}
	}
	return nil
}
