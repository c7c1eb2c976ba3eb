package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/fault"
)

// answer is what Slack's Web API says, with status 200 also when it refuses.
type answer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"` // the id, also where a name was sent
	TS      string `json:"ts"`      // with the channel it names the message
}

// Words of Slack's errors.
var (
	passing = []string{"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
	noAuth  = []string{"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "no_permission", "missing_scope", "org_login_required", "ekm_access_denied"}
	notThis = []string{"message_not_found", "cant_update_message", "edit_window_closed"}
	advice  = map[string]string{
		"not_in_channel":    "Invite the app to the channel (/invite).",
		"channel_not_found": "Check the channel's name; in a private channel the app must be a member.",
		"is_archived":       "The channel is archived.",
		"missing_scope":     "The app needs the scope chat:write.",
	}
)

// sendAsApp posts by the Web API, or edits the earlier message. One that can no longer be edited is
// followed by a new one.
func (d *driver) sendAsApp(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	body := compose(m)
	if body.Channel == "" {
		body.Channel = d.config.Channel
	}
	if channel, ts, ok := strings.Cut(m.Earlier, ":"); ok {
		edit := body
		edit.Channel, edit.TS = channel, ts
		receipt, word, err := d.call(ctx, "chat.update", edit, m.Key)
		if !slices.Contains(notThis, word) {
			return receipt, err
		}
	}
	receipt, _, err := d.call(ctx, "chat.postMessage", body, m.Key)
	return receipt, err
}

// call returns the word of Slack's error too, "" if there is none.
func (d *driver) call(ctx context.Context, method string, body message, key string) (notify.Receipt, string, error) {
	token := d.config.BotToken
	receipt, raw, err := d.deps.Do(ctx, notify.Post{
		URL: strings.TrimSuffix(d.config.BaseURL, "/") + "/" + method, Path: "/api/" + method, Body: body, Key: key,
		Header: http.Header{"Authorization": {"Bearer " + token.Reveal()}}, Secrets: []drivers.Secret{token},
	})
	if err != nil {
		return receipt, "", err
	}
	var a answer
	if json.Unmarshal(raw, &a) != nil || !a.OK && a.Error == "" {
		return receipt, "", fault.New(fault.Unprocessable, "The receiver answered %d, but not as Slack does. Check base_url. It said: %s", receipt.Status, notify.Cut(notify.OneLine(receipt.Response), 200))
	}
	if a.OK {
		receipt.MessageID = notify.Redact(notify.Cut(notify.OneLine(a.Channel+":"+a.TS), 255), token)
		return receipt, "", nil
	}
	word := notify.Redact(notify.Cut(notify.OneLine(a.Error), 100), token)
	text := strings.TrimSpace("Slack refused the message: " + word + ". " + advice[a.Error])
	switch {
	case slices.Contains(passing, a.Error):
		err = fault.Retry(fault.New(fault.Unavailable, "Slack cannot take the message now: %s.", word), 0)
	case slices.Contains(noAuth, a.Error):
		err = fault.Wrap(notify.ErrCredentials, fault.Unprocessable, "%s Check bot_token.", text)
	default:
		err = fault.Wrap(notify.ErrRefused, fault.Unprocessable, "%s", text)
	}
	return receipt, a.Error, err
}
