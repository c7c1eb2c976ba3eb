package notifytest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"penstock/drivers/notify/notifytest"
)

func post(t *testing.T, address, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(address, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestScript(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewWebhook(t)
	sink.Script(notifytest.Reply{Status: 503}, notifytest.Reply{Status: 429, Body: "slow down"})
	sink.Always(notifytest.Reply{Status: 404})
	var got []int
	for range 4 {
		status, _ := post(t, sink.URL, "{}")
		got = append(got, status)
	}
	if got[0] != 503 || got[1] != 429 || got[2] != 404 || got[3] != 404 {
		t.Errorf("%v", got)
	}
	sink.Reset()
	if status, body := post(t, sink.URL, "{}"); status != 200 || body != `{"id":"message-1"}` || sink.Count() != 1 {
		t.Errorf("after a reset: %d %s, %d requests", status, body, sink.Count())
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	sink := notifytest.NewWebhook(t)
	go func() {
		for range 3 {
			if resp, err := http.Post(sink.URL, "", nil); err == nil {
				resp.Body.Close()
			}
		}
	}()
	if requests, err := sink.Wait(t.Context(), 3); err != nil || len(requests) != 3 {
		t.Errorf("%d, %v", len(requests), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := sink.Wait(ctx, 4); err == nil || !strings.Contains(err.Error(), "3 of 4") {
		t.Errorf("%v", err)
	}
}

func TestFakesRefuseWhatTheRealOnesRefuse(t *testing.T) {
	t.Parallel()
	slack, pagerduty := notifytest.NewSlack(t), notifytest.NewPagerDuty(t)
	long := strings.Repeat("x", 151)
	for body, want := range map[string]string{
		`{"text":"hello"}`: "ok", `not json`: "invalid_payload", `{}`: "no_text",
		`{"blocks":[{"type":"header","text":{"type":"plain_text","text":"` + long + `"}}]}`:                                                                      "invalid_blocks",
		`{"blocks":[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]}`:                                                                                     "invalid_blocks",
		`{"blocks":[{"type":"section"}]}`:                                                                                                                        "invalid_blocks",
		`{"blocks":[{"type":"section","fields":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",") + `]}]}`:                        "invalid_blocks",
		`{"blocks":[` + strings.TrimSuffix(strings.Repeat(`{"type":"section","text":{"type":"mrkdwn","text":"x"}},`, 51), ",") + `]}`:                            "invalid_blocks",
		`{"blocks":[` + strings.TrimSuffix(strings.Repeat(`{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("y", 2900)+`"}},`, 5), ",") + `]}`: "msg_blocks_too_long",
	} {
		if _, got := post(t, slack.URL, body); got != want {
			t.Errorf("slack, %.80s: %q, want %q", body, got, want)
		}
	}
	for body, want := range map[string]int{
		`{"routing_key":"r","event_action":"trigger","payload":{"summary":"s","source":"x","severity":"critical"}}`: 202,
		`{"routing_key":"r","event_action":"trigger","payload":{"summary":"s","source":"x","severity":"high"}}`:     400,
		`{"routing_key":"r","event_action":"resolve","dedup_key":"d"}`:                                              202,
		`{"routing_key":"r","event_action":"resolve"}`:                                                              400,
		`{"event_action":"resolve","dedup_key":"d"}`:                                                                400,
		`{"routing_key":"r","event_action":"stop","dedup_key":"d"}`:                                                 400,
	} {
		if got, answer := post(t, pagerduty.URL+"/v2/enqueue", body); got != want {
			t.Errorf("pagerduty, %s: %d %s, want %d", body, got, answer, want)
		}
	}
}
