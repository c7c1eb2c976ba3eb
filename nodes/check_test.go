package nodes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"penstock/drivers/alerts"
	"penstock/drivers/outbound"
	"penstock/engine"
	"penstock/nodes"
	"penstock/nodes/host"
	"penstock/nodes/nodetest"
)

// checkResults runs one check node and returns "name status message" of each check.
func checkResults(t *testing.T, d nodes.Deps, w *nodetest.World, config string) (list []string, out engine.Output) {
	t.Helper()
	node, err := pick(t, nodes.All(d), "check").Build([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	out, err = node.Run(t.Context(), nodetest.Input(w))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.Data["checks"].([]any) {
		r := r.(map[string]any)
		if r["metrics"] == nil || r["type"] == "" {
			t.Errorf("incomplete: %v", r)
		}
		list = append(list, fmt.Sprintf("%s %s %s", r["name"], r["status"], r["message"]))
	}
	return list, out
}

func TestCheckOfTheMachine(t *testing.T) {
	t.Parallel()
	d := deps(t)
	d.CountProcesses = func(_ context.Context, name string) (int, error) { return map[string]int{"postgres": 7}[name], nil }
	got, out := checkResults(t, d, &nodetest.World{}, `{"checks": [{"type": "cpu"}, {"type": "memory"}, {"type": "memory", "name": "strict", "warning": 50, "critical": 75},
		{"type": "disk", "path": "/"}, {"type": "process", "process": "postgres", "warning": 10}, {"type": "process", "process": "gone"}]}`)
	want := []string{
		"cpu warning CPU is at 93.5 %; the limit is 80 %.",
		"memory ok Memory is at 75 %.",
		"strict critical Memory is at 75 %; the limit is 75 %.",
		"disk / ok The disk of / is at 40 %.",
		"process postgres warning Running processes postgres: 7; the limit is 10.",
		"process gone critical Running processes gone: 0; the limit is 0.",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || out.Data["worst"] != "critical" || out.Errors != nil {
		t.Errorf("got\n%s\nwant\n%s\nworst %v, %v", strings.Join(got, "\n"), strings.Join(want, "\n"), out.Data["worst"], out.Errors)
	}
	d.Measure = func(context.Context, host.Want) (host.Sample, error) {
		return host.Sample{System: map[string]any{"disk": map[string]any{"error": "x"}}, Failed: []string{"The disk of /gone cannot be read."}}, nil
	}
	got, out = checkResults(t, d, &nodetest.World{}, `{"checks": [{"type": "disk", "path": "/gone"}]}`)
	if got[0] != "disk /gone unknown The disk of /gone cannot be read." || out.Data["worst"] != "unknown" || len(out.Errors) != 1 {
		t.Errorf("%v, %v", got, out)
	}
}

func TestCheckOfTheNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte("all is well"))
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, closedPort, _ := net.SplitHostPort(closed.Addr().String())
	_ = closed.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	open, err := outbound.New(outbound.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	guarded, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := deps(t)
	d.Dial, d.Roots = open.DialContext, roots
	d.HTTP = &http.Client{Transport: &http.Transport{DialContext: open.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	d.Lookup = func(_ context.Context, name string) ([]string, error) {
		switch name {
		case "known.example":
			return []string{"192.0.2.1"}, nil
		case "gone.example":
			return nil, &net.DNSError{IsNotFound: true}
		}
		return nil, errors.New("no answer")
	}
	days := int(time.Until(server.Certificate().NotAfter).Hours() / 24)
	for _, c := range []struct{ name, check, want string }{
		{"http answers", `{"type": "http", "url": "https://127.0.0.1:PORT/", "contains": "is well"}`, "http 127.0.0.1 ok Answered 200 in "},
		{"http with another text", `{"type": "http", "url": "https://127.0.0.1:PORT/", "contains": "on fire"}`, "critical Answered 200, but without the expected text."},
		{"http with a bad status", `{"type": "http", "url": "https://127.0.0.1:PORT/broken"}`, "critical Answered with the status 500."},
		{"http with a status that is expected", `{"type": "http", "url": "https://127.0.0.1:PORT/broken", "expect_status": [500]}`, "ok Answered 500 in "},
		{"http nobody listens", `{"type": "http", "url": "http://127.0.0.1:CLOSED/"}`, "critical The target cannot be reached."},
		{"tcp", `{"type": "tcp", "host": "127.0.0.1", "port": PORT}`, "tcp 127.0.0.1:PORT ok Connected in "},
		{"tcp nobody listens", `{"type": "tcp", "host": "127.0.0.1", "port": CLOSED}`, "critical The target cannot be reached."},
		{"dns", `{"type": "dns", "host": "known.example"}`, "dns known.example ok Resolved in "},
		{"dns no such name", `{"type": "dns", "host": "gone.example"}`, "critical The name does not exist."},
		{"dns no answer", `{"type": "dns", "host": "slow.example"}`, "critical The name cannot be resolved"},
		{"certificate", `{"type": "tls_certificate", "host": "127.0.0.1", "port": PORT}`, fmt.Sprintf("ok The certificate is valid for another %d days.", days)},
		{"certificate near its end", fmt.Sprintf(`{"type": "tls_certificate", "host": "127.0.0.1", "port": PORT, "warning": %d}`, days), "warning The certificate is valid for another"},
		{"certificate nobody listens", `{"type": "tls_certificate", "host": "127.0.0.1", "port": CLOSED}`, "critical The target cannot be reached."},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports := strings.NewReplacer("PORT", port, "CLOSED", closedPort)
			got, _ := checkResults(t, d, &nodetest.World{}, `{"checks": [`+ports.Replace(c.check)+`]}`)
			if !strings.Contains(got[0], ports.Replace(c.want)) {
				t.Errorf("got %s, want %s", got[0], c.want)
			}
		})
	}
	t.Run("certificate nobody trusts", func(t *testing.T) {
		d := d
		d.Roots = x509.NewCertPool()
		got, _ := checkResults(t, d, &nodetest.World{}, `{"checks": [{"type": "tls_certificate", "host": "127.0.0.1", "port": `+port+`}]}`)
		if !strings.Contains(got[0], "critical The certificate is not from an authority that this machine trusts.") {
			t.Error(got[0])
		}
	})
	t.Run("what may not be reached is unknown", func(t *testing.T) {
		d := d
		d.Dial, d.HTTP = guarded.DialContext, guarded.HTTP()
		got, out := checkResults(t, d, &nodetest.World{}, `{"checks": [{"type": "tcp", "host": "127.0.0.1", "port": `+port+`}, {"type": "http", "url": "`+server.URL+`"}]}`)
		for _, line := range got {
			if !strings.Contains(line, "unknown The target is not allowed (blocked). An administrator can allow it") {
				t.Error(line)
			}
		}
		if len(out.Errors) != 2 {
			t.Error(out.Errors)
		}
	})
}

func TestCheckRaisesAlerts(t *testing.T) {
	t.Parallel()
	w := &nodetest.World{}
	d := deps(t)
	checkResults(t, d, w, `{"checks": [{"type": "cpu"}, {"type": "memory"}]}`)
	if w.Raised() != nil {
		t.Error("raised without being asked to")
	}
	d.CountProcesses = func(context.Context, string) (int, error) { return 0, errors.New("no") }
	checkResults(t, d, w, `{"raise_alert": true, "checks": [{"type": "cpu"}, {"type": "memory"}, {"type": "process", "process": "x"}]}`)
	raised := w.Raised()
	if len(raised) != 2 || raised[0].Status != alerts.Firing || raised[0].Severity != alerts.Warning || raised[0].Name != "Check cpu" ||
		raised[1].Status != alerts.Resolved || raised[0].Fingerprint == raised[1].Fingerprint || raised[0].Labels["definition"] != "standard" {
		t.Errorf("%+v", raised)
	}
}

func TestCheckIssues(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"checks": [{"type": "cpu"}, {"type": "disk", "path": "/var"}, {"type": "tls_certificate", "host": "a", "warning": 30}]}`: "",
		`{}`:                             `"checks" is missing`,
		`{"checks": []}`:                 `is an empty list`,
		`{"checks": [{"type": "ping"}]}`: `cannot be "ping"`,
		`{"checks": [{"type": "tcp"}]}`:  `A check of type tcp needs "host".`,
		`{"checks": [{"type": "cpu", "host": "a"}]}`:                           `unknown_key /checks/0/host: A check of type cpu has no "host".`,
		`{"checks": [{"type": "cpu", "hots": "a"}]}`:                           `Unknown key "hots"`,
		`{"checks": [{"type": "cpu"}, {"type": "cpu"}]}`:                       `Two checks are called "cpu".`,
		`{"checks": [{"type": "cpu", "warning": 97}]}`:                         `warning (97) must be less than critical (95).`,
		`{"checks": [{"type": "tls_certificate", "host": "a", "warning": 3}]}`: `warning (3) must be more than critical (7), because less is worse.`,
		`{"checks": [{"type": "disk", "path": "var"}]}`:                        `The path "var" is not absolute.`,
		`{"checks": [{"type": "http", "url": "ftp://a"}]}`:                     `/checks/0/url`,
	} {
		if got := issues(t, "check", config, nil); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\nissues: %s\nwant: %s", config, got, want)
		}
	}
}
