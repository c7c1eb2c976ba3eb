// Package slack sends messages to Slack: by an incoming webhook, or as an app, which can edit what it
// has sent.
package slack

import (
	"cmp"
	"context"
	"strings"

	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/fault"
)

// Config are the settings of the driver.
type Config struct {
	WebhookURL drivers.Secret `json:"webhook_url,omitzero" jsonschema:"title=Webhook URL,description=Address of an incoming webhook (https://hooks.slack.com/services/…). Whoever knows it can post: it is stored as a secret. Messages sent by it cannot be edited later."`
	BotToken   drivers.Secret `json:"bot_token,omitzero" jsonschema:"title=Bot token,description=Token of a Slack app (xoxb-…) with the scope chat:write\\, in place of a webhook URL. Its messages are edited when something changes."`
	Channel    string         `json:"channel,omitempty" jsonschema:"title=Channel,description=With a bot token: where it posts\\, a name like #incidents or an id. A channel in the notify node replaces it."`
	BaseURL    string         `json:"base_url,omitempty" jsonschema:"title=Base URL,description=With a bot token: address of Slack's Web API. Set it for a proxy of yours.,default=https://slack.com/api"`
}

// Kind is the Slack driver.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	return drivers.Define("slack", "Slack", func(_ context.Context, c Config) (notify.Driver, error) {
		if c.WebhookURL.IsSet() {
			if err := notify.CheckURL("webhook_url", c.WebhookURL.Reveal()); err != nil {
				return nil, err
			}
		}
		if c.WebhookURL.IsSet() && c.BotToken.IsSet() {
			return nil, notify.BadSetting("bot_token", "cannot stand beside webhook_url. Keep one of them.")
		}
		c.BaseURL = cmp.Or(c.BaseURL, "https://slack.com/api")
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

func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	missing := d.Missing()
	if m.Channel != "" && d.config.BotToken.IsSet() {
		missing = nil
	}
	if missing != nil {
		return notify.Receipt{}, notify.NotReady("Slack", missing)
	}
	if d.config.BotToken.IsSet() {
		return d.sendAsApp(ctx, m)
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
	switch {
	case d.config.BotToken.IsSet() && d.config.Channel == "":
		return []string{"channel"}
	case !d.config.BotToken.IsSet() && !d.config.WebhookURL.IsSet():
		return []string{"webhook_url"}
	}
	return nil
}
