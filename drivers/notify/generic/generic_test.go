package generic_test

import (
	"encoding/json"
	"flag"
	"strings"
	"testing"

	"penstock/drivers/notify"
	"penstock/drivers/notify/generic"
	"penstock/drivers/notify/notifytest"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{
		Kind: generic.Kind, Missing: []string{"endpoint"},
		Start: func(t testing.TB) notifytest.Receiver {
			sink := notifytest.NewWebhook(t)
			return notifytest.Receiver{
				Sink: sink.Sink, Config: `{"endpoint":"` + sink.URL + `","headers":{"Authorization":"Bearer ` + notifytest.Canary + `"}}`,
				Text: func(r notifytest.Request) string {
					var b struct{ Title, Message string }
					_ = json.Unmarshal(r.Body, &b)
					return b.Title + "\n" + b.Message
				},
				Key: func(r notifytest.Request) string { return r.Header.Get("Idempotency-Key") },
			}
		},
	})
}

func send(t *testing.T, config string, m notify.Message) (notify.Receipt, error) {
	t.Helper()
	driver, err := generic.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return driver.Send(t.Context(), m)
}

func TestBody(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewWebhook(t)
	for _, m := range []notify.Message{notifytest.Message(), {Key: "k", Action: notify.Trigger}} {
		if _, err := send(t, `{"endpoint":"`+sink.URL+`/x?y=1","method":"PUT","headers":{"x-team":"db"}}`, m); err != nil {
			t.Fatal(err)
		}
	}
	requests := sink.Requests()
	notifytest.GoldenJSON(t, "full.golden.json", requests[0].Body, *update)
	notifytest.GoldenJSON(t, "empty.golden.json", requests[1].Body, *update)
	r := requests[0]
	if r.Method != "PUT" || r.Path != "/x?y=1" || r.Header.Get("X-Team") != "db" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Idempotency-Key") != notifytest.Message().Key {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewWebhook(t)
	for body, want := range map[string]string{
		`{"id":"a-1"}`: "a-1", `{"message_id":1502709956288000110}`: "1502709956288000110", `{"id":null,"message_id":"m"}`: "m",
		`ok`: "", `[1]`: "", `{"id":{"x":1}}`: "", ``: "",
	} {
		sink.Script(notifytest.Reply{Status: 202, Body: body})
		receipt, err := send(t, `{"endpoint":"`+sink.URL+`"}`, notifytest.Message())
		if err != nil || receipt.MessageID != want || receipt.Status != 202 || receipt.Response != body {
			t.Errorf("%q: %+v, %v", body, receipt, err)
		}
	}
}

func TestKeyThatIsNoHeaderValue(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewWebhook(t)
	m := notifytest.Message()
	m.Key = "a\r\nX-Evil: 1 ä"
	for range 2 {
		if _, err := send(t, `{"endpoint":"`+sink.URL+`"}`, m); err != nil {
			t.Fatal(err)
		}
	}
	r := sink.Requests()
	if key := r[0].Header.Get("Idempotency-Key"); len(key) != 64 || key != r[1].Header.Get("Idempotency-Key") || r[0].Header.Get("X-Evil") != "" {
		t.Errorf("%v", r[0].Header)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for config, field := range map[string]string{
		`{"endpoint":"ftp://x/S3CRET"}`:                                     "/endpoint",
		`{"endpoint":"sink.example.com/S3CRET"}`:                            "/endpoint",
		`{"endpoint":"http:///S3CRET"}`:                                     "/endpoint",
		`{"endpoint":"http://user:S3CRET@x/"}`:                              "/endpoint",
		`{"endpoint":"http://x/%zzS3CRET"}`:                                 "/endpoint",
		`{"endpoint":"http://x","method":"GET"}`:                            "/method",
		`{"endpoint":"http://x","headers":{"X":"S3CRET\r\nX-Evil: 1"}}`:     "/headers",
		`{"endpoint":"http://x","headers":{"X Y":"S3CRET"}}`:                "/headers",
		`{"endpoint":"http://x","headers":{"host":"S3CRET"}}`:               "/headers",
		`{"endpoint":"http://x","headers":{"Idempotency-Key":"S3CRET"}}`:    "/headers",
		`{"endpoint":"http://x","headers":{"transfer-encoding":"chunked"}}`: "/headers",
	} {
		_, err := generic.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(config))
		if !fault.Is(err, fault.Unprocessable) || fault.Of(err).Fields[field] == "" || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v", config, err)
		}
	}
}
