package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/nodes/nodetest"
)

const incident = `{"id": "incident-1", "title": "DiskFull on db-1", "status": "open", "severity": "critical", "name": "DiskFull", "host": "db-1",
	"source": "alertmanager", "summary": "Disk /var on db-1 is full", "alert_count": 2, "firing_count": 2, "started_at": "2026-11-22T11:20:00Z",
	"resolved_at": null, "acknowledged_by": "ada", "url": "https://penstock.example.com/admin/incidents/incident-1"}`

func firing(t testing.TB) []map[string]any {
	t.Helper()
	return []map[string]any{
		nodetest.Object(t, `{"name": "DiskFull", "host": "db-1", "status": "firing", "severity": "critical", "summary": "Disk /var on db-1 is full",
			"description": "97 % used.\nGrows by 1 GB an hour.", "starts_at": "2026-11-22T11:20:00Z", "url": "https://prometheus.example.com/graph",
			"labels": {"alertname": "DiskFull", "severity": "critical", "team": "db", "mountpoint": "/var"},
			"links": [{"text": "Runbook", "url": "https://runbooks.example.com/disk"}]}`),
		nodetest.Object(t, `{"name": "DiskFull", "host": "db-1", "status": "firing", "severity": "warning", "summary": "Disk /opt fills up",
			"starts_at": "2026-11-22T11:40:00Z", "url": "https://prometheus.example.com/graph", "labels": {"mountpoint": "/opt"},
			"links": [{"text": "Runbook", "url": "https://runbooks.example.com/disk"}]}`),
	}
}

// about is the input of a run about an incident.
func about(t testing.TB, w *nodetest.World) engine.Input {
	t.Helper()
	in := nodetest.Input(w)
	in.Incident, in.Alerts = nodetest.Object(t, incident), firing(t)
	in.Run.IncidentID, in.Run.Source, in.Run.URL = "incident-1", "alertmanager", "https://penstock.example.com/admin/runs/run-1"
	return nodetest.With(in)
}

func openaiResult(t testing.TB) engine.UpstreamResult {
	t.Helper()
	return nodetest.Result(t, "analyze", "intelligence", `{"provider": "openai", "model": "gpt-test", "summary": "Logs fill /var.", "description": "A log rotation is missing.",
		"count": 2, "fallback_used": false, "fallback_reason": "", "recommendations": [
		{"type": "disk", "priority": "medium", "title": "Rotate the logs", "description": "They are never rotated.", "actions": ["Install logrotate"], "evidence": ["disk 97 %"]},
		{"type": "disk", "priority": "critical", "title": "Free space on db-1", "description": "Writes will fail.", "actions": ["Delete old logs", "Extend the volume"], "evidence": []}]}`)
}

func rulesResult(t testing.TB) engine.UpstreamResult {
	t.Helper()
	return nodetest.Result(t, "rules", "intelligence", `{"provider": "local", "model": "rules", "summary": "Disk is full.", "description": "Looked at 2 firing alerts.", "count": 1,
		"fallback_used": true, "fallback_reason": "OpenAI canary", "recommendations": [
		{"type": "disk", "priority": "high", "title": "Disk full on db-1", "description": "No space is left.", "actions": ["du -xh /var"], "evidence": ["alert name DiskFull"]}]}`)
}

func contextResult(t testing.TB, hostname string) engine.UpstreamResult {
	t.Helper()
	return nodetest.Result(t, "metrics", "context", `{"host": "`+hostname+`", "collected_at": "2026-11-22T12:00:00Z", "metrics_included": [], "system": {
		"cpu": {"percent": 93.5, "count": 4, "count_logical": 8, "per_cpu": [93.5]},
		"memory": {"total_gb": 16, "available_gb": 4.2, "used_gb": 11.8, "percent": 73.75, "swap_total_gb": 2, "swap_used_gb": 1, "swap_percent": 50},
		"disk": [{"path": "/", "total_gb": 100, "used_gb": 40, "free_gb": 60, "percent": 40}, {"path": "/gone", "error": "cannot be read: no such file or directory"}],
		"processes": [{"pid": 12, "name": "postgres", "cpu_percent": 180.2, "memory_percent": 31.4}],
		"load": {"load1": 7.5, "load5": 6, "load15": 2.25},
		"network": {"received_mb_per_s": 1.5, "sent_mb_per_s": 0.25, "interfaces": []},
		"host": {"hostname": "db-1", "platform": "debian", "platform_version": "12", "booted_at": "2026-11-01T00:00:00Z"},
		"inodes": {"path": "/", "total": 100, "used": 12, "free": 88, "percent": 12},
		"temperature": [{"sensor": "core", "celsius": 61}]}}`)
}

// send runs the node and returns the one message that it sent, which a second run repeats.
func send(t testing.TB, config string, w *nodetest.World, in engine.Input) (notify.Message, engine.Output) {
	t.Helper()
	out, err := nodetest.Run(t, nodeType(t, "notify"), config, in)
	if err != nil {
		t.Fatal(err)
	}
	sent := w.Sent()
	if len(sent) != 2 || sent[0].Message.Text != sent[1].Message.Text || sent[0].Message.Key != sent[1].Message.Key {
		t.Fatalf("sent %d messages, or they differ: %+v", len(sent), sent)
	}
	return sent[0].Message, out
}

// sketch is a message as a golden file shows it.
func sketch(m notify.Message) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "title: %s\nseverity: %s\naction: %s\nstatus: %s\nhost: %s\nsource: %s\nurl: %s\n", m.Title, m.Severity, m.Action, m.Status, m.Host, m.Source, m.URL)
	fmt.Fprintf(&b, "since: %s\nkey: %s\ndedup: %s\nto: %s\ntags: %v\ncontext: %v\n", m.Since.Format("2006-01-02T15:04:05Z"), m.Key, m.DedupKey, m.Channel, m.Tags, m.Context)
	for _, f := range m.Facts {
		fmt.Fprintf(&b, "fact: %s = %s\n", f.Name, f.Value)
	}
	for _, l := range m.Links {
		fmt.Fprintf(&b, "link: %s %s\n", l.Text, l.URL)
	}
	fmt.Fprintf(&b, "incident: %t, alerts: %d\n---\n%s\n", m.Incident != nil, len(m.Alerts), m.Text)
	return []byte(b.String())
}

func TestMessages(t *testing.T) {
	t.Parallel()
	filtered := func(t *testing.T) engine.UpstreamResult {
		return nodetest.Result(t, "cut", "transform", `{"source_node": "analyze", "unverified": true, "transformed": [
			{"type": "disk", "priority": "critical", "title": "Free space on db-1", "description": "Writes will fail.", "actions": ["Delete old logs"], "evidence": []}]}`)
	}
	for name, c := range map[string]struct {
		config string
		in     func(t *testing.T, w *nodetest.World) engine.Input
	}{
		"incident alone": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input { return about(t, w) }},
		"incident, AI, rules and context": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(about(t, w), openaiResult(t), rulesResult(t), contextResult(t, "db-1.example.com"))
		}},
		"checks": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w),
				nodetest.Result(t, "bad", "check", `{"host": "penstock-1", "checks": [{"name": "cpu", "status": "ok", "message": "CPU is at 3 %."}, {"name": "disk /", "status": "warning", "message": "The disk of / is at 90 %; the limit is 85 %."}]}`),
				nodetest.Result(t, "good", "check", `{"host": "penstock-1", "checks": [{"name": "cpu", "status": "ok", "message": "CPU is at 3 %."}]}`),
				nodetest.Result(t, "failed", "check", ""))
		}},
		"figures of another machine": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(about(t, w), contextResult(t, "penstock-1"))
		}},
		"resolved": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			in := about(t, w)
			in.Incident["status"], in.Incident["resolved_at"], in.Incident["firing_count"] = "resolved", "2026-11-22T11:55:00Z", int64(0)
			in.Alerts = in.Alerts[:1]
			in.Alerts[0]["status"] = "resolved"
			return nodetest.With(in)
		}},
		"AI without an incident": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w), openaiResult(t), contextResult(t, "db-1"))
		}},
		"rules without an incident": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w), rulesResult(t))
		}},
		"filtered recommendations stand for the analysis": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w), filtered(t), openaiResult(t), contextResult(t, "db-1"))
		}},
		"nothing passes the filter": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w), nodetest.Result(t, "cut", "transform", `{"source_node": "analyze", "transformed": []}`), openaiResult(t))
		}},
		"mapped figures": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			return nodetest.With(nodetest.Input(w),
				nodetest.Result(t, "cut", "transform", `{"source_node": "metrics", "transformed": {"cpu": 93.5, "mem": null, "disks": [{"path": "/", "percent": 40}, "x"], "names": ["a", "b"]}}`),
				contextResult(t, "db-1"))
		}},
		"a failed analysis is said, its error is not": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			failed := nodetest.Result(t, "analyze", "intelligence", "")
			failed.Errors = []string{"canary of the vendor"}
			return nodetest.With(about(t, w), failed)
		}},
		"payload alone": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			in := nodetest.Input(w)
			in.Payload = map[string]any{"title": "Nightly backup failed", "size": int64(3), "none": nil}
			return nodetest.With(in)
		}},
		"nothing at all": {`{"channel": "ops"}`, func(t *testing.T, w *nodetest.World) engine.Input {
			in := nodetest.Input(w)
			in.Run.Environment = "staging"
			return in
		}},
		"templates": {
			`{"channel": "ops", "title": "{{ incident.name }} in {{ run.environment }}", "message": "CPU {{ nodes.metrics.output.system.cpu.percent }} %: {{ nodes.analyze.output.summary }}", "severity": "{{ alert.severity == 'critical' ? 'error' : 'info' }}"}`,
			func(t *testing.T, w *nodetest.World) engine.Input {
				return nodetest.With(about(t, w), openaiResult(t), contextResult(t, "db-1"))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &nodetest.World{Channels: map[string]string{"ops": "slack"}}
			m, _ := send(t, c.config, w, c.in(t, w))
			if text := string(sketch(m)); strings.Contains(text, "canary") {
				t.Errorf("the error of an analyser is told:\n%s", text)
			}
			golden(t, "messages/"+strings.NewReplacer(" ", "_", ",", "").Replace(name), sketch(m))
		})
	}
}

// Alert text is data: it appears as it is, whatever it looks like.
func TestAlertTextIsNotEvaluated(t *testing.T) {
	t.Parallel()
	const nasty = `{{ 7*7 }} ${jndi:x} {{ .secrets }} $(id) #{1+1} %s%n <b> nodes.metrics.output`
	w := &nodetest.World{Channels: map[string]string{"ops": "slack"}}
	in := about(t, w)
	in.Alerts[0]["summary"], in.Incident["title"] = nasty, nasty
	in.Alerts[0]["labels"] = map[string]any{nasty: nasty}
	in = nodetest.With(in, nodetest.Result(t, "cut", "transform", `{"source_node": "x", "transformed": {"text": "{{ 7*7 }}"}}`))
	built, _ := send(t, `{"channel": "ops"}`, w, in)
	filled := &nodetest.World{Channels: w.Channels}
	in.Services = filled
	templated, _ := send(t, `{"channel": "ops", "title": "{{ incident.title }}", "message": "{{ alert.summary }} {{ alert.labels }}"}`, filled, in)
	for _, m := range []notify.Message{built, templated} {
		if !strings.HasPrefix(m.Title, nasty) || !strings.Contains(m.Text, nasty) || strings.Contains(m.Title+m.Text, "49") {
			t.Errorf("title %q, text:\n%s", m.Title, m.Text)
		}
	}
	if !strings.Contains(built.Text, "text: {{ 7*7 }}") {
		t.Errorf("a transformed value is changed:\n%s", built.Text)
	}
}

func TestTemplatesThatFailDoNotStopAPage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ config, title, severity, note string }{
		"missing key leaves the built title": {`"title": "{{ payload.nothing }}"`, "DiskFull on db-1", "critical", "title is empty, so the built one was used."},
		"an expression that fails":           {`"title": "{{ 1 / size(nodes) + 0 / 0 }}"`, "DiskFull on db-1", "critical", "The built one was used."},
		"no severity":                        {`"severity": "very bad"`, "DiskFull on db-1", "critical", `severity: "very bad" is none of critical, error, warning, info, so it stayed critical.`},
		"an AI does not decide the severity": {`"severity": "{{ nodes.analyze.output.recommendations[0].priority }}"`, "DiskFull on db-1", "critical", "severity: an AI never decides that of an incident, so it stayed critical in spite of the output of analyze."},
		"a word of another system":           {`"severity": "P3"`, "DiskFull on db-1", "warning", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &nodetest.World{Channels: map[string]string{"ops": "slack"}}
			m, out := send(t, `{"channel": "ops", `+c.config+`}`, w, nodetest.With(about(t, w), openaiResult(t)))
			if m.Title != c.title || string(m.Severity) != c.severity || !strings.Contains(strings.Join(out.Errors, "\n"), c.note) || (c.note == "") != (len(out.Errors) == 0) {
				t.Errorf("title %q, severity %s, notes %q", m.Title, m.Severity, out.Errors)
			}
		})
	}
}

// A model that obeys the alert changes nothing but the text with its label.
func TestAIDecidesNothing(t *testing.T) {
	t.Parallel()
	w := &nodetest.World{Channels: map[string]string{"ops": "slack", "quiet": "slack"}}
	obedient := nodetest.Result(t, "analyze", "intelligence", `{"provider": "openai", "summary": "All is well; severity info; send to quiet", "recommendations": [
		{"priority": "low", "title": "Ignore it", "severity": "info", "channel": "quiet", "driver": "console", "status": "resolved"}]}`)
	m, out := send(t, `{"channel": "ops"}`, w, nodetest.With(about(t, w), obedient))
	if m.Title != "DiskFull on db-1" || m.Severity != alerts.Critical || m.Action != notify.Trigger || out.Data["channel"] != "ops" || w.Sent()[0].Channel != "ops" {
		t.Errorf("message %+v to %v", m, out.Data)
	}
	if !strings.Contains(m.Text, "Analysis by openai – AI, unverified:\nAll is well") {
		t.Errorf("the analysis is not labelled:\n%s", m.Text)
	}
}

func TestNotifyTargets(t *testing.T) {
	t.Parallel()
	stored := map[string]string{"ops": "slack", "default": "slack", "pagerduty": "pagerduty"}
	for name, c := range map[string]struct {
		config   string
		channels map[string]string
		driver   string // it was sent by
		stored   string // with the settings of the channel
		to       string // destination
		output   string // the channel of the output
		err      string
	}{
		"stored channel":             {`{"channel": "ops"}`, stored, "slack", "ops", "", "ops", ""},
		"settings in the node":       {`{"driver": "generic", "driver_config": {"endpoint": "https://example.com"}}`, nil, "generic", "", "", "", ""},
		"settings and destination":   {`{"driver": "email", "channel": "a@example.com", "driver_config": {"host": "mail"}}`, stored, "email", "", "a@example.com", "a@example.com", ""},
		"default channel":            {`{"driver": "slack"}`, stored, "slack", "default", "", "default", ""},
		"channel named like driver":  {`{"driver": "pagerduty"}`, stored, "pagerduty", "pagerduty", "", "pagerduty", ""},
		"destination of the default": {`{"driver": "slack", "channel": "#incidents"}`, stored, "slack", "default", "#incidents", "#incidents", ""},
		"driver without settings":    {`{"driver": "console"}`, stored, "console", "", "", "", ""},
		"no channel configured":      {`{"driver": "slack"}`, nil, "", "", "", "", "No channel is configured for slack: create one named"},
		"channel that is gone":       {`{"channel": "ops"}`, nil, "", "", "", "ops", `There is no channel "ops".`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &nodetest.World{Channels: c.channels, Needs: map[string][]string{"slack": {"webhook_url"}}}
			out, err := nodetest.Run(t, nodeType(t, "notify"), c.config, nodetest.Input(w))
			if c.err != "" {
				if err == nil || !strings.Contains(fault.Of(err).Message, c.err) || out.Data["status"] != "failed" || len(w.Sent()) > 0 {
					t.Errorf("error %v, output %v", err, out.Data)
				}
				return
			}
			if err != nil || len(w.Sent()) == 0 {
				t.Fatalf("error %v, sent %v", err, w.Sent())
			}
			sent := w.Sent()[0]
			if sent.Driver != c.driver || sent.Channel != c.stored || sent.Message.Channel != c.to {
				t.Errorf("sent %+v", sent)
			}
			if out.Data["driver"] != c.driver || out.Data["channel"] != c.output || out.Data["status"] != "success" || out.Data["message_id"] != "message-1" || out.Data["response"] != "ok" || len(out.Data) != 5 {
				t.Errorf("output %v", out.Data)
			}
		})
	}
}

func TestNotifyFails(t *testing.T) {
	t.Parallel()
	w := &nodetest.World{Channels: map[string]string{"ops": "slack"}, Fails: map[string]error{
		"slack": fault.Retry(fault.New(fault.Unavailable, "The receiver answered 503."), 3),
	}}
	out, err := nodetest.Run(t, nodeType(t, "notify"), `{"channel": "ops"}`, nodetest.Input(w))
	if after, ok := fault.Retryable(err); !ok || after != 3 {
		t.Errorf("error %v", err)
	}
	if out.Data["status"] != "failed" || out.Data["response"] != "it said no" || out.Data["driver"] != "slack" {
		t.Errorf("output %v", out.Data)
	}
}

// An alert about a channel takes another one; without another, the failure is seen.
func TestNotifyAboutAChannel(t *testing.T) {
	t.Parallel()
	alarm := func(w *nodetest.World, channel string) engine.Input {
		in := about(t, w)
		in.Incident = nodetest.Object(t, `{"id": "i", "title": "ChannelFailing on ops", "status": "open", "severity": "critical", "source": "penstock"}`)
		in.Alerts = []map[string]any{nodetest.Object(t, `{"name": "ChannelFailing", "labels": {"channel": "`+channel+`"}}`)}
		return nodetest.With(in)
	}
	for name, c := range map[string]struct {
		channels    map[string]string
		about, sent string
	}{
		"the channel itself": {map[string]string{"mail": "email", "ops": "slack"}, "ops", "mail"},
		"another channel":    {map[string]string{"mail": "email", "ops": "slack"}, "mail", "ops"},
		"the console":        {map[string]string{"mail": "email", "ops": "console"}, "chat", "mail"},
		"no other":           {map[string]string{"ops": "slack"}, "ops", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &nodetest.World{Channels: c.channels}
			out, err := nodetest.Run(t, nodeType(t, "notify"), `{"channel": "ops"}`, alarm(w, c.about))
			if c.sent == "" {
				if err == nil || out.Data["status"] != "failed" || len(w.Sent()) > 0 {
					t.Errorf("error %v, output %v", err, out.Data)
				}
				return
			}
			if err != nil || len(w.Sent()) == 0 || w.Sent()[0].Channel != c.sent || out.Data["channel"] != c.sent {
				t.Errorf("error %v, sent %+v, output %v", err, w.Sent(), out.Data)
			}
		})
	}
}

// What ends one occurrence must not end the next.
func TestNotifyDedupKey(t *testing.T) {
	t.Parallel()
	for occurrence, want := range map[string]string{"1": "penstock/incident-1", "2": "penstock/incident-1/2"} {
		w := &nodetest.World{Channels: map[string]string{"ops": "pagerduty"}}
		in := about(t, w)
		in.Incident = nodetest.Object(t, strings.Replace(incident, "{", `{"occurrence": `+occurrence+`, `, 1))
		if m, _ := send(t, `{"channel": "ops"}`, w, nodetest.With(in)); m.DedupKey != want {
			t.Errorf("occurrence %s: %q, want %q", occurrence, m.DedupKey, want)
		}
	}
}

func TestNotifySkipped(t *testing.T) {
	t.Parallel()
	w := &nodetest.World{Channels: map[string]string{"ops": "slack"}, Skip: "It is over."}
	out, err := nodetest.Run(t, nodeType(t, "notify"), `{"channel": "ops"}`, about(t, w))
	if err != nil || out.Data["status"] != "skipped" || out.Data["reason"] != "It is over." {
		t.Errorf("error %v, output %v", err, out.Data)
	}
}

// Settings written in the node stay in the node: not in the output, not in an error, not in the message.
func TestNotifyKeepsSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-the-settings"
	config := `{"driver": "generic", "driver_config": {"endpoint": "https://example.com/` + canary + `", "headers": {"X-Key": "` + canary + `"}}}`
	for _, fails := range []error{nil, errors.New("broken"), fault.New(fault.Unprocessable, "The receiver answered 401.")} {
		w := &nodetest.World{Fails: map[string]error{"generic": fails}}
		out, err := nodetest.Run(t, nodeType(t, "notify"), config, about(t, w))
		if text := fmt.Sprint(out, err, w.Sent()[0].Message); strings.Contains(text, canary) {
			t.Errorf("the canary gets out: %s", text)
		}
	}
}

func TestNotifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := &nodetest.World{Channels: map[string]string{"ops": "slack"}}
	node, err := nodeType(t, "notify").Build([]byte(`{"channel": "ops"}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := node.Run(ctx, nodetest.Input(w)); !errors.Is(err, context.Canceled) || len(w.Sent()) > 0 {
		t.Errorf("error %v, sent %v", err, w.Sent())
	}
}

func TestNotifyIssues(t *testing.T) {
	t.Parallel()
	channels := map[string]definition.Channel{
		"ops":     {Driver: "slack", IsActive: true},
		"off":     {Driver: "slack"},
		"empty":   {Driver: "email", IsActive: true, Missing: []string{"host", "to"}},
		"new":     {Driver: "console", IsActive: true, Untested: true},
		"generic": {Driver: "generic", IsActive: true},
		"email":   {Driver: "email", IsActive: false},
		"default": {Driver: "pagerduty", IsActive: true, Untested: true},
	}
	for config, want := range map[string]string{
		`{}`:                                    `error missing_key /channel: Nothing says where the message goes.`,
		`{"driver_config": {}}`:                 `error missing_key /driver: driver_config needs driver`,
		`{"channel": "nowhere"}`:                `error unknown_channel /channel: There is no channel "nowhere". Stored channels: default, email, empty, generic, new, off, ops.`,
		`{"channel": "off"}`:                    `warning inactive_channel /channel`,
		`{"channel": "empty"}`:                  `warning missing_setting /channel: The channel "empty" cannot send until it has host, to.`,
		`{"channel": "new"}`:                    `warning untested_channel /channel`,
		`{"channel": "ops"}`:                    ``,
		`{"driver": "generic"}`:                 ``,
		`{"driver": "console"}`:                 ``,
		`{"driver": "pagerduty"}`:               `warning untested_channel /driver`,
		`{"driver": "email"}`:                   `warning missing_setting /driver: No channel is configured for E-mail: store one named "email" or "default" with this driver, or write driver_config with host, from, to. Until then the node fails.`,
		`{"driver": "slack", "channel": "ops"}`: `warning bad_value /channel: "ops" is also the name of a stored channel.`,
		`{"channel": "ops", "message": "{{ nodes.later.output }}"}`: `error unknown_node /message`,
		`{"channel": "ops", "title": "{{ incident."}`:               `error bad_template /title`,
		`{"channel": "ops", "severity": "{{ foo }}"}`:               `line 1, column 4: undeclared reference to 'foo'`,
		`{"channel": "ops", "colour": "red"}`:                       `error unknown_key /colour`,
	} {
		got := issues(t, "notify", config, channels)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\nissues: %s\nwant: %s", config, got, want)
		}
	}
	if got := issues(t, "notify", `{"channel": "ops"}`, nil); !strings.Contains(got, "No channel is stored yet; create it first.") {
		t.Errorf("issues: %s", got)
	}
}
