package slack_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"penstock/drivers/notify"
	"penstock/drivers/notify/notifytest"
	"penstock/drivers/notify/slack"
	"penstock/fault"
)

func TestAppSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{
		Kind: slack.Kind, Missing: []string{"webhook_url"},
		Start: func(t testing.TB) notifytest.Receiver {
			app := notifytest.NewSlackApp(t)
			return notifytest.Receiver{
				Sink: app.Sink, Config: appConfig(app), Text: shown,
				Key: func(r notifytest.Request) string { return r.Header.Get("Idempotency-Key") },
			}
		},
	})
}

func appConfig(app *notifytest.SlackApp) string {
	config, _ := json.Marshal(map[string]string{"bot_token": notifytest.Canary, "channel": "#ops", "base_url": app.URL})
	return string(config)
}

func appDriver(t *testing.T, app *notifytest.SlackApp) notify.Driver {
	t.Helper()
	driver, err := slack.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(appConfig(app)))
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

func TestAppEditsWhatItSent(t *testing.T) {
	t.Parallel()
	app := notifytest.NewSlackApp(t)
	driver := appDriver(t, app)
	first, err := driver.Send(t.Context(), notifytest.Message())
	if err != nil || first.MessageID != "C-ops:1700000000.000001" || !strings.HasPrefix(first.Request, "POST 127.0.0.1:") || !strings.Contains(first.Request, "/api/chat.postMessage, ") {
		t.Fatalf("%+v, %v", first, err)
	}
	m := notifytest.Resolved()
	m.Earlier = first.MessageID
	edited, err := driver.Send(t.Context(), m)
	r := app.Requests()[1]
	if err != nil || edited.MessageID != first.MessageID || r.Path != "/chat.update" || !strings.Contains(shown(r), "[RESOLVED]") {
		t.Errorf("%+v, %v, %s", edited, err, r.Path)
	}
	t.Run("what is gone is sent anew", func(t *testing.T) {
		m.Earlier = "C-ops:1"
		again, err := driver.Send(t.Context(), m)
		if err != nil || again.MessageID == first.MessageID || app.Count() != 4 {
			t.Errorf("%+v, %v, %d requests", again, err, app.Count())
		}
	})
	t.Run("a destination of the node replaces the channel", func(t *testing.T) {
		m := notifytest.Message()
		m.Channel = "#db"
		if receipt, err := driver.Send(t.Context(), m); err != nil || !strings.HasPrefix(receipt.MessageID, "C-db:") {
			t.Errorf("%+v, %v", receipt, err)
		}
	})
}

func TestAppErrors(t *testing.T) {
	t.Parallel()
	app := notifytest.NewSlackApp(t)
	driver := appDriver(t, app)
	for word, want := range map[string]struct {
		retry, credentials bool
		says               string
	}{
		"ratelimited":       {true, false, "ratelimited"},
		"internal_error":    {true, false, "internal_error"},
		"invalid_auth":      {false, true, "bot_token"},
		"missing_scope":     {false, true, "chat:write"},
		"not_in_channel":    {false, false, "/invite"},
		"channel_not_found": {false, false, "private channel"},
		"invalid_blocks":    {false, false, "invalid_blocks"},
	} {
		app.Script(notifytest.Reply{Status: 200, Body: `{"ok":false,"error":"` + word + `"}`})
		receipt, err := driver.Send(t.Context(), notifytest.Message())
		if _, retry := fault.Retryable(err); err == nil || retry != want.retry || errors.Is(err, notify.ErrCredentials) != want.credentials ||
			errors.Is(err, notify.ErrRefused) != (!want.retry && !want.credentials) || !strings.Contains(fault.Of(err).Message, want.says) || receipt.MessageID != "" {
			t.Errorf("%s: %+v, %v", word, receipt, err)
		}
	}
}

func TestAppSettings(t *testing.T) {
	t.Parallel()
	kind := slack.Kind(notifytest.Deps(t, nil))
	if _, err := kind.Build(t.Context(), json.RawMessage(`{"webhook_url":"https://hooks.slack.com/x","bot_token":"xoxb-1"}`)); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("both ways at once: %v", err)
	}
	driver, err := kind.Build(t.Context(), json.RawMessage(`{"bot_token":"xoxb-1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if missing := driver.(notify.Readiness).Missing(); len(missing) != 1 || missing[0] != "channel" {
		t.Errorf("missing %v", missing)
	}
}
