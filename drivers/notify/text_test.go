package notify_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 10, "short"}, {"0123456789", 10, "0123456789"}, {"01234567890", 10, "012… [cut]"},
		{"ääääääääää", 10, "ääääääääää"}, {"äääääääääää", 10, "äää… [cut]"}, {"", 10, ""},
	} {
		if got := notify.Cut(tt.text, tt.limit); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\r\nX-Evil: 1": "a X-Evil: 1", "a\rb\nc\td": "a b c d", "a\u2028b\u2029c\u0085d": "a b cd", "a\x00b\x1b[31mc": "ab[31mc", "\n a \n": " a ", "a\xffb": "a\uFFFDb",
	} {
		if got := notify.OneLine(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestHeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m             notify.Message
		want, summary string
	}{
		{notify.Message{Title: "Disk full", Host: "db-1"}, "Disk full", "Disk full on db-1"},
		{notify.Message{Title: "Disk full: db-1", Host: "db-1"}, "Disk full: db-1", "Disk full: db-1"},
		{notify.Message{Title: "Disk full", Action: notify.Resolve}, "[RESOLVED] Disk full", "[RESOLVED] Disk full"},
		{notify.Message{Title: "[RESOLVED] Disk full", Status: "resolved"}, "[RESOLVED] Disk full", "[RESOLVED] Disk full"},
		{notify.Message{Source: "db-1"}, "db-1", "db-1"},
		{notify.Message{}, "Notification", "Notification"},
	} {
		if got := tt.m.Headline(); got != tt.want {
			t.Errorf("%+v: %q", tt.m, got)
		}
		if got := tt.m.Summary(); got != tt.summary {
			t.Errorf("%+v: %q", tt.m, got)
		}
	}
}

func TestDetailsDoNotRepeatFacts(t *testing.T) {
	t.Parallel()
	m := notify.Message{
		Severity: alerts.Critical, Host: "db-1", Since: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Facts: []notify.Fact{{Name: "host", Value: "db-1 (Berlin)"}, {Name: "CPU", Value: "12\n%"}, {Name: "empty"}},
	}
	var got []string
	for _, f := range m.Details() {
		got = append(got, f.Name+"="+f.Value)
	}
	if want := "Severity=critical Since=2026-11-22 12:00:00 UTC host=db-1 (Berlin) CPU=12 %"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}

func TestSafeLinks(t *testing.T) {
	t.Parallel()
	m := notify.Message{URL: "https://p.example.com/1"}
	for _, address := range []string{"javascript:alert(1)", " https://x", "//evil", "https:evil", "data:text/html,x", "java\nscript:x", "https://x/\x00", "https://x/" + strings.Repeat("p", 5000), "", "http://ok.example.com/"} {
		m.Links = append(m.Links, alerts.Link{URL: address})
	}
	links := m.SafeLinks()
	if len(links) != 2 || links[0].URL != "https://p.example.com/1" || links[1] != (alerts.Link{Text: "ok.example.com", URL: "http://ok.example.com/"}) {
		t.Errorf("%+v", links)
	}
}

func TestExcerptHidesSecretsBeforeItCuts(t *testing.T) {
	t.Parallel()
	const token = `T0k/en+"51&tail`
	secrets := []drivers.Secret{
		drivers.NewSecret("Bearer " + token), drivers.NewSecret("https://hooks.example.com/services/T000000000/abcdefghijklmnop?key=qwertyuiop12"), drivers.NewSecret("abc"),
	}
	quoted, _ := json.Marshal(token)
	for _, form := range []string{
		token, string(quoted), url.QueryEscape(token), url.PathEscape(token), base64.StdEncoding.EncodeToString([]byte(token)),
		"/services/T000000000/abcdefghijklmnop", "abcdefghijklmnop", "qwertyuiop12",
	} {
		body := strings.Repeat("ä", 2020) + " " + form + " abc " + strings.Repeat("x", 9000)
		got := notify.Excerpt([]byte(body), secrets...)
		if !strings.Contains(got, "[secret]") || strings.Contains(got, "en+") || strings.Contains(got, form) {
			t.Errorf("%q is kept: %q", form, got[4030:])
		}
		if len(got) > 4096 || !utf8.ValidString(got) {
			t.Errorf("%d bytes are kept", len(got))
		}
	}
	if got := notify.Excerpt([]byte("abc"), secrets...); got != "abc" {
		t.Errorf("a secret of three letters makes answers unreadable: %q", got)
	}
}
