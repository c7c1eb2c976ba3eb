package notifytest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/drivers/notify"
	"penstock/fault"
)

func usesDeps(t *testing.T, b *bench) {
	if _, err := b.driver.Send(t.Context(), Message()); err != nil {
		t.Fatal(err)
	}
	if b.calls.Load() == 0 {
		t.Error("the receiver was reached past the client and the dialer that were given")
	}
}

func repeatsKey(t *testing.T, b *bench) {
	b.Sink.Script(Reply{Status: map[bool]int{true: 451, false: 500}[b.Mail]})
	if _, err := b.driver.Send(t.Context(), Message()); err == nil {
		t.Error("a refusal is not reported")
	}
	other := Message()
	other.Key, other.DedupKey = "another", "another"
	for _, m := range []notify.Message{Message(), other} {
		if _, err := b.driver.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	requests := b.Sink.Requests()
	first, again, different := b.Key(requests[0]), b.Key(requests[1]), b.Key(requests[2])
	if first == "" || first != again || first == different {
		t.Errorf("keys: first attempt %q, second %q, another message %q", first, again, different)
	}
}

type class struct {
	name  string
	reply Reply
	retry bool
	after time.Duration
}

func classifies(t *testing.T, b *bench) {
	cases := []class{
		{name: "closed without an answer", reply: Reply{Cut: true}, retry: true},
		{name: "no answer in time", reply: Reply{Hang: true}, retry: true},
	}
	statuses := map[int]bool{408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true, 400: false, 401: false, 403: false, 404: false, 410: false, 413: false}
	if b.Mail {
		statuses = map[int]bool{421: true, 450: true, 451: true, 452: true, 500: false, 535: false, 550: false, 552: false, 554: false}
	} else {
		header := http.Header{"Retry-After": {"7"}}
		cases = append(cases, class{"429 with Retry-After", Reply{Status: 429, Header: header}, true, 7 * time.Second},
			class{"503 with Retry-After", Reply{Status: 503, Header: header}, true, 7 * time.Second})
	}
	for status, retry := range statuses {
		cases = append(cases, class{fmt.Sprint(status), Reply{Status: status, Body: "no"}, retry, 0})
	}
	for _, c := range cases {
		if _, err := b.driver.Send(t.Context(), Message()); err != nil { // leaves a connection that the next attempt may use
			t.Fatal(err)
		}
		b.Sink.Script(c.reply)
		before := b.Sink.Count()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if c.reply.Hang {
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		receipt, err := b.driver.Send(ctx, Message())
		cancel()
		after, retry := fault.Retryable(err)
		if err == nil || retry != c.retry || after != c.after {
			t.Errorf("%s: %v; retry %v after %v, want %v after %v", c.name, err, retry, after, c.retry, c.after)
		}
		credentials, refused := slices.Contains([]int{401, 403, 535}, c.reply.Status), slices.Contains([]int{400, 404, 413, 500, 550, 552, 554}, c.reply.Status) && !c.retry
		if errors.Is(err, notify.ErrCredentials) != credentials || errors.Is(err, notify.ErrRefused) != refused {
			t.Errorf("%s: %v; want credentials refused %v, message refused %v", c.name, err, credentials, refused)
		}
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Message == "" {
			t.Errorf("%s: %v has no message for the user", c.name, err)
		}
		if receipt.Status != c.reply.Status {
			t.Errorf("%s: the receipt says %d", c.name, receipt.Status)
		}
		if got := b.Sink.Count() - before; got != 1 {
			t.Errorf("%s: %d requests for one attempt", c.name, got)
		}
	}
}

func keepsSecrets(t *testing.T, b *bench) {
	replies := []Reply{{}, {Cut: true}, {Status: 500, Echo: true}, {Status: 550, Echo: true}}
	if !b.Mail {
		replies = append(replies, Reply{Status: 200, Echo: true}, Reply{Status: 400, Echo: true}, Reply{Status: 429, Echo: true},
			Reply{Status: 200, Body: fmt.Sprintf(`{"id":%q,"message_id":%q,"dedup_key":%q}`, Canary, Canary, Canary)})
	}
	quoted, _ := json.Marshal(Canary)
	forms := []string{Canary, url.QueryEscape(Canary), url.PathEscape(Canary), strings.Trim(string(quoted), `"`), base64.RawStdEncoding.EncodeToString([]byte(Canary))}
	for i, reply := range replies {
		b.Sink.Script(reply)
		receipt, err := b.driver.Send(t.Context(), Message())
		seen := fmt.Sprintf("%v %+v %q", err, receipt, receipt.Data)
		if err != nil {
			f := fault.Of(err)
			seen += fmt.Sprintf(" %s %v %+v", f.Message, f.Fields, f.Err)
		}
		for _, form := range forms {
			if strings.Contains(seen, form) {
				t.Errorf("reply %d: a secret is in %s", i, seen)
			}
		}
	}
}

func boundsAnswers(t *testing.T, b *bench) {
	if b.Mail {
		b.Sink.Always(Reply{Status: 250, Body: strings.Repeat("x", 100<<10)})
	}
	for _, reply := range []Reply{{Endless: true}, {Endless: true, Gzip: true}, {Endless: true, Status: 500}} {
		if !b.Mail {
			b.Sink.Script(reply)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		receipt, _ := b.driver.Send(ctx, Message())
		if ctx.Err() != nil {
			t.Errorf("%+v: read until the context ended", reply)
		}
		cancel()
		if len(receipt.Response) > 4<<10 || len(receipt.MessageID) > 1<<10 {
			t.Errorf("%+v: kept %d and %d bytes", reply, len(receipt.Response), len(receipt.MessageID))
		}
	}
}

func followsNoRedirect(t *testing.T, b *bench) {
	if b.Mail {
		t.Skip("SMTP has none")
	}
	elsewhere := NewWebhook(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		b.Sink.Script(Reply{Status: status, Header: http.Header{"Location": {elsewhere.URL}}})
		receipt, err := b.driver.Send(t.Context(), Message())
		if _, retry := fault.Retryable(err); err == nil || retry || receipt.Status != status {
			t.Errorf("%d: status %d, %v; want a final error", status, receipt.Status, err)
		}
	}
	if elsewhere.Count() != 0 {
		t.Errorf("%d redirects were followed", elsewhere.Count())
	}
}
