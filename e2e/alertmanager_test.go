//go:build e2e

package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"penstock/db/dbtest"
	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// oncall tells four channels side by side, each with everything that the run knows.
const oncall = `{
  "version": "1.0",
  "nodes": [
    {"id": "ingest",  "type": "ingest", "config": {"driver": "alertmanager"}, "next": "look"},
    {"id": "look",    "type": "context", "config": {"include": ["cpu", "memory", "disk"]}, "required": false, "next": "analyze"},
    {"id": "analyze", "type": "intelligence", "config": {"provider": "local"}, "required": false, "next": ["webhook", "slack", "page", "mail"]},
    {"id": "webhook", "type": "notify", "config": {"channel": "webhook"}},
    {"id": "slack",   "type": "notify", "config": {"channel": "slack"}},
    {"id": "page",    "type": "notify", "config": {"channel": "pagerduty"}},
    {"id": "mail",    "type": "notify", "config": {"channel": "email"}}
  ]
}`

const (
	dbHost, webHost = "db-1.example.com", "web-1.example.com"
	runbook         = "https://runbooks.example.com/disk-full"
	routingKey      = "R0123456789ABCDEF0123456789ABCDE"
	webhookSecret   = "Bearer of-the-receiver"
)

// people is everybody who is told.
type people struct {
	webhook *notifytest.Webhook
	slack   *notifytest.Slack
	pager   *notifytest.PagerDuty
	mail    *notifytest.SMTP
}

// TestAlertmanager puts the real Alertmanager before Penstock and looks at what a person would get:
// two hosts in one group, repeats, then the end of both.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	if _, err := buildAlertmanager(); err != nil {
		t.Fatal(err)
	}
	dbtest.EachURL(t, func(t *testing.T, url string) {
		told := &people{
			notifytest.NewWebhook(t), notifytest.NewSlack(t), notifytest.NewPagerDuty(t),
			notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: "none"}),
		}
		server := newServer(t, url)
		start(t, server)
		token := connect(t, server.Client, told)
		alertmanager := startAlertmanager(t, server.URL+"/webhooks/alertmanager", token)

		began := time.Now().UTC().Add(-time.Minute).Truncate(time.Millisecond)
		post(t, alertmanager, began, time.Time{})
		eventually(t, "Alertmanager repeats the group three times", 30*time.Second, func() bool {
			// The first delivery gives two runs, one per host; a repeat none.
			return deliveries(t, server.Client) >= 4 && unfinished(t, server.Client) == 0
		})
		told.count(t, "two hosts fire, and repeats tell nobody", 2)
		if t.Failed() {
			return
		}
		checkRepeats(t, server.Client)
		firing := told.messages(t)
		for _, m := range firing {
			m.checkFiring(t)
		}

		post(t, alertmanager, began, time.Now().UTC())
		eventually(t, "everybody hears of the end", 30*time.Second, func() bool {
			return told.webhook.Count() >= 4 && told.slack.Count() >= 4 && told.pager.Count() >= 4 && told.mail.Count() >= 4 &&
				unfinished(t, server.Client) == 0
		})
		told.count(t, "both hosts end once", 4)
		all := told.messages(t)
		for host, m := range all {
			m.checkResolved(t, firing[host])
		}
		for _, r := range runs(t, server.Client) {
			if r.Status != "completed" {
				t.Errorf("run %s ended %s", r.RunID, r.Status)
			}
		}
	})
}

// connect makes the four channels, the definition, and a token that may only deliver.
func connect(t *testing.T, c *harness.Client, told *people) (token string) {
	t.Helper()
	for name, channel := range map[string]struct {
		driver string
		config map[string]any
	}{
		"webhook":   {"generic", map[string]any{"endpoint": told.webhook.URL, "headers": map[string]string{"Authorization": webhookSecret}}},
		"slack":     {"slack", map[string]any{"webhook_url": told.slack.URL}},
		"pagerduty": {"pagerduty", map[string]any{"routing_key": routingKey, "base_url": told.pager.URL}},
		"email": {"email", map[string]any{
			"host": told.mail.Host, "port": told.mail.Port, "tls": "none",
			"from": "Penstock <penstock@example.com>", "to": []string{"oncall@example.com"},
		}},
	} {
		if err := c.Channel(t.Context(), name, channel.driver, channel.config); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Definition(t.Context(), "default", oncall); err != nil {
		t.Fatal(err)
	}
	var made struct{ Token string }
	in := map[string]any{"name": "alertmanager", "scopes": []string{"ingest"}}
	if err := c.Call(t.Context(), http.MethodPost, "/orchestration/tokens/", in, &made); err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// post gives Alertmanager the alerts of both hosts, as Prometheus would.
func post(t *testing.T, alertmanager *harness.Client, began, ended time.Time) {
	t.Helper()
	var alerts []map[string]any
	for host, severity := range map[string]string{dbHost: "critical", webHost: "warning"} {
		alert := map[string]any{
			"labels": map[string]string{"alertname": "DiskFull", "instance": host + ":9100", "mountpoint": "/var", "severity": severity},
			"annotations": map[string]string{
				"summary":     "Disk /var of " + host + " is 97 % full",
				"description": "It fills up within the hour.",
				"runbook_url": runbook,
			},
			"startsAt":     began.Format(time.RFC3339Nano),
			"generatorURL": "http://prometheus.example.com/graph?host=" + host,
		}
		if !ended.IsZero() {
			alert["endsAt"] = ended.Format(time.RFC3339Nano)
		}
		alerts = append(alerts, alert)
	}
	if err := alertmanager.Call(t.Context(), http.MethodPost, "/api/v2/alerts", alerts, nil); err != nil {
		t.Fatal(err)
	}
}

type run struct {
	RunID  string `json:"run_id"`
	Status string `json:"status"`
}

func runs(t *testing.T, c *harness.Client) []run {
	t.Helper()
	var page struct{ Pipelines []run }
	if err := c.Call(t.Context(), http.MethodGet, "/orchestration/pipelines/?limit=100", nil, &page); err != nil {
		t.Fatal(err)
	}
	return page.Pipelines
}

// checkRepeats: two runs told people, and there are no others.
func checkRepeats(t *testing.T, c *harness.Client) {
	t.Helper()
	if n := len(runs(t, c)); n != 2 {
		t.Errorf("%d runs, not 2", n)
	}
}

func deliveries(t *testing.T, c *harness.Client) int {
	t.Helper()
	var page struct{ Count int }
	if err := c.Call(t.Context(), http.MethodGet, "/orchestration/deliveries/?limit=100", nil, &page); err != nil {
		t.Fatal(err)
	}
	return page.Count
}

func unfinished(t *testing.T, c *harness.Client) int {
	t.Helper()
	var page struct{ Count int }
	if err := c.Call(t.Context(), http.MethodGet, "/orchestration/pipelines/?status=pending,running&limit=1", nil, &page); err != nil {
		t.Fatal(err)
	}
	return page.Count
}

// count checks how many messages each has got.
func (p *people) count(t *testing.T, rule string, want int) {
	t.Helper()
	for name, got := range map[string]int{
		"webhook": p.webhook.Count(), "slack": p.slack.Count(), "pagerduty": p.pager.Count(), "email": p.mail.Count(),
	} {
		if got != want {
			t.Errorf("%s: %s got %d messages, not %d", rule, name, got, want)
		}
	}
}
