//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"penstock/drivers/notify/notifytest"
)

// messages is the newest that each was told about each host.
func (p *people) messages(t *testing.T) map[string]*messages {
	t.Helper()
	all := map[string]*messages{}
	for _, host := range []string{dbHost, webHost} {
		m := &messages{host: host, severity: "critical"}
		if host == webHost {
			m.severity = "warning"
		}
		m.webhook, m.slack = about(t, p.webhook.Requests(), host), about(t, p.slack.Requests(), host)
		m.pager, m.mail = p.pages(t, host), about(t, p.mail.Requests(), host)
		all[host] = m
	}
	return all
}

// about is the newest request that names the host.
func about(t *testing.T, requests []notifytest.Request, host string) notifytest.Request {
	t.Helper()
	for _, r := range slices.Backward(requests) {
		if bytes.Contains(r.Body, []byte(host)) || strings.Contains(r.Header.Get("Subject"), host) {
			return r
		}
	}
	t.Fatalf("nobody was told of %s in %d messages", host, len(requests))
	return notifytest.Request{}
}

// page is an event of PagerDuty.
type page struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	ClientURL  string `json:"client_url"`
	Payload    struct {
		Summary  string
		Source   string
		Severity string
		Class    string
		Details  map[string]json.RawMessage `json:"custom_details"`
	}
	Links []struct{ Href, Text string }
}

// pages are the events about the host, in order: a resolve knows it by its dedup key only.
func (p *people) pages(t *testing.T, host string) []page {
	t.Helper()
	var own []page
	key := ""
	for _, r := range p.pager.Requests() {
		var e page
		if err := json.Unmarshal(r.Body, &e); err != nil {
			t.Fatal(err)
		}
		if e.Payload.Source == host && key == "" {
			key = e.DedupKey
		}
		if e.DedupKey == key {
			own = append(own, e)
		}
	}
	return own
}

// messages is what each was last told about one host.
type messages struct {
	host, severity       string
	webhook, slack, mail notifytest.Request
	pager                []page
}

// action is a line of what to do that only the analysis of a full disk gives.
const action = "df -h /var"

// checkFiring: who, what, which host, how severe, what to do.
func (m *messages) checkFiring(t *testing.T) {
	t.Helper()
	contains := func(who, text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s is not told %q of %s:\n%s", who, part, m.host, text)
			}
		}
	}

	var w struct {
		Title, Message, Severity, Status string
		Alerts                           []struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(m.webhook.Body, &w); err != nil {
		t.Fatal(err)
	}
	if m.webhook.Header.Get("Authorization") != webhookSecret {
		t.Errorf("the webhook was not given its own credential")
	}
	if w.Severity != m.severity || w.Status != "firing" {
		t.Errorf("webhook: %s is %q and %q, not %q and firing", m.host, w.Severity, w.Status, m.severity)
	}
	if len(w.Alerts) != 1 || w.Alerts[0].Labels["instance"] != m.host+":9100" {
		t.Errorf("webhook: the alerts of %s are %v", m.host, w.Alerts)
	}
	contains("the webhook", w.Title, "DiskFull", m.host)
	contains("the webhook", w.Message, "97 % full", action)

	contains("Slack", slackText(t, m.slack.Body), "DiskFull", m.host, m.severity, "97 % full", action, runbook)

	if len(m.pager) != 1 {
		t.Fatalf("PagerDuty got %d events about %s, not 1", len(m.pager), m.host)
	}
	e := m.pager[0]
	if e.RoutingKey != routingKey || e.Action != "trigger" || e.DedupKey == "" || e.Payload.Severity != m.severity || e.Payload.Source != m.host {
		t.Errorf("PagerDuty got %+v", e)
	}
	contains("PagerDuty", e.Payload.Summary, "DiskFull", m.host)
	contains("PagerDuty", string(e.Payload.Details["message"]), "97 % full", action)
	if !slices.ContainsFunc(e.Links, func(l struct{ Href, Text string }) bool { return l.Href == runbook }) {
		t.Errorf("PagerDuty gets no runbook of %s: %v", m.host, e.Links)
	}

	if !slices.Equal(m.mail.To, []string{"oncall@example.com"}) || m.mail.From != "penstock@example.com" {
		t.Errorf("the mail is from %s to %v", m.mail.From, m.mail.To)
	}
	contains("the subject", subject(t, m.mail), "DiskFull", m.host)
	if important := m.mail.Header.Get("Importance") == "high"; important != (m.severity == "critical") {
		t.Errorf("the mail about %s, which is %s, has the importance %q", m.host, m.severity, m.mail.Header.Get("Importance"))
	}
	for kind, text := range mailParts(t, m.mail.Body) {
		contains("the "+kind+" of the mail", text, "DiskFull", m.host, m.severity, "97 % full", action, runbook)
	}
}

// checkResolved: the same problem, found again by what each uses to find it, is over.
func (m *messages) checkResolved(t *testing.T, firing *messages) {
	t.Helper()
	var w struct{ Title, Status string }
	if err := json.Unmarshal(m.webhook.Body, &w); err != nil {
		t.Fatal(err)
	}
	if w.Status != "resolved" || !strings.Contains(w.Title, m.host) {
		t.Errorf("the webhook is told %+v of %s", w, m.host)
	}
	if m.webhook.Header.Get("Idempotency-Key") == firing.webhook.Header.Get("Idempotency-Key") {
		t.Errorf("the end of %s has the key of its beginning: a receiver would drop it", m.host)
	}
	if text := slackText(t, m.slack.Body); !strings.Contains(text, "RESOLVED") || !strings.Contains(text, m.host) {
		t.Errorf("Slack is told of %s:\n%s", m.host, text)
	}
	if len(m.pager) != 2 || m.pager[1].Action != "resolve" || m.pager[1].RoutingKey != routingKey || m.pager[1].DedupKey != firing.pager[0].DedupKey {
		t.Errorf("PagerDuty got %+v about %s, not a trigger and a resolve of it", m.pager, m.host)
	}
	if text := subject(t, m.mail); !strings.Contains(strings.ToUpper(text), "RESOLVED") || !strings.Contains(text, m.host) {
		t.Errorf("the mail about the end of %s says %q", m.host, text)
	}
	if thread := m.mail.Header.Get("References"); thread == "" || thread != firing.mail.Header.Get("References") {
		t.Errorf("the mail about the end of %s is in the thread %q, its beginning in %q", m.host, thread, firing.mail.Header.Get("References"))
	}
}

// slackText is every text of a Slack message, one a line.
func slackText(t *testing.T, body []byte) string {
	t.Helper()
	var lines []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			lines = append(lines, v)
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	walk(doc)
	return strings.Join(lines, "\n")
}

func subject(t *testing.T, r notifytest.Request) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(r.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// mailParts are the texts of a mail by media type.
func mailParts(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for reader := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		media, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
		parts[media] = string(text)
	}
	if len(parts) != 2 {
		t.Fatalf("the mail has %d parts, not text and HTML", len(parts))
	}
	return parts
}
