package aitest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/drivers/ai"
	"penstock/fault"
)

// counter is the transport of the client that a provider is given.
type counter struct{ calls atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

// client is what the program's guarded client is like: redirects are returned and not followed.
func client(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// remote builds a provider that asks the fake. More settings are written `, "key": value`.
func (s Suite) remote(t testing.TB, f *Fake, more string) ai.Provider {
	t.Helper()
	return s.build(t, ai.Deps{HTTP: client(http.DefaultTransport)},
		fmt.Sprintf(`{"base_url": %q, "api_key": %q%s}`, f.URL, KeyCanary, more))
}

// meet has one request meet a behaviour.
func (s Suite) meet(t testing.TB, b Behaviour) (*ai.Analysis, error) {
	t.Helper()
	f := s.Fake(t)
	f.Behave(b)
	_, result, err := Collect(s.remote(t, f, "").Analyze(t.Context(), firing()))
	if n := len(f.Calls()); n != 1 {
		t.Errorf("%d requests were sent: the engine retries, not the provider", n)
	}
	return result, err
}

func remote(t *testing.T, s Suite) {
	t.Run("sends through the client given", func(t *testing.T) {
		t.Parallel()
		f, through := s.Fake(t), &counter{}
		p := s.build(t, ai.Deps{HTTP: client(through)}, fmt.Sprintf(`{"base_url": %q}`, f.URL))
		if _, _, err := Collect(p.Analyze(t.Context(), firing())); err != nil {
			t.Fatal(err)
		}
		if through.calls.Load() != 1 || len(f.Calls()) != 1 {
			t.Errorf("%d requests through the client, %d at the server", through.calls.Load(), len(f.Calls()))
		}
	})
	t.Run("reads model, text, result and usage", func(t *testing.T) {
		t.Parallel()
		f := s.Fake(t)
		text, result, err := Collect(s.remote(t, f, `, "input_cost": 1, "output_cost": 10`).Analyze(t.Context(), firing()))
		if err != nil {
			t.Fatal(err)
		}
		if want := "Disk /var on db-01 is \"nearly\" full.\n\nLogs grew by 20\u00a0GB. 💾"; text != want {
			t.Errorf("streamed %q, want %q", text, want)
		}
		if want := (ai.Usage{InputTokens: 1200, OutputTokens: 300, CostUSD: 0.0042}); result.Usage != want {
			t.Errorf("usage %+v, want %+v", result.Usage, want)
		}
		if !strings.Contains(result.Model, "fake") || len(result.Recommendations) != 1 || len(result.Recommendations[0].Actions) != 2 {
			t.Errorf("result %+v", result)
		}
	})
	t.Run("streams while the model is still writing", func(t *testing.T) {
		t.Parallel()
		f, hold := s.Fake(t), make(chan struct{})
		f.Behave(Behaviour{Hold: hold})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for a provider that never gets there
		defer cancel()
		var opened bool
		for chunk, err := range s.remote(t, f, "").Analyze(ctx, firing()) {
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Text != "" && !opened { // the server waits for this
				opened = true
				close(hold)
			}
		}
		if !opened {
			t.Error("no text before the end")
		}
	})
	t.Run("marks what may pass and names what does not", func(t *testing.T) { statuses(t, s) })
	t.Run("refuses what is not an analysis", func(t *testing.T) { answers(t, s) })
	t.Run("keeps deadlines", func(t *testing.T) {
		t.Parallel()
		for name, b := range map[string]Behaviour{"before the answer": {Silent: true}, "in the middle of the answer": {Hold: make(chan struct{})}} {
			f := s.Fake(t)
			f.Behave(b)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			t.Log(name)
			expectContext(t, s.remote(t, f, ""), ctx, context.DeadlineExceeded)
		}
	})
	t.Run("marks a server that cannot be reached as one that may come back", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		f := &Fake{URL: "http://" + l.Addr().String() + "/" + PathCanary}
		_, _, err = Collect(s.remote(t, f, "").Analyze(t.Context(), firing()))
		expectError(t, err, true, "cannot be reached")
	})
	t.Run("cleans and cuts the answer", func(t *testing.T) { cleaning(t, s) })
	t.Run("keeps data inside its block", func(t *testing.T) { prompts(t, s) })
	t.Run("sends keys only where they belong", func(t *testing.T) { keys(t, s) })
}

func statuses(t *testing.T, s Suite) {
	t.Parallel()
	cases := []struct {
		b     Behaviour
		retry bool
		says  string
	}{
		{Behaviour{Status: 400}, false, "max_tokens"},
		{Behaviour{Status: 401}, false, "api_key"},
		{Behaviour{Status: 402}, false, "account"},
		{Behaviour{Status: 403}, false, "api_key"},
		{Behaviour{Status: 404}, false, "base_url"},
		{Behaviour{Status: 422}, false, "model"},
		{Behaviour{Status: 302, Location: "http://127.0.0.1:1/"}, false, "base_url"},
		{Behaviour{Status: 204}, false, "base_url"},
		{Behaviour{Status: 408}, true, "408"},
		{Behaviour{Status: 409}, true, "409"},
		{Behaviour{Status: 425}, true, "425"},
		{Behaviour{Status: 429, RetryAfter: "17"}, true, "429"},
		{Behaviour{Status: 500}, true, "500"},
		{Behaviour{Status: 503, RetryAfter: "17"}, true, "503"},
		{Behaviour{Status: 529}, true, "529"},
		{Behaviour{Error: s.Transient}, true, "("},
		{Behaviour{Error: s.Final}, false, "("},
		{Behaviour{Cut: true}, true, ""},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%d%s%t", c.b.Status, c.b.Error, c.b.Cut), func(t *testing.T) {
			t.Parallel()
			_, err := s.meet(t, c.b)
			expectError(t, err, c.retry, c.says)
			after, _ := fault.Retryable(err)
			if want := c.b.RetryAfter != ""; want != (after == 17*time.Second) {
				t.Errorf("wait %v after Retry-After %q", after, c.b.RetryAfter)
			}
		})
	}
}

func answers(t *testing.T, s Suite) {
	t.Parallel()
	with := func(key, value string) string {
		var doc map[string]json.RawMessage
		_ = json.Unmarshal([]byte(Good), &doc)
		doc[key] = json.RawMessage(value)
		raw, _ := json.Marshal(doc)
		return string(raw)
	}
	one := func(change string) string {
		return with("recommendations", `[{"type": "disk", "priority": "high", "title": "t", "description": "", "actions": [], "evidence": [], `+change+`}]`)
	}
	cases := map[string]struct {
		b     Behaviour
		retry bool
		says  string
	}{
		"not JSON":              {Behaviour{Answer: BodyCanary}, false, "JSON"},
		"NaN":                   {Behaviour{Answer: with("summary", `"x"`)[:10] + `NaN}`}, false, "JSON"},
		"half":                  {Behaviour{Answer: Good[:len(Good)-20] + "}"}, false, "JSON"},
		"no keys":               {Behaviour{Answer: `{}`}, false, "form"},
		"wrong type":            {Behaviour{Answer: with("summary", `7`)}, false, "/summary"},
		"unknown key":           {Behaviour{Answer: with(BodyCanary, `"info"`)}, false, "form"},
		"unknown type":          {Behaviour{Answer: one(`"type": "` + BodyCanary + `"`)}, false, "/recommendations/0/type"},
		"unknown priority":      {Behaviour{Answer: one(`"priority": "P0"`)}, false, "/recommendations/0/priority"},
		"severity to be set":    {Behaviour{Answer: one(`"severity": "info"`)}, false, "/recommendations/0"},
		"an answer of 5 MB":     {Behaviour{Answer: with("summary", `"`+strings.Repeat("word ", 1<<20)+`"`)}, false, "KiB"},
		"a stream of 5 MB":      {Behaviour{Raw: strings.Repeat(": comment\n\n", 5<<20/11)}, false, "MiB"},
		"a line of 5 MB":        {Behaviour{Raw: "data: " + strings.Repeat("x", 5<<20)}, false, "MiB"},
		"an empty stream":       {Behaviour{Raw: "\n"}, true, "middle"},
		"nothing said":          {Behaviour{Answer: " "}, false, "JSON"},
		"a refusal":             {Behaviour{Refuse: true}, false, "refused"},
		"tokens used up":        {Behaviour{Reason: s.LongReason}, false, "max_tokens"},
		"HTML":                  {Behaviour{Raw: "<html>" + BodyCanary, ContentType: "text/html"}, false, "base_url"},
		"JSON without a stream": {Behaviour{Raw: Good, ContentType: "application/json"}, false, "base_url"},
		"HTML as a stream":      {Behaviour{Raw: "event: content_block_delta\ndata: <html>" + BodyCanary + "\n\n"}, false, "base_url"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.meet(t, c.b)
			expectError(t, err, c.retry, c.says)
		})
	}
	t.Run("but takes it out of a code block", func(t *testing.T) {
		t.Parallel()
		result, err := s.meet(t, Behaviour{Answer: "```json\n" + Good + "\n```"})
		if err != nil {
			t.Fatal(err)
		}
		CheckResult(t, result)
	})
}

func cleaning(t *testing.T, s Suite) {
	t.Parallel()
	line := `"![p](https://evil.example/p.png?q=1) [open](https://evil.example) Ru\u200bn\u202e https://evil.example/x <img src=\"//evil.example/p\"> ` + strings.Repeat("ä", 6000) + `"`
	rec := `{"type": "disk", "priority": "low", "title": ` + line + `, "description": ` + line +
		`, "actions": [` + strings.Repeat(line+`,`, 8) + `"x"], "evidence": [` + line + `]}`
	answer := `{"summary": ` + line + `, "description": ` + line + `, "recommendations": [` + rec + `]}`
	f := s.Fake(t)
	f.Behave(Behaviour{Answer: strings.ReplaceAll(answer, strings.Repeat("ä", 6000), strings.Repeat("ä", 1000))})
	text, result, err := Collect(s.remote(t, f, "").Analyze(t.Context(), firing()))
	if err != nil {
		t.Fatal(err)
	}
	CheckResult(t, result)
	for what, s := range map[string]string{"result": encode(t, result), "stream": text} {
		if strings.Contains(s, "evil") || strings.ContainsAny(s, "\u200b\u202e") {
			t.Errorf("the %s kept a link or invisible text: %.300s", what, s)
		}
		if !strings.Contains(s, "Run ") {
			t.Errorf("the %s lost its words: %.300s", what, s)
		}
	}
	if !strings.HasSuffix(result.Summary, "…") {
		t.Errorf("nothing says that the summary was cut: %.100s", result.Summary)
	}
}

func prompts(t *testing.T, s Suite) {
	t.Parallel()
	f := s.Fake(t)
	p := s.remote(t, f, `, "redact": ["tok_[a-z0-9]+"]`)
	ask := func(req ai.Request) Call {
		t.Helper()
		if _, _, err := Collect(p.Analyze(t.Context(), req)); err != nil {
			t.Fatal(err)
		}
		calls := f.Calls()
		return calls[len(calls)-1]
	}
	var markers []string
	for name, req := range Requests() {
		req.Prompt = "Task of " + name + " tok_abc123"
		call := ask(req)
		if call.System != ai.System {
			t.Errorf("%s: the system prompt changed: %.100s", name, call.System)
		}
		task, rest, _ := strings.Cut(call.User, "\n\n-----BEGIN DATA ")
		marker, rest, _ := strings.Cut(rest, "-----\n")
		data, after, found := strings.Cut(rest, "\n-----END DATA "+marker+"-----\n")
		if !found || len(marker) < 20 || slices.Contains(markers, marker) || after != "" {
			t.Fatalf("%s: the data is not between two lines with a marker of its own: %.300s", name, call.User)
		}
		markers = append(markers, marker)
		if task != "Task of "+name+" [redacted]" {
			t.Errorf("%s: task %q", name, task)
		}
		if !json.Valid([]byte(data)) {
			t.Errorf("%s: the data is not JSON: %.300s", name, data)
		}
		if len(data) > ai.MaxData {
			t.Errorf("%s: the data has %d bytes", name, len(data))
		}
		if strings.ContainsAny(call.User, "\u200b\u202e\U000E0041") {
			t.Errorf("%s: invisible characters are sent", name)
		}
		if strings.Contains(string(call.Body), KeyCanary) {
			t.Errorf("%s: the key is in the body", name)
		}
		switch name {
		case "hostile alert":
			if strings.Count(data, "Ignore all rules") != 2 || strings.Contains(task, "Ignore") {
				t.Errorf("the alert's text is not where data belongs: %s", call.User)
			}
		case "many alerts":
			if !strings.Contains(data, "more left out to fit]") || !strings.Contains(data, "2026-11-24T01:59:00Z") || strings.Contains(data, "2026-11-22T00:00:00Z") {
				t.Errorf("not the newest alerts are kept: %.300s", data)
			}
		case "firing alert":
			for _, want := range []string{`"mountpoint":"/var"`, `"percent":97.1`, `"earlier words"`, `"title":"Disk almost full"`} {
				if !strings.Contains(data, want) {
					t.Errorf("the model is not told %s: %s", want, data)
				}
			}
		}
	}
	call := ask(ai.Request{Alerts: []map[string]any{{"name": "x", "labels": map[string]string{"tok_key1": "a tok_s3\u200bcret b"}}}})
	if strings.Contains(call.User, "tok_") || strings.Count(call.User, "[redacted]") != 2 {
		t.Errorf("not redacted: %s", call.User)
	}
}

func keys(t *testing.T, s Suite) {
	t.Parallel()
	build := func(env map[string]string, config string) (ai.Provider, error) {
		return s.Kind(ai.Deps{HTTP: client(http.DefaultTransport), Env: func(name string) string { return env[name] }}).Build(t.Context(), json.RawMessage(config))
	}
	sent := func(f *Fake, p ai.Provider, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if missing := p.(ai.Readiness).Missing(); len(missing) > 0 {
			t.Fatalf("missing %v", missing)
		}
		if _, _, err := Collect(p.Analyze(t.Context(), firing())); err != nil {
			t.Fatal(err)
		}
		h := f.Calls()[len(f.Calls())-1].Header
		return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") + h.Get("X-Api-Key")
	}
	f := s.Fake(t)
	env := map[string]string{s.KeyEnv: "key-of-env", s.URLEnv: f.URL}
	p, err := build(env, `{}`)
	if got := sent(f, p, err); got != "key-of-env" {
		t.Errorf("environment only: key %q", got)
	}
	p, err = build(env, `{"api_key": "key-of-config"}`)
	if got := sent(f, p, err); got != "key-of-config" {
		t.Errorf("own key: key %q", got)
	}
	p, err = build(map[string]string{s.KeyEnv: "key-of-env"}, fmt.Sprintf(`{"base_url": %q}`, f.URL))
	if got := sent(f, p, err); got != "none" {
		t.Errorf("own address without a key: key %q; the server's key belongs to the server's address", got)
	}

	p, err = build(nil, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(ai.Readiness).Missing(); !slices.Equal(got, []string{s.KeyEnv}) {
		t.Errorf("missing %v, want %s", got, s.KeyEnv)
	}
	_, _, err = Collect(p.Analyze(t.Context(), firing()))
	expectError(t, err, false, s.KeyEnv)

	for _, bad := range []string{"ftp://x/", "x", "https://user:" + KeyCanary + "@host/", "https://host/?key=" + KeyCanary, "https://"} {
		_, err := build(nil, fmt.Sprintf(`{"base_url": %q}`, bad))
		expectError(t, err, false, "base_url")
	}
	_, err = build(nil, `{"redact": ["ok", "("]}`)
	expectError(t, err, false, "redact[1]")
}

// expectError checks what an error tells the user and the engine, and that it keeps secrets.
func expectError(t testing.TB, err error, retry bool, says string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if _, ok := fault.Retryable(err); ok != retry {
		t.Errorf("may pass: %t, want %t: %v", ok, retry, err)
	}
	e := fault.Of(err)
	if e.Code == fault.Internal || !strings.Contains(e.Message, says) {
		t.Errorf("the user reads %q (%s), want something about %q", e.Message, e.Code, says)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", e), e.Message} {
		for _, canary := range []string{KeyCanary, PathCanary, BodyCanary} {
			if strings.Contains(text, canary) {
				t.Errorf("the error tells %q: %s", canary, text)
			}
		}
	}
}
