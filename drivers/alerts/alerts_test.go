package alerts_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/alertmanager"
	"penstock/drivers/alerts/generic"
	"penstock/drivers/alerts/grafana"
	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

func registry() *alerts.Registry {
	return drivers.NewRegistry(alertmanager.Kind(), grafana.Kind(), generic.Kind())
}

func decode(t testing.TB, body string) any {
	t.Helper()
	doc, err := strictjson.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// payload returns the body of a case of one of the sources.
func payload(t testing.TB, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.FromSlash(name + ".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range archive.Files {
		if section.Name == "body" {
			return string(section.Data)
		}
	}
	t.Fatalf("%s has no body", name)
	return ""
}

// receive does what a webhook without a declared source does: detect, then parse.
func receive(t testing.TB, body string) (source string, batch alerts.Batch, err error) {
	t.Helper()
	reg := registry()
	source, err = alerts.Detect(reg, nil, decode(t, body))
	if err != nil {
		return "", alerts.Batch{}, err
	}
	batch, err = parse(t, source, body)
	return source, batch, err
}

func parse(t testing.TB, source, body string) (alerts.Batch, error) {
	t.Helper()
	kind, err := registry().Get(source)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kind.Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.Parse(nil, []byte(body))
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		payload(t, "alertmanager/testdata/firing"):      "alertmanager",
		payload(t, "alertmanager/testdata/zero-alerts"): "alertmanager",
		payload(t, "grafana/testdata/firing"):           "grafana",
		payload(t, "grafana/testdata/resolved"):         "grafana",
		`{"title":"A"}`:                                 "generic",
		`[{"summary":"A"}]`:                             "generic",
		`{"alerts":[7,{"message":"A"}]}`:                "generic",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{"summary":"s"}}]}`: "generic",
		`{"version":"4","groupKey":"k","orgId":1,"alerts":[{"labels":{"alertname":"A"}}]}`:          "generic",
		`{"version":4,"groupKey":"k","alerts":[{"labels":{"alertname":"A"}}]}`:                      "generic",
		`{"title":"A","driver":"x","payload":{"y":1}}`:                                              "generic",
	} {
		if got, err := alerts.Detect(registry(), nil, decode(t, body)); got != want || err != nil {
			t.Errorf("%.80s is %q, %v; want %s", body, got, err, want)
		}
	}
	for _, body := range []string{`{}`, `[]`, `7`, `null`, `"title"`, `{"title":""}`, `{"title":7}`, `{"alerts":[]}`, `{"alerts":{}}`, `{"state":"alerting"}`, `{"severity":"critical"}`} {
		if got, err := alerts.Detect(registry(), nil, decode(t, body)); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("%s is %q, %v", body, got, err)
		}
	}
	t.Run("vendors without a source are named", func(t *testing.T) {
		t.Parallel()
		files, err := filepath.Glob("generic/testdata/vendor-*.txtar")
		if err != nil || len(files) < 12 {
			t.Fatalf("%d files: %v", len(files), err)
		}
		for _, file := range files {
			_, err := alerts.Detect(registry(), nil, decode(t, payload(t, strings.TrimSuffix(file, ".txtar"))))
			if !fault.Is(err, fault.Unprocessable) || !strings.Contains(err.Error(), "is a webhook of") {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, header := range []string{"Sentry-Hook-Resource", "X-Amz-Sns-Message-Type", "Ce-Specversion"} {
			if _, err := alerts.Detect(registry(), http.Header{header: {"x"}}, decode(t, `{"title":"A"}`)); err == nil {
				t.Errorf("%s is taken for generic", header)
			}
		}
	})
}

// TestDefectsOfAnEarlierImplementation holds one subtest for each defect that must not come back.
func TestDefectsOfAnEarlierImplementation(t *testing.T) {
	t.Parallel()
	t.Run("1 unified Grafana is not Alertmanager", func(t *testing.T) {
		t.Parallel()
		if source, batch, err := receive(t, payload(t, "grafana/testdata/firing")); source != "grafana" || len(batch.Alerts) != 2 || err != nil {
			t.Fatalf("%s %+v %v", source, batch, err)
		}
	})
	t.Run("2 a title does not make Grafana, and nothing is lost in silence", func(t *testing.T) {
		t.Parallel()
		source, batch, err := receive(t, `{"title":"Disk full","severity":"critical","state":"alerting"}`)
		if source != "generic" || err != nil || len(batch.Alerts) != 1 || batch.Alerts[0].Name != "Disk full" || batch.Alerts[0].Severity != alerts.Critical {
			t.Fatalf("%s %+v %v", source, batch, err)
		}
		for _, vendor := range []string{"vendor-datadog-triggered", "vendor-newrelic-issue-activated"} {
			if source, batch, err := receive(t, payload(t, "generic/testdata/"+vendor)); !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%s: %s %+v %v", vendor, source, batch, err)
			}
		}
	})
	t.Run("3 the zero time is no end", func(t *testing.T) {
		t.Parallel()
		for _, body := range []string{
			payload(t, "alertmanager/testdata/firing"), payload(t, "grafana/testdata/firing"),
			`{"title":"A","status":"resolved","ends_at":"0001-01-01T00:00:00Z"}`,
		} {
			_, batch, err := receive(t, body)
			if err != nil || batch.Alerts[0].EndsAt != nil {
				t.Errorf("%+v %v", batch, err)
			}
		}
	})
	t.Run("4 alerts without an envelope are read when Alertmanager is forced, and when not", func(t *testing.T) {
		t.Parallel()
		const body = `{"alerts":[{"status":"firing","labels":{"alertname":"TestAlert","severity":"critical"},"annotations":{"summary":"Test"}}]}`
		batch, err := parse(t, "alertmanager", body)
		if err != nil || batch.Alerts[0].Name != "TestAlert" || batch.Alerts[0].Severity != alerts.Critical {
			t.Fatalf("%+v %v", batch, err)
		}
		source, batch, err := receive(t, body)
		if source != "generic" || err != nil || batch.Alerts[0].Name != "TestAlert" || batch.Alerts[0].Summary != "Test" {
			t.Fatalf("%s %+v %v", source, batch, err)
		}
	})
	t.Run("5 an org does not make Datadog", func(t *testing.T) {
		t.Parallel()
		source, batch, err := receive(t, `{"title":"A","org":{"id":"1","name":"Example"}}`)
		if source != "generic" || err != nil || len(batch.Alerts) != 1 {
			t.Fatalf("%s %+v %v", source, batch, err)
		}
	})
	t.Run("6 acknowledged is not resolved", func(t *testing.T) {
		t.Parallel()
		for _, word := range []string{"acknowledged", "Acknowledge", "ACK", "acked", "unacknowledged"} {
			for _, body := range []string{`{"title":"A","status":"` + word + `"}`, `{"alerts":[{"status":"` + word + `","labels":{"alertname":"A"}}]}`} {
				if _, batch, err := receive(t, body); err != nil || batch.Alerts[0].Status != alerts.Firing {
					t.Errorf("%s: %+v %v", body, batch, err)
				}
			}
		}
		for _, vendor := range []string{
			`{"event":{"event_type":"incident.acknowledged","resource_type":"incident","data":{"title":"A","status":"acknowledged"}}}`,
			`{"issueUrl":"https://x","title":"A","state":"ACKNOWLEDGED","trigger":"STATE_CHANGE"}`,
			`{"action":"Acknowledge","alert":{"alertId":"1","message":"A"}}`,
		} {
			if _, _, err := receive(t, vendor); !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%s: %v", vendor, err)
			}
		}
	})
	t.Run("7 a malformed element does not take the batch with it, and 0 is no status", func(t *testing.T) {
		t.Parallel()
		for _, source := range []string{"alertmanager", "grafana", "generic"} {
			batch, err := parse(t, source, `{"alerts":[null,{"labels":7},{"labels":{"alertname":"A"}}]}`)
			if err != nil || len(batch.Alerts) != 1 || len(batch.Notes) < 2 {
				t.Errorf("%s: %+v %v", source, batch, err)
			}
		}
		if _, _, err := receive(t, `{"title":"A","trigger_id":1,"event_value":0}`); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("a recovery of Zabbix is read as an alert: %v", err)
		}
		if batch, err := parse(t, "generic", `{"title":"A","status":0}`); err != nil || batch.Alerts[0].Status != alerts.Firing || len(batch.Notes) != 1 {
			t.Errorf("%+v %v", batch, err)
		}
	})
	t.Run("8 a measured value in a label does not change the identity", func(t *testing.T) {
		t.Parallel()
		for _, source := range []string{"alertmanager", "grafana", "generic"} {
			batch, err := parse(t, source, `{"alerts":[
				{"status":"firing","labels":{"alertname":"CPU","host":"web-1","value":"1,2,3","severity":"warning"}},
				{"status":"firing","labels":{"host":"web-1","alertname":"CPU","value":"4,5,6","severity":"critical"}},
				{"status":"resolved","labels":{"alertname":"CPU","host":"web-1"}},
				{"status":"firing","labels":{"alertname":"CPU","host":"web-2"}}]}`)
			if err != nil || len(batch.Alerts) != 4 {
				t.Fatalf("%s: %+v %v", source, batch, err)
			}
			a := batch.Alerts
			if a[0].Fingerprint != a[1].Fingerprint || a[1].Fingerprint != a[2].Fingerprint || a[2].Fingerprint == a[3].Fingerprint {
				t.Errorf("%s: %s %s %s %s", source, a[0].Fingerprint, a[1].Fingerprint, a[2].Fingerprint, a[3].Fingerprint)
			}
		}
	})
}

func TestIdentitySurvivesRedelivery(t *testing.T) {
	t.Parallel()
	var group map[string]any
	if err := json.Unmarshal([]byte(payload(t, "alertmanager/testdata/firing")), &group); err != nil {
		t.Fatal(err)
	}
	identities := func() map[string]bool {
		body, err := json.Marshal(group)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := parse(t, "alertmanager", string(body))
		if err != nil || len(batch.Alerts) != 2 {
			t.Fatalf("%+v %v", batch, err)
		}
		found := map[string]bool{}
		for _, a := range batch.Alerts {
			found[a.Fingerprint+" "+a.StartsAt.String()] = true
		}
		return found
	}
	first := identities()
	list := group["alerts"].([]any)
	list[0], list[1] = list[1], list[0]
	group["receiver"] = "another"
	for identity := range identities() {
		if !first[identity] {
			t.Errorf("%s is new", identity)
		}
	}
}

func TestUnwrap(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"driver":"alertmanager","payload":{"alerts":[]}}`:          "alertmanager",
		`{"driver":"generic","payload":[{"title":"A"}]}`:             "generic",
		`{"driver":"generic","payload":{},"source":"cron"}`:          "generic",
		`{"driver":"generic","payload":{},"title":"A"}`:              "",
		`{"driver":"generic","payload":"text"}`:                      "",
		`{"driver":{"name":"nvme"},"payload":{"title":"A"}}`:         "",
		`{"driver":"","payload":{}}`:                                 "",
		`{"payload":{"title":"A"}}`:                                  "",
		`{"driver":"generic"}`:                                       "",
		`{"title":"A"}`:                                              "",
		`[{"driver":"generic","payload":{}}]`:                        "",
		`{"version":"4","driver":"generic","payload":{"alerts":[]}}`: "",
	} {
		doc := decode(t, body)
		driver, inner, wrapped := alerts.Unwrap(doc)
		if driver != want || wrapped != (want != "") {
			t.Errorf("%s: %q %v", body, driver, wrapped)
		}
		if _, isText := inner.(string); isText || inner == nil {
			t.Errorf("%s: payload %v", body, inner)
		}
	}
}

func TestParseSeverity(t *testing.T) {
	t.Parallel()
	for severity, words := range map[alerts.Severity]string{
		alerts.Critical: "critical CRITICAL page disaster fatal P1 emergency",
		alerts.Error:    "error High major P2 average",
		alerts.Warning:  "warning WARN minor medium P3",
		alerts.Info:     "info none low P4 P5 debug notice information",
	} {
		for word := range strings.FieldsSeq(words) {
			if got, ok := alerts.ParseSeverity(" " + word + " "); got != severity || !ok {
				t.Errorf("%s is %s, %v", word, got, ok)
			}
		}
	}
	for _, word := range []string{"", "purple", "5", "not critical"} {
		if got, ok := alerts.ParseSeverity(word); got != alerts.Warning || ok {
			t.Errorf("%q is %s, %v", word, got, ok)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"web-1": "web-1", "web-1:9100": "web-1", " web-1 ": "web-1", "web-1.example.com.:443": "web-1.example.com.",
		"https://web-1:8443/health?x=1": "web-1", "http://user:secret@web-1/": "web-1", "web-1/health": "web-1", "web-1:8080/health": "web-1",
		"127.0.0.1:9090": "127.0.0.1", "[::1]:9100": "::1", "[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1", "fe80::1%eth0": "fe80::1%eth0",
		"http://[2001:db8::1]:9100/metrics": "2001:db8::1", "C:drive": "C:drive", "": "", "://": "",
	} {
		if got := alerts.HostName(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	labels := map[string]string{"pod": "api-0", "instance": "10.0.0.1:9100", "node": "n1", "hostname": "h1", "host": ""}
	for _, want := range []struct{ host, remove string }{{"h1", "hostname"}, {"n1", "node"}, {"10.0.0.1", "instance"}, {"api-0", "pod"}, {"", ""}} {
		if got := alerts.Host(labels); got != want.host {
			t.Errorf("%v: %q, want %q", labels, got, want.host)
		}
		delete(labels, want.remove)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := map[string]string{"alertname": "A", "host": "h"}
	one := alerts.Fingerprint("generic", base)
	if len(one) != 16 || one == alerts.Fingerprint("grafana", base) {
		t.Fatalf("got %s", one)
	}
	for _, label := range []string{"severity", "Severity", "value", "current_value", "__alert_id__", "status"} {
		if alerts.Fingerprint("generic", map[string]string{"alertname": "A", "host": "h", label: "x"}) != one {
			t.Errorf("%s changes the identity", label)
		}
	}
	if alerts.Fingerprint("generic", map[string]string{"alertname": "A", "host": "h", "disk": "x"}) == one {
		t.Error("disk does not change the identity")
	}
	if alerts.Fingerprint("g", map[string]string{"a": "bc"}) == alerts.Fingerprint("g", map[string]string{"ab": "c"}) {
		t.Error("key and value run together")
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)
	for _, c := range []struct {
		value any
		want  time.Time
		ok    bool
	}{
		{"2026-11-22T10:00:00.123456999Z", at, true},
		{"2026-11-22T11:00:00.123456+01:00", at, true},
		{json.Number("1795341600.123456"), at, true},
		{json.Number("1795341600"), at.Truncate(time.Second), true},
		{"1795341600123", at.Truncate(time.Millisecond), true},
		{json.Number("1795341600123456"), at, true},
		{json.Number("1502709956288000110"), time.Date(2017, 8, 14, 11, 25, 56, 288000000, time.UTC), true},
		{nil, time.Time{}, true}, {"", time.Time{}, true}, {json.Number("0"), time.Time{}, true},
		{"0001-01-01T00:00:00Z", time.Time{}, true}, {"0001-06-01T00:00:00Z", time.Time{}, true},
		{"yesterday", time.Time{}, false}, {"2026-11-22 10:00:00", time.Time{}, false}, {json.Number("-5"), time.Time{}, false},
		{json.Number("1e300"), time.Time{}, false}, {"NaN", time.Time{}, false}, {true, time.Time{}, false}, {[]any{}, time.Time{}, false},
	} {
		got, ok := alerts.Time(c.value)
		if ok != c.ok || (ok && !got.Equal(c.want)) {
			t.Errorf("%v is %v, %v; want %v", c.value, got, ok, c.want)
		}
	}
	if got, ok := alerts.Time("9999-12-31T23:30:00-01:00"); ok {
		t.Errorf("the year 10000 is taken: %v", got)
	}
}

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("test", 5*3600) // nothing may depend on the zone of the machine
	os.Exit(m.Run())
}
