package slack_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"

	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/drivers/notify/notifytest"
	"penstock/drivers/notify/slack"
	"penstock/fault"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSuite(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, notifytest.Target{
		Kind: slack.Kind, Missing: []string{"webhook_url"},
		Start: func(t testing.TB) notifytest.Receiver {
			sink := notifytest.NewSlack(t)
			return notifytest.Receiver{
				Sink: sink.Sink, Config: `{"webhook_url":"` + sink.URL + `"}`, Text: shown,
				Key: func(r notifytest.Request) string { return r.Header.Get("Idempotency-Key") },
			}
		},
	})
}

type text struct{ Type, Text string }

type message struct {
	Channel, Text string
	Attachments   []struct {
		Color  string
		Blocks []struct {
			Type             string
			Text             text
			Fields, Elements []text
		}
	}
}

// shown is what Slack displays: it decodes three entities and nothing else.
func shown(r notifytest.Request) string {
	var m message
	_ = json.Unmarshal(r.Body, &m)
	all := []string{m.Text}
	for _, a := range m.Attachments {
		for _, b := range a.Blocks {
			all = append(all, b.Text.Text)
			for _, t := range append(b.Fields, b.Elements...) {
				all = append(all, t.Text)
			}
		}
	}
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(strings.Join(all, "\n"))
}

func send(t *testing.T, sink *notifytest.Slack, m notify.Message) (notify.Receipt, error) {
	t.Helper()
	driver, err := slack.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(`{"webhook_url":"`+sink.URL+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	return driver.Send(t.Context(), m)
}

func TestBody(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewSlack(t)
	channel := notifytest.Message()
	channel.Channel = "#incidents"
	for i, m := range []notify.Message{channel, notifytest.Resolved()} {
		if _, err := send(t, sink, m); err != nil {
			t.Fatal(err)
		}
		notifytest.GoldenJSON(t, []string{"trigger.golden.json", "resolve.golden.json"}[i], sink.Requests()[i].Body, *update)
	}
}

func TestNothingFromOutsideIsMarkup(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewSlack(t)
	m := notify.Message{
		Key: "k", Action: notify.Trigger, Title: "<!here> *bold*", Text: "<!channel> <https://evil.example|click> @everyone", Host: "<@U1>",
		Facts: []notify.Fact{{Name: "<!here>", Value: "<#C1>"}},
		Links: []alerts.Link{{Text: "a|b> <!here>", URL: "https://example.com/?q=<!here>|x&y"}, {Text: "js", URL: "javascript:alert(1)"}},
	}
	if _, err := send(t, sink, m); err != nil {
		t.Fatal(err)
	}
	raw := string(sink.Requests()[0].Body)
	if got := strings.Count(raw, "<"); got != 1 {
		t.Errorf("%d links or mentions, want the one link: %s", got, raw)
	}
	var sent message
	if err := json.Unmarshal([]byte(raw), &sent); err != nil {
		t.Fatal(err)
	}
	for _, b := range sent.Attachments[0].Blocks {
		for _, field := range append(b.Fields, b.Text) {
			if field.Text != "" && field.Type != "plain_text" {
				t.Errorf("%+v is formatted", field)
			}
		}
	}
	if !strings.Contains(raw, `"link_names":false`) || strings.Contains(raw, "javascript:") {
		t.Error(raw)
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewSlack(t)
	seen := map[string]alerts.Severity{}
	for _, severity := range []alerts.Severity{alerts.Critical, alerts.Error, alerts.Warning, alerts.Info, "resolved"} {
		m := notifytest.Message()
		m.Severity = severity
		if severity == "resolved" {
			m = notifytest.Resolved()
		}
		if _, err := send(t, sink, m); err != nil {
			t.Fatal(err)
		}
		requests := sink.Requests()
		var sent message
		if err := json.Unmarshal(requests[len(requests)-1].Body, &sent); err != nil {
			t.Fatal(err)
		}
		color := sent.Attachments[0].Color
		if other, taken := seen[color]; taken {
			t.Errorf("%s and %s are both %s", severity, other, color)
		}
		seen[color] = severity
	}
}

func TestOnlyOKIsSuccess(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewSlack(t)
	for _, r := range []notifytest.Reply{
		{Status: 200, Body: "<html>Please log in</html>"}, {Status: 200, Body: `{"ok":false,"error":"channel_not_found"}`},
		{Status: 200, Body: ""}, {Status: 204}, {Status: 404, Body: "no_service"}, {Status: 410, Body: "channel_is_archived"},
	} {
		sink.Script(r)
		receipt, err := send(t, sink, notifytest.Message())
		if _, retry := fault.Retryable(err); err == nil || retry || receipt.Status != r.Status || receipt.Response != r.Body {
			t.Errorf("%+v: %+v, %v", r, receipt, err)
		}
		if !strings.Contains(fault.Of(err).Message, strings.TrimSpace(r.Body)) {
			t.Errorf("%q does not say %q", fault.Of(err).Message, r.Body)
		}
	}
	sink.Script(notifytest.Reply{Status: 200, Body: "ok\n"})
	if _, err := send(t, sink, notifytest.Message()); err != nil {
		t.Error(err)
	}
}

func TestLongTextKeepsItsBeginning(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewSlack(t)
	m := notifytest.Message()
	m.Text = ""
	for i := range 400 {
		m.Text += fmt.Sprintf("line %d & <more>\n", i)
	}
	if _, err := send(t, sink, m); err != nil {
		t.Fatal(err)
	}
	seen := shown(sink.Requests()[0])
	for i := range 200 {
		if line := fmt.Sprintf("line %d & <more>\n", i); !strings.Contains(seen, line) {
			t.Fatalf("%q is broken or lost", line)
		}
	}
	if !strings.Contains(seen, notify.CutNote) || strings.Contains(seen, "line 399") {
		t.Error("the end is not cut with a note")
	}
}

func TestBuildRefusesWithoutShowingTheAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"hooks.slack.com/S3CRET", "file:///S3CRET", "http://S3CRET@hooks.slack.com"} {
		_, err := slack.Kind(notifytest.Deps(t, nil)).Build(t.Context(), json.RawMessage(`{"webhook_url":"`+address+`"}`))
		if !fault.Is(err, fault.Unprocessable) || fault.Of(err).Fields["/webhook_url"] == "" || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
