package notifytest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// Canary is the text that every secret of a [Receiver]'s configuration contains.
const Canary = "cAnArY-51t+i/s=secret"

// Target is a driver under test.
type Target struct {
	Kind    func(notify.Deps) drivers.Kind[notify.Driver]
	Missing []string // the settings that an empty configuration lacks
	// Start starts a fake of the receiver. nil: the driver writes to Deps.Out and does nothing else.
	Start func(testing.TB) Receiver
}

// Receiver is a running fake and how to read what it got.
type Receiver struct {
	Sink    *Sink
	Config  string               // JSON, complete; its secrets contain [Canary]
	Text    func(Request) string // everything a person would read there, decoded
	Key     func(Request) string // where the receiver sees that an attempt is a repeated one
	RootCAs *x509.CertPool
	Mail    bool // speaks SMTP, not HTTP
}

// Run checks that the driver keeps every rule of the family. An exception for one driver is a
// change of the rules for all.
func Run(t *testing.T, target Target) {
	t.Helper()
	t.Run("describes itself", func(t *testing.T) { t.Parallel(); describesItself(t, target) })
	t.Run("is built without settings and names what is missing", func(t *testing.T) { t.Parallel(); namesMissing(t, target) })
	for _, c := range []struct {
		name  string
		check func(*testing.T, *bench)
	}{
		{"sends trigger and resolve", sendsBoth},
		{"shows text as it is", showsTextAsItIs},
		{"takes empty and huge messages", takesAnySize},
		{"stops when the context ends", stopsWithContext},
	} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.check(t, newBench(t, target)) })
	}
	if target.Start == nil {
		return
	}
	for _, c := range []struct {
		name  string
		check func(*testing.T, *bench)
	}{
		{"reaches the world only through what it is given", usesDeps},
		{"repeats the key on every attempt", repeatsKey},
		{"tells errors that may pass from final ones", classifies},
		{"keeps secrets out of errors and receipts", keepsSecrets},
		{"reads no more of an answer than it needs", boundsAnswers},
		{"follows no redirect", followsNoRedirect},
	} {
		t.Run(c.name, func(t *testing.T) { t.Parallel(); c.check(t, newBench(t, target)) })
	}
}

// bench is one driver with its receiver.
type bench struct {
	Receiver
	driver notify.Driver
	out    *bytes.Buffer
	calls  *atomic.Int32 // through the client and the dialer that were given
	local  bool          // there is no receiver
}

func newBench(t *testing.T, target Target) *bench {
	t.Helper()
	b := &bench{out: &bytes.Buffer{}, calls: &atomic.Int32{}, local: target.Start == nil, Receiver: Receiver{Config: "{}"}}
	if !b.local {
		b.Receiver = target.Start(t)
	}
	deps := Deps(t, b.RootCAs)
	deps.Out = b.out
	next, dial := deps.HTTP.Transport, deps.Dial
	deps.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) { b.calls.Add(1); return next.RoundTrip(r) })
	deps.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		b.calls.Add(1)
		return dial(ctx, network, addr)
	}
	b.driver = build(t, target.Kind(deps), b.Config)
	return b
}

// Deps are dependencies that may reach 127.0.0.1, for a driver in a test. Out is discarded.
func Deps(t testing.TB, roots *x509.CertPool) notify.Deps {
	t.Helper()
	client, err := outbound.New(outbound.Options{Allow: []string{"127.0.0.1"}, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.HTTP().CloseIdleConnections)
	plain := *client.HTTP()
	return notify.Deps{HTTP: &plain, Dial: client.DialContext, RootCAs: roots, Out: io.Discard, Now: time.Now}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func build(t testing.TB, kind drivers.Kind[notify.Driver], config string) notify.Driver {
	t.Helper()
	driver, err := kind.Build(t.Context(), json.RawMessage(config))
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return driver
}

// Message is a complete message, the same on every call.
func Message() notify.Message {
	return notify.Message{
		Key: "occurrence-1/standard/page/ops/trigger", DedupKey: "incident-1", Action: notify.Trigger,
		Title: "Disk is 95 % full", Text: "The disk / of db-1 is 95 % full.\nFree some space or extend the volume.",
		Severity: alerts.Critical, Status: "firing", Host: "db-1", Source: "db-1",
		Since:    time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		URL:      "https://penstock.example.com/admin/incidents/1",
		Links:    []alerts.Link{{Text: "Runbook", URL: "https://wiki.example.com/disk?a=1&b=2"}, {Text: "Bad", URL: "javascript:alert(1)"}},
		Facts:    []notify.Fact{{Name: "Disk", Value: "95 %"}, {Name: "CPU", Value: "12 %"}},
		Tags:     map[string]string{"trace_id": "trace-1", "run_id": "run-1", "pipeline_node": "page"},
		Context:  map[string]any{"incident_id": "1", "source": "alertmanager", "environment": "production"},
		Incident: map[string]any{"id": "1", "title": "Disk is 95 % full", "severity": "critical", "status": "open"},
		Alerts:   []map[string]any{{"fingerprint": "f1", "labels": map[string]any{"alertname": "DiskFull", "host": "db-1"}}},
	}
}

// Resolved is the message that ends [Message].
func Resolved() notify.Message {
	m := Message()
	m.Key, m.Action, m.Status = "occurrence-1/standard/page/ops/resolve", notify.Resolve, "resolved"
	return m
}

func describesItself(t *testing.T, target Target) {
	kind := target.Kind(Deps(t, nil))
	if kind.Name == "" || kind.Title == "" {
		t.Errorf("name %q, title %q", kind.Name, kind.Title)
	}
	var schema struct {
		Properties map[string]struct{ Title, Description string }
	}
	if err := json.Unmarshal(kind.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for name, p := range schema.Properties {
		if p.Title == "" || p.Description == "" {
			t.Errorf("the setting %s has no title or no description", name)
		}
	}
	if _, err := kind.Build(t.Context(), json.RawMessage(`{"no_such_setting":1}`)); err == nil {
		t.Error("an unknown setting is accepted")
	}
}

func namesMissing(t *testing.T, target Target) {
	driver := build(t, target.Kind(Deps(t, nil)), "")
	readiness, ok := driver.(notify.Readiness)
	if !ok {
		t.Fatal("the driver does not say what is missing")
	}
	if got := readiness.Missing(); !slices.Equal(got, target.Missing) {
		t.Errorf("missing %v, want %v", got, target.Missing)
	}
	if len(target.Missing) == 0 {
		return
	}
	_, err := driver.Send(t.Context(), Message())
	f := fault.Of(err)
	if _, retry := fault.Retryable(err); err == nil || retry || f.Code != fault.Unprocessable {
		t.Errorf("sent without settings: %v, want a final fault", err)
	}
	for _, name := range target.Missing {
		if !strings.Contains(f.Message, name) {
			t.Errorf("%q does not name %s", f.Message, name)
		}
	}
}

func sendsBoth(t *testing.T, b *bench) {
	for _, m := range []notify.Message{Message(), Resolved()} {
		receipt, err := b.driver.Send(t.Context(), m)
		if err != nil {
			t.Fatalf("%s: %v", m.Action, err)
		}
		if !b.local && receipt.Status/100 != 2 {
			t.Errorf("%s: receipt has status %d", m.Action, receipt.Status)
		}
		if len(receipt.Response) > 4<<10 {
			t.Errorf("%s: %d bytes of the answer were kept", m.Action, len(receipt.Response))
		}
	}
	if !b.local && b.Sink.Count() != 2 {
		t.Errorf("%d requests for two messages", b.Sink.Count())
	}
}

// probes look like templates, markup, commands or headers of somebody.
var probes = []string{
	"{{7*7}}", "{{ .secrets }}", "${jndi:ldap://x/y}", "$(id)", "#{1+1}", "%s%n", "<!channel>", "<!here|x>", "<@U123>",
	"@everyone", ":smile:", "*bold*", "<script>alert(1)</script>", "&amp;", "a\"b", `back\slash`, "[x](https://evil.example)",
}

func showsTextAsItIs(t *testing.T, b *bench) {
	m := Message()
	m.Host = "h1\r\nX-Evil: 1\u2028X-Evil: 2"
	m.Title = "T1\r\nX-Evil: 1\x00\x1b[31m"
	m.Text = strings.Join(probes, "\n") + "\r\n.\r\nX-Evil: 1\r\n\x1b]0;owned\x07"
	for _, p := range probes[:10] {
		m.Facts = append(m.Facts, notify.Fact{Name: p, Value: p})
	}
	for _, p := range append(slices.Clone(probes), m.Title) {
		m.Title = p
		if _, err := b.driver.Send(t.Context(), m); err != nil {
			t.Fatalf("title %q: %v", p, err)
		}
		seen := b.lastText(t)
		for _, probe := range append(slices.Clone(probes), "X-Evil: 1") {
			if !strings.Contains(seen, probe) {
				t.Errorf("%q is not there literally:\n%s", probe, seen)
			}
		}
		if b.local && strings.ContainsAny(seen, "\x00\x1b\x07\r") {
			t.Errorf("control characters are written: %q", seen)
		}
	}
	if b.local {
		return
	}
	for _, r := range b.Sink.Requests() {
		if r.Header.Get("X-Evil") != "" {
			t.Errorf("the text became a header: %v", r.Header)
		}
	}
	if got, want := b.Sink.Count(), len(probes)+1; got != want {
		t.Errorf("%d requests for %d messages", got, want)
	}
}

// lastText is what a person reads of the newest message; for a local driver, what it wrote.
func (b *bench) lastText(t *testing.T) string {
	t.Helper()
	if b.local {
		defer b.out.Reset()
		return b.out.String()
	}
	requests := b.Sink.Requests()
	if len(requests) == 0 {
		t.Fatal("nothing arrived")
	}
	return b.Text(requests[len(requests)-1])
}

func takesAnySize(t *testing.T, b *bench) {
	if _, err := b.driver.Send(t.Context(), notify.Message{Key: "k", DedupKey: "d", Action: notify.Trigger}); err != nil {
		t.Errorf("an empty message: %v", err)
	}
	huge := strings.Repeat("ä <&> \"quoted\" text\n", 5<<20/20)
	m := Message()
	m.Text = huge
	if _, err := b.driver.Send(t.Context(), m); err != nil {
		t.Errorf("5 MB of text: %v", err)
	}
	if seen := b.lastText(t); !strings.Contains(seen, notify.CutNote) {
		t.Error("the text was cut without a note")
	} else if len(seen) > 2<<20 {
		t.Errorf("%d bytes were sent", len(seen))
	}
	m = Message()
	m.Title, m.Host, m.Source, m.Channel = huge, huge, huge, ""
	m.Facts = []notify.Fact{{Name: huge, Value: huge}}
	for range 300 {
		m.Facts = append(m.Facts, notify.Fact{Name: "name", Value: strings.Repeat("v", 3000)})
		m.Links = append(m.Links, alerts.Link{Text: "link", URL: "https://example.com/" + strings.Repeat("p", 1500)})
	}
	if _, err := b.driver.Send(t.Context(), m); err != nil {
		t.Errorf("everything is huge: %v", err)
	}
}

func stopsWithContext(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.driver.Send(ctx, Message()); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if b.local {
		return
	}
	if b.Sink.Count() != 0 {
		t.Error("a message was sent although the context had ended")
	}
	b.Sink.Always(Reply{Hang: true})
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { _, err := b.driver.Send(ctx, Message()); result <- err }()
	if _, err := b.Sink.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-result:
		if _, retry := fault.Retryable(err); retry || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v (retry %v)", err, retry)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Send goes on after its context was cancelled")
	}
}
