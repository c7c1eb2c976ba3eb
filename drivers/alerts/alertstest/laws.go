package alertstest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/drivers/alerts"
	"penstock/fault"
)

// laws lists what a breaks of the promises of [alerts.Alert].
func laws(a alerts.Alert) (broken []string) {
	must := func(ok bool, law string) {
		if !ok {
			broken = append(broken, law)
		}
	}
	must(a.Fingerprint != "" && len(a.Fingerprint) <= 128, "the fingerprint is empty or long")
	must(a.Name != "" && len(a.Name) <= alerts.MaxName, "the name is empty or long")
	must(a.Summary != "" && !strings.Contains(a.Summary, "\n") && len(a.Summary) <= alerts.MaxLabel, "the summary is not one short line")
	must(len(a.Host) <= alerts.MaxName, "the host is long")
	must(len(a.Description) <= alerts.MaxAnnotations, "the description is long")
	must(a.Status == alerts.Firing || a.Status == alerts.Resolved, "the status is unknown")
	switch a.Severity {
	case alerts.Critical, alerts.Error, alerts.Warning, alerts.Info:
	default:
		must(false, "the severity is unknown")
	}
	must(a.Labels != nil && len(a.Labels) <= alerts.MaxLabels, "labels are nil or too many")
	size := 0
	for key, value := range a.Labels {
		must(len(key) <= alerts.MaxName && len(value) <= alerts.MaxLabel && utf8.ValidString(value), "a label is long or broken")
	}
	for key, value := range a.Annotations {
		size += len(key) + len(value)
		must(utf8.ValidString(value), "an annotation is broken")
	}
	must(a.Annotations != nil && size <= alerts.MaxAnnotations, "annotations are nil or too long")
	must(utf8.ValidString(a.Name) && utf8.ValidString(a.Summary) && utf8.ValidString(a.Host), "a text is broken")
	must(sane(a.StartsAt), "the start is not UTC in microseconds")
	must(a.EndsAt == nil || (a.Status == alerts.Resolved && !a.EndsAt.IsZero() && sane(*a.EndsAt)), "the end is wrong")
	must(a.URL == "" || web(a.URL), "the URL is no http(s) address")
	must(len(a.Links) <= alerts.MaxLinks, "too many links")
	for _, link := range a.Links {
		must(link.Text != "" && web(link.URL), "a link is no http(s) address or has no text")
	}
	return broken
}

func sane(t time.Time) bool {
	return t.Location() == time.UTC && t.Nanosecond()%1000 == 0 && (t.IsZero() || t.Year() > 1) && t.Year() <= 9999
}

func web(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// body writes one request with the given alerts in the format that every source reads.
func body(elements ...string) []byte {
	return []byte(`{"version":"","alerts":[` + strings.Join(elements, ",") + `]}`)
}

func refusesInvalid(t *testing.T, source alerts.Source) {
	element := `{"labels":{"alertname":"A"}}`
	for name, b := range map[string]string{
		"an empty body":    "",
		"no JSON":          "hello",
		"trailing data":    string(body(element)) + "{}",
		"a duplicate key":  `{"alerts":[{"labels":{"alertname":"A","alertname":"B"}}]}`,
		"depth 65":         string(body(strings.Repeat("[", 64) + strings.Repeat("]", 64))),
		"depth 100,000":    strings.Repeat("[", 100_000),
		"1e400":            string(body(`{"labels":{"alertname":"A","v":1e400}}`)),
		"invalid UTF-8":    string(body("{\"labels\":{\"alertname\":\"\xff\"}}")),
		"a lone surrogate": string(body(`{"labels":{"alertname":"\ud800"}}`)),
		"a raw NUL":        string(body("{\"labels\":{\"alertname\":\"A\x00\"}}")),
		"a NUL in a label": string(body(`{"labels":{"alertname":"A","l":"\u0000"}}`)),
		"a NUL in a key":   string(body(`{"labels":{"alertname":"A","\u0000":"l"}}`)),
		"a NUL in a URL":   string(body(`{"labels":{"alertname":"A"},"generatorURL":"http://a/\u0000"}`)),
		"a NUL somewhere":  `{"receiver":"\u0000","alerts":[` + element + `]}`,
	} {
		if _, err := parse(t, source, nil, []byte(b)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// survivesWrongTypes puts a value of every type into every place: only the marked errors and notes may
// come of it, and the neighbour of a malformed element must come through.
func survivesWrongTypes(t *testing.T, source alerts.Source) {
	good := `{"status":"firing","labels":{"alertname":"Neighbour"}}`
	values := []string{`null`, `{}`, `[]`, `0`, `-1`, `1.5`, `1e300`, `true`, `""`, `"x"`, `{"x":{"y":[1]}}`, `[[]]`, `[null]`}
	for _, v := range values {
		for _, b := range []string{v, `{"alerts":` + v + `}`, `{"version":` + v + `,"groupKey":` + v + `,"orgId":` + v + `,"alerts":` + v + `,"truncatedAlerts":` + v + `}`} {
			if _, err := parse(t, source, nil, []byte(b)); err == nil && strings.HasPrefix(b, `{"alerts"`) {
				t.Errorf("%s yields an alert", b)
			}
		}
		for _, key := range []string{"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "silenceURL", "values", "tags", "links", "title", "host", "severity", "id"} {
			for _, element := range []string{v, `{"labels":{"alertname":"A"},"` + key + `":` + v + `}`, `{"labels":{"alertname":"A","l":` + v + `},"annotations":{"a":` + v + `}}`} {
				if key == "labels" && strings.Count(element, `"labels"`) > 1 {
					element = `{"annotations":{"summary":"s"},"labels":` + v + `}`
				}
				batch, err := parse(t, source, nil, body(element, good))
				if err != nil || batch.Alerts[len(batch.Alerts)-1].Name != "Neighbour" {
					t.Errorf("%s: the alert beside it is lost: %v", element, err)
				}
			}
		}
	}
}

func limits(t *testing.T, source alerts.Source) {
	var many []string
	for i := range alerts.MaxAlerts + 1 {
		many = append(many, fmt.Sprintf(`{"labels":{"alertname":"A","n":"%d"}}`, i))
	}
	if batch, err := parse(t, source, nil, body(many[1:]...)); err != nil || len(batch.Alerts) != alerts.MaxAlerts {
		t.Errorf("%d alerts: %v", alerts.MaxAlerts, err)
	}
	if _, err := parse(t, source, nil, body(many...)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%d alerts: %v", len(many), err)
	}
	if _, err := parse(t, source, nil, body()); !errors.Is(err, alerts.ErrNoAlerts) {
		t.Errorf("no alerts: %v", err)
	}

	var labels, annotations strings.Builder
	for i := range 100 {
		fmt.Fprintf(&labels, `,"l%02d":"v"`, i)
		fmt.Fprintf(&annotations, `,"a%02d":"%s"`, i, strings.Repeat("ü", 200))
	}
	long := strings.Repeat("ü", 10_000)
	element := `{"labels":{"alertname":"` + long + `","severity":"` + long + `","host":"` + long + `","` + long + `":"x"` + labels.String() +
		`},"annotations":{"summary":"` + long + `"` + annotations.String() + `},"generatorURL":"http://a/` + long + `","fingerprint":"` + long + `"}`
	batch, err := parse(t, source, nil, body(element))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the name is cut", "the host is cut", "the severity is cut", "the summary is cut", "labels; 64 are kept", "bytes of annotations", "the key of the label", "the URL is not"} {
		if !strings.Contains(strings.Join(batch.Notes, "\n"), want) {
			t.Errorf("no note says %q: %q", want, batch.Notes)
		}
	}
	if a := batch.Alerts[0]; a.Labels["alertname"] == "" || a.Labels["severity"] == "" || a.Annotations["summary"] == "" {
		t.Errorf("the important labels are cut away: %v", a.Labels)
	}
	if batch, _ = parse(t, source, nil, body(strings.Repeat(`1,`, 998)+`1`, many[0])); len(batch.Notes) > 101 || len(batch.Alerts) != 1 {
		t.Errorf("%d notes", len(batch.Notes))
	}
}

// texts checks that what people and attackers write arrives literally, and that notes do not repeat it.
func texts(t *testing.T, source alerts.Source) {
	for _, text := range []string{`{{7*7}}`, `${jndi:ldap://x}`, `$(id)`, `<script>alert(1)</script>`, `<!channel>`, `%s%n`, `🔴 выключен`, `a"b\c`} {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
		element := `{"labels":{"alertname":"` + quoted + `","` + quoted + `":"` + quoted + `"},"annotations":{"summary":"` + quoted + `","description":"` + quoted + `"}}`
		batch, err := parse(t, source, nil, body(element))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if a := batch.Alerts[0]; a.Name != text || a.Labels[text] != text || a.Summary != text || a.Description != text {
			t.Errorf("%s became %+v", text, a)
		}
	}
	for _, address := range []string{`javascript:alert(1)`, ` java\nscript:alert(1)`, `data:text/html,x`, `vbscript:x`, `//evil`, `https:evil`, `\\\\evil`, `https:\\\\evil`, `file:///etc/passwd`, `http://user:canary@host/`} {
		element := `{"labels":{"alertname":"A"},"generatorURL":"` + address + `","silenceURL":"` + address + `","annotations":{"runbook_url":"` + address + `"}}`
		batch, err := parse(t, source, nil, body(element))
		if err != nil || batch.Alerts[0].URL != "" || len(batch.Alerts[0].Links) != 0 || len(batch.Notes) < 2 {
			t.Errorf("%s: %+v %v", address, batch, err)
		}
	}
	const canary = "canary-s3cret"
	element := `{"labels":{"alertname":"A","token":"` + canary + `","l":["` + canary + `"]},"annotations":{"a":["` + canary + `"]},"startsAt":"` + canary +
		`","fingerprint":{"x":"` + canary + `"},"generatorURL":"ftp://` + canary + `","runbook_url":"` + canary + `"}`
	batch, err := parse(t, source, nil, body(element))
	if err != nil || len(batch.Notes) < 4 || strings.Contains(strings.Join(batch.Notes, "\n"), canary) {
		t.Errorf("notes: %q %v", batch.Notes, err)
	}
}
