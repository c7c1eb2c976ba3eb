package email_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"penstock/drivers/notify"
	"penstock/drivers/notify/email"
	"penstock/drivers/notify/notifytest"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{
		Kind: email.Kind, Missing: []string{"host", "from", "to"},
		Start: func(t testing.TB) notifytest.Receiver {
			server := notifytest.NewSMTP(t, notifytest.SMTPOptions{Username: "penstock", Password: notifytest.Canary})
			return notifytest.Receiver{
				Sink: server.Sink, RootCAs: server.RootCAs, Mail: true,
				Config: config(server, map[string]any{"username": "penstock", "password": notifytest.Canary}),
				Text: func(r notifytest.Request) string {
					subject, text, _ := read(t, r)
					return subject + "\n" + text
				},
				Key: func(r notifytest.Request) string { return r.Header.Get("Message-Id") },
			}
		},
	})
}

func config(server *notifytest.SMTP, more map[string]any) string {
	c := map[string]any{"host": server.Host, "port": server.Port, "from": "Penstock <penstock@example.com>", "to": []string{"Ops <ops@example.com>"}}
	for key, value := range more {
		c[key] = value
	}
	out, _ := json.Marshal(c)
	return string(out)
}

// read decodes a mail with the standard library: subject, text and HTML.
func read(t testing.TB, r notifytest.Request) (subject, text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(r.Body))
	if err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, into := range []struct {
		kind string
		text *string
	}{{"text/plain", &text}, {"text/html", &html}} {
		part, err := parts.NextRawPart()
		if err != nil || !strings.HasPrefix(part.Header.Get("Content-Type"), into.kind) {
			t.Fatalf("%v, %v", part, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		*into.text = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	return subject, text, html
}

func send(t *testing.T, server *notifytest.SMTP, more map[string]any, m notify.Message) (notify.Receipt, error) {
	t.Helper()
	deps := notifytest.Deps(t, server.RootCAs)
	deps.Now = func() time.Time { return time.Date(2026, 11, 22, 12, 1, 0, 0, time.UTC) }
	driver, err := email.Kind(deps).Build(t.Context(), json.RawMessage(config(server, more)))
	if err != nil {
		t.Fatal(err)
	}
	return driver.Send(t.Context(), m)
}

func TestMail(t *testing.T) {
	t.Parallel()
	server := notifytest.NewSMTP(t, notifytest.SMTPOptions{})
	for i, m := range []notify.Message{notifytest.Message(), notifytest.Resolved()} {
		receipt, err := send(t, server, nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("Q%d", i+1); receipt.MessageID != want || receipt.Status != 250 || !strings.Contains(receipt.Response, want) {
			t.Errorf("%+v", receipt)
		}
		r := server.Requests()[i]
		notifytest.Golden(t, []string{"trigger.golden.eml", "resolve.golden.eml"}[i], r.Body, *update)
		if !r.TLS || r.From != "penstock@example.com" || fmt.Sprint(r.To) != "[ops@example.com]" {
			t.Errorf("%+v", r)
		}
	}
	r := server.Requests()
	trigger, resolve := r[0].Header, r[1].Header
	if trigger.Get("References") == "" || trigger.Get("References") != resolve.Get("References") || trigger.Get("Message-Id") == resolve.Get("Message-Id") {
		t.Errorf("not one thread: %v, %v", trigger, resolve)
	}
	for name, want := range map[string]string{"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Date": "Sun, 22 Nov 2026 12:01:00 +0000"} {
		if trigger.Get(name) != want {
			t.Errorf("%s: %q", name, trigger.Get(name))
		}
	}
}

func TestHTMLIsEscaped(t *testing.T) {
	t.Parallel()
	server := notifytest.NewSMTP(t, notifytest.SMTPOptions{})
	m := notifytest.Message()
	m.Title, m.Text, m.Host = "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "<b>h</b>"
	if _, err := send(t, server, nil, m); err != nil {
		t.Fatal(err)
	}
	_, _, html := read(t, server.Requests()[0])
	for _, bad := range []string{"<script", "<img", "<b>", "javascript:"} {
		if strings.Contains(html, bad) {
			t.Errorf("%s in %s", bad, html)
		}
	}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	t.Run("tls from the start", func(t *testing.T) {
		t.Parallel()
		server := notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: "tls", Username: "u", Password: "p4ssw0rd"})
		if _, err := send(t, server, map[string]any{"tls": "tls", "username": "u", "password": "p4ssw0rd"}, notifytest.Message()); err != nil {
			t.Fatal(err)
		}
		if r := server.Requests()[0]; !r.TLS || r.Username != "u" || r.Password != "p4ssw0rd" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("none is sent in the clear", func(t *testing.T) {
		t.Parallel()
		server := notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: "none"})
		if _, err := send(t, server, map[string]any{"tls": "none"}, notifytest.Message()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("starttls refuses a server without it", func(t *testing.T) {
		t.Parallel()
		server := notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: "none"})
		_, err := send(t, server, map[string]any{"username": "u", "password": "p4ssw0rd"}, notifytest.Message())
		if _, retry := fault.Retryable(err); retry || !strings.Contains(fault.Of(err).Message, "STARTTLS") || server.Count() != 0 {
			t.Errorf("%v, %d mails", err, server.Count())
		}
	})
	for _, mode := range []string{"starttls", "tls"} {
		t.Run(mode+" refuses a certificate that nobody trusts", func(t *testing.T) {
			t.Parallel()
			server := notifytest.NewSMTP(t, notifytest.SMTPOptions{TLS: mode})
			server.RootCAs = nil
			_, err := send(t, server, map[string]any{"tls": mode}, notifytest.Message())
			if _, retry := fault.Retryable(err); retry || !strings.Contains(fault.Of(err).Message, "certificate") || server.Count() != 0 {
				t.Errorf("%v, %d mails", err, server.Count())
			}
		})
	}
}

func TestWrongPasswordIsFinalAndNotShown(t *testing.T) {
	t.Parallel()
	server := notifytest.NewSMTP(t, notifytest.SMTPOptions{Username: "u", Password: "right"})
	receipt, err := send(t, server, map[string]any{"username": "u", "password": "wr0ngS3CRET"}, notifytest.Message())
	if _, retry := fault.Retryable(err); retry || receipt.Status != 535 || !strings.Contains(fault.Of(err).Message, "password") || strings.Contains(err.Error(), "S3CRET") {
		t.Errorf("%+v, %v", receipt, err)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	server := notifytest.NewSMTP(t, notifytest.SMTPOptions{Refuse: map[string]int{"gone@example.com": 550, "full@example.com": 452}})
	to := func(addresses ...string) notify.Message {
		m := notifytest.Message()
		m.Channel = strings.Join(addresses, ", ")
		return m
	}
	t.Run("a channel replaces them", func(t *testing.T) {
		if _, err := send(t, server, map[string]any{"to": []string{}, "from": `"pen stock"@example.com`}, to("a@example.com", `"B, b" <b@example.com>`, `"a b"@example.com`)); err != nil {
			t.Fatal(err)
		}
		if r := server.Requests()[0]; fmt.Sprintf("%q", r.To) != `["a@example.com" "b@example.com" "a b@example.com"]` {
			t.Errorf("%q", r.To)
		}
	})
	t.Run("others get it when one does not exist", func(t *testing.T) {
		before := server.Count()
		receipt, err := send(t, server, nil, to("a@example.com", "gone@example.com"))
		_, retry := fault.Retryable(err)
		if err == nil || retry || !strings.Contains(fault.Of(err).Message, "gone@example.com") || receipt.Status != 250 || server.Count() != before+1 {
			t.Errorf("%+v, %v, %d mails", receipt, err, server.Count()-before)
		}
	})
	t.Run("none gets it when one is refused for now", func(t *testing.T) {
		before := server.Count()
		receipt, err := send(t, server, nil, to("a@example.com", "full@example.com"))
		if _, retry := fault.Retryable(err); !retry || receipt.Status != 452 || server.Count() != before {
			t.Errorf("%+v, %v, %d mails", receipt, err, server.Count()-before)
		}
	})
	t.Run("nobody is left", func(t *testing.T) {
		receipt, err := send(t, server, nil, to("gone@example.com"))
		if _, retry := fault.Retryable(err); err == nil || retry || receipt.Status != 550 {
			t.Errorf("%+v, %v", receipt, err)
		}
	})
	for _, bad := range []string{"#incidents", "a@example.com\r\nBcc: b@example.com", "<>", "a@example.com>", "a@example.com\x00", "a@example.com RCPT TO:<b@example.com>"} {
		before := server.Count()
		_, err := send(t, server, nil, to(bad))
		if _, retry := fault.Retryable(err); !fault.Is(err, fault.Unprocessable) || retry || server.Count() != before {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for config, field := range map[string]string{
		`{"to":["a@x.de,b@y.de"]}`:                               "/to",
		`{"to":["a@x.de","<>"]}`:                                 "/to",
		`{"to":["a@x.de\r\nBcc: b@x.de"]}`:                       "/to",
		`{"to":["a b@x.de"]}`:                                    "/to",
		`{"from":"Pen\r\nX-Evil: 1 <p@x.de>"}`:                   "/from",
		`{"from":"Pen\u0000 <p@x.de>"}`:                          "/from",
		`{"from":"nobody"}`:                                      "/from",
		`{"host":"smtp://mail.example.com"}`:                     "/host",
		`{"host":"mail.example.com:25"}`:                         "/host",
		`{"port":70000}`:                                         "/port",
		`{"tls":"maybe"}`:                                        "/tls",
		`{"tls":"none","username":"u","password":"wr0ngS3CRET"}`: "/tls",
		`{"password":"wr0ngS3CRET"}`:                             "/username",
	} {
		_, err := email.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(config))
		found := false
		if err != nil {
			for path := range fault.Of(err).Fields {
				found = found || strings.HasPrefix(path, field)
			}
		}
		if !fault.Is(err, fault.Unprocessable) || !found || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v %v", config, err, fault.Of(err))
		}
	}
}

func TestDefaultPorts(t *testing.T) {
	t.Parallel()
	for mode, port := range map[string]string{"": "587", "starttls": "587", "tls": "465", "none": "25"} {
		config := map[string]any{"host": "mail.example.com", "from": "a@example.com", "to": []string{"b@example.com"}}
		if mode != "" {
			config["tls"] = mode
		}
		raw, _ := json.Marshal(config)
		var dialled string
		driver, err := email.Kind(depsThatSay(t, &dialled)).Build(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Send(t.Context(), notifytest.Message()); err == nil || dialled != "mail.example.com:"+port {
			t.Errorf("%q: %s, %v", mode, dialled, err)
		}
	}
}

// depsThatSay dial nothing and tell what was to be dialled.
func depsThatSay(t *testing.T, dialled *string) notify.Deps {
	deps := notifytest.Deps(t, nil)
	deps.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		*dialled = addr
		return nil, io.EOF
	}
	return deps
}
