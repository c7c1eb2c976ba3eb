package pagerduty_test

import (
	"encoding/json"
	"errors"
	"flag"
	"strings"
	"testing"

	"penstock/drivers/notify"
	"penstock/drivers/notify/notifytest"
	"penstock/drivers/notify/pagerduty"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

type event struct {
	Action   string `json:"event_action"`
	DedupKey string `json:"dedup_key"`
	Payload  struct {
		Summary, Severity string
		Details           struct {
			Message, Note string
			Facts         map[string]string
		} `json:"custom_details"`
	}
}

func decode(r notifytest.Request) event {
	var e event
	_ = json.Unmarshal(r.Body, &e)
	return e
}

func TestSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{
		Kind: pagerduty.Kind, Missing: []string{"routing_key"},
		Start: func(t testing.TB) notifytest.Receiver {
			sink := notifytest.NewPagerDuty(t)
			return notifytest.Receiver{
				Sink: sink.Sink, Config: `{"routing_key":"` + notifytest.Canary + `","base_url":"` + sink.URL + `"}`,
				Text: func(r notifytest.Request) string {
					e := decode(r)
					return e.Payload.Summary + "\n" + e.Payload.Details.Message
				},
				Key: func(r notifytest.Request) string { return decode(r).DedupKey },
			}
		},
	})
}

func send(t *testing.T, sink *notifytest.PagerDuty, m notify.Message) (notify.Receipt, error) {
	t.Helper()
	driver, err := pagerduty.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(`{"routing_key":"R0123456789","base_url":"`+sink.URL+`/"}`))
	if err != nil {
		t.Fatal(err)
	}
	return driver.Send(t.Context(), m)
}

func TestBody(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewPagerDuty(t)
	for i, m := range []notify.Message{notifytest.Message(), notifytest.Resolved()} {
		receipt, err := send(t, sink, m)
		if err != nil {
			t.Fatal(err)
		}
		if receipt.Status != 202 || receipt.MessageID != "incident-1" || receipt.Data["dedup_key"] != "incident-1" || !strings.Contains(receipt.Response, "Event processed") {
			t.Errorf("%+v", receipt)
		}
		notifytest.GoldenJSON(t, []string{"trigger.golden.json", "resolve.golden.json"}[i], sink.Requests()[i].Body, *update)
	}
}

func TestLongKeysStayDistinctAndStable(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewPagerDuty(t)
	trigger, resolve, other := notifytest.Message(), notifytest.Resolved(), notifytest.Message()
	trigger.DedupKey = strings.Repeat("k", 300) + "1"
	resolve.DedupKey = trigger.DedupKey
	other.DedupKey = strings.Repeat("k", 300) + "2"
	for _, m := range []notify.Message{trigger, resolve, other} {
		if _, err := send(t, sink, m); err != nil {
			t.Fatal(err)
		}
	}
	r := sink.Requests()
	if a, b, c := decode(r[0]).DedupKey, decode(r[1]).DedupKey, decode(r[2]).DedupKey; a == "" || len(a) > 255 || a != b || a == c {
		t.Errorf("%q %q %q", a, b, c)
	}
}

func TestDetailsThatAreTooLargeAreLeftOutWithANote(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewPagerDuty(t)
	m := notifytest.Message()
	m.Severity = ""
	m.Alerts = []map[string]any{{"labels": map[string]any{"x": strings.Repeat("x", 600<<10)}}}
	if _, err := send(t, sink, m); err != nil {
		t.Fatal(err)
	}
	e := decode(sink.Requests()[0])
	if e.Payload.Details.Note == "" || e.Payload.Severity != "info" || !strings.Contains(e.Payload.Summary, "Disk") {
		t.Errorf("%+v", e)
	}
}

func TestRefusedEventSaysWhy(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewPagerDuty(t)
	sink.Script(notifytest.Reply{Status: 400, Body: `{"status":"invalid event","errors":["'routing_key' is invalid"]}`})
	_, err := send(t, sink, notifytest.Message())
	if _, retry := fault.Retryable(err); retry || !errors.Is(err, notify.ErrCredentials) || !strings.Contains(fault.Of(err).Message, "'routing_key' is invalid") {
		t.Error(err)
	}
}
