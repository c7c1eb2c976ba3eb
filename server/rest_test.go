package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/auth"
	"penstock/engine"
)

const alertmanagerBody = `{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"r","alerts":[
 {"status":"firing","labels":{"alertname":"Down","instance":"db-1:9100","severity":"critical"},"annotations":{"summary":"db-1 is down"},
  "startsAt":"2026-11-22T18:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"abc"}]}`

const steps = `[{"id":"ingest","type":"ingest"},{"id":"tell","type":"step"}]`

func TestReceive(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("alerts", steps)
	s.define("plain", `[{"id":"one","type":"step"}]`)
	s.define("slow", `[{"id":"hang","type":"step"}]`)

	t.Run("answers 202 with ids", func(t *testing.T) {
		a := s.do(request{method: "POST", path: "/orchestration/pipeline/?definition=alerts", body: alertmanagerBody, as: auth.Ingest})
		doc := s.json(a)
		if a.status != 202 || doc["definition"] != "alerts" || doc["status"] != "accepted" || doc["run_id"] == nil || doc["delivery_id"] == "" || doc["trace_id"] == "" || len(doc) != 5 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	for _, test := range []struct {
		rule string
		q    request
		want int
	}{
		{"works without the trailing slash", request{path: "/orchestration/pipeline?definition=alerts", body: alertmanagerBody}, 202},
		{"takes a declared source", request{path: "/webhooks/alertmanager?definition=alerts", body: alertmanagerBody}, 202},
		{"takes it with the trailing slash", request{path: "/webhooks/alertmanager/?definition=alerts", body: alertmanagerBody}, 202},
		{"takes the wrapper", request{path: "/orchestration/pipeline/?definition=alerts", body: `{"driver":"alertmanager","payload":` + alertmanagerBody + `}`}, 202},
		{"404 for an unknown definition", request{path: "/orchestration/pipeline/?definition=nowhere", body: alertmanagerBody}, 404},
		{"400 for broken JSON", request{path: "/orchestration/pipeline/?definition=alerts", body: `{"alerts":[`}, 400},
		{"400 for a wait that is none", request{path: "/orchestration/pipeline/?definition=plain&wait=soon", body: `{}`}, 400},
		{"422 for a body without an alert", request{path: "/webhooks/alertmanager?definition=alerts", body: `{"version":"4","groupKey":"x","alerts":[]}`}, 422},
		{"413 above 1 MiB", request{path: "/orchestration/pipeline/?definition=plain", body: `{"a":"` + strings.Repeat("x", 1<<20) + `"}`}, 413},
		{"415 for plain text", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Type": {"text/plain"}}}, 415},
		{"415 for a form", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, 415},
		{"415 for no type", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Type": nil}}, 415},
		{"415 for UTF-16", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Type": {"application/json; charset=utf-16"}}}, 415},
		{"415 for an encoded body", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Encoding": {"gzip"}}}, 415},
		{"takes UTF-8 said aloud", request{path: "/orchestration/pipeline/?definition=plain", body: `{}`, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}}, 202},
	} {
		t.Run(test.rule, func(t *testing.T) {
			test.q.method, test.q.as = "POST", auth.Ingest
			a := s.do(test.q)
			if a.status != test.want {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if doc := s.json(a); a.status >= 400 && (doc["error"] == nil || strings.Contains(a.body, "db-1")) {
				t.Errorf("%s", a.body)
			}
		})
	}
	t.Run("waits when asked", func(t *testing.T) {
		for _, q := range []request{
			{path: "/orchestration/pipeline/?definition=plain", header: http.Header{"Prefer": {"wait=20"}}},
			{path: "/orchestration/pipeline/?definition=plain&wait=20s"},
			{path: "/orchestration/pipeline/?definition=plain&wait=20"},
			{path: "/orchestration/pipeline/sync/?definition=plain"},
		} {
			q.method, q.body, q.as = "POST", `{"n":1}`, auth.Ingest
			a := s.do(q)
			doc := s.json(a)
			if a.status != 200 || doc["status"] != "completed" || doc["definition"] != "plain" {
				t.Errorf("%s: %d %s", q.path, a.status, a.body)
			}
		}
	})
	t.Run("answers 202 in the same shape when the wait is over", func(t *testing.T) {
		start := time.Now()
		a := s.do(request{method: "POST", path: "/orchestration/pipeline/sync/?definition=slow&wait=100ms", body: `{}`, as: auth.Ingest})
		doc := s.json(a)
		if a.status != 202 || doc["run_id"] == "" || doc["executed_nodes"] == nil || time.Since(start) > 10*time.Second {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const path = "/orchestration/definitions/disk-full/"
	put := func(body string) answer {
		return s.do(request{method: "PUT", path: path, body: body, as: auth.Edit})
	}
	const config = `{"version":"1.0","nodes":[{"id":"a","type":"step"}]}`

	a := put(`{"config":` + config + `,"description":"d","tags":{"team":"db"},"message":"first"}`)
	doc := s.json(a)
	if a.status != 201 || doc["version"] != 1.0 || doc["name"] != "disk-full" || a.header.Get("Location") != path || doc["is_active"] != true {
		t.Fatalf("create: %d %s %v", a.status, a.body, a.header)
	}
	for _, key := range []string{"name", "description", "version", "is_active", "node_count", "tags", "created_by", "created_at", "updated_at", "config"} {
		if _, ok := doc[key]; !ok {
			t.Errorf("no %s in %s", key, a.body)
		}
	}
	if doc["created_by"] != "edit" {
		t.Errorf("created by %v", doc["created_by"])
	}
	if a = put(`{"config":{"version":"1.0","nodes":[{"id":"a","type":"step"},{"id":"b","type":"step"}]},"expected_version":1}`); a.status != 200 || s.json(a)["version"] != 2.0 {
		t.Errorf("replace: %d %s", a.status, a.body)
	}
	if doc = s.json(a); doc["description"] != "d" || fmt.Sprint(doc["tags"]) != "map[team:db]" {
		t.Errorf("what was left out is gone: %s", a.body)
	}
	if a = put(`{"config":` + config + `,"expected_version":1}`); a.status != 409 {
		t.Errorf("stale: %d %s", a.status, a.body)
	}
	a = put(`{"config":{"version":"1.0","nodes":[{"id":"a","type":"nothing"}]}}`)
	if doc = s.json(a); a.status != 422 || doc["error"] == nil || len(doc["errors"].([]any)) == 0 {
		t.Fatalf("invalid: %d %s", a.status, a.body)
	}
	issue := doc["errors"].([]any)[0].(map[string]any)
	if issue["path"] != "/nodes/0/type" || issue["code"] != "unknown_type" || issue["message"] == "" || issue["severity"] != "error" {
		t.Errorf("issue: %v", issue)
	}
	for rule, bad := range map[string]string{
		"unknown key": `{"config":` + config + `,"active":true}`,
		"other name":  `{"config":` + config + `,"name":"else"}`,
		"tags list":   `{"config":` + config + `,"tags":["a"]}`,
		"twice":       `{"config":` + config + `,"config":` + config + `}`,
		"not JSON":    `config`,
	} {
		if a := put(bad); a.status != 400 || s.json(a)["error"] == "" {
			t.Errorf("%s: %d %s", rule, a.status, a.body)
		}
	}

	s.define("other", `[{"id":"a","type":"step"}]`)
	must(t, s.setActive("other", false))
	list := func(query string) (names []string, doc map[string]any) {
		doc = s.json(s.do(request{path: "/orchestration/definitions/" + query, as: auth.Read}))
		for _, d := range doc["definitions"].([]any) {
			names = append(names, d.(map[string]any)["name"].(string))
		}
		slices.Sort(names)
		return names, doc
	}
	if names, doc := list(""); !slices.Equal(names, []string{"disk-full", "other"}) || doc["count"] != 2.0 {
		t.Errorf("all: %v", doc)
	}
	if names, doc := list("?active=true"); !slices.Equal(names, []string{"disk-full"}) || doc["count"] != 1.0 {
		t.Errorf("active: %v", doc)
	}
	if a := s.do(request{path: "/orchestration/definitions/?active=maybe", as: auth.Read}); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}

	validate := func(name, body string) answer {
		return s.do(request{method: "POST", path: "/orchestration/definitions/" + name + "/validate/", body: body, as: auth.Read})
	}
	a = validate("disk-full", "")
	if doc = s.json(a); a.status != 200 || doc["valid"] != true || doc["name"] != "disk-full" || doc["errors"] == nil || doc["warnings"] == nil {
		t.Errorf("stored: %d %s", a.status, a.body)
	}
	a = validate("draft", `{"config":{"version":"1.0","nodes":[]}}`)
	if doc = s.json(a); a.status != 200 || doc["valid"] != false || len(doc["errors"].([]any)) == 0 {
		t.Errorf("draft: %d %s", a.status, a.body)
	}
	if a = validate("nowhere", ""); a.status != 404 {
		t.Errorf("unknown: %d %s", a.status, a.body)
	}

	del := func() answer { return s.do(request{method: "DELETE", path: path, as: auth.Edit}) }
	if a = s.do(request{method: "DELETE", path: path + "?expected_version=1", as: auth.Edit}); a.status != 409 {
		t.Errorf("delete stale: %d %s", a.status, a.body)
	}
	if a = del(); a.status != 204 || a.body != "" {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a = del(); a.status != 404 {
		t.Errorf("delete again: %d %s", a.status, a.body)
	}
	if a = s.do(request{path: path, as: auth.Read}); a.status != 404 {
		t.Errorf("get deleted: %d %s", a.status, a.body)
	}
}

func (s *stack) setActive(name string, active bool) error {
	_, _, _, err := s.engine.SaveDefinition(s.t.Context(), engine.DefinitionInput{Name: name, IsActive: &active, MustExist: true})
	return err
}

func TestExecute(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("two", `[{"id":"a","type":"step"},{"id":"b","type":"step"}]`)
	s.define("fails", `[{"id":"fail","type":"step","max_retries":0},{"id":"after","type":"step"}]`)
	s.define("slow", `[{"id":"hang","type":"step"}]`)
	s.define("off", `[{"id":"a","type":"step"}]`)
	must(t, s.setActive("off", false))
	execute := func(name, body string, header http.Header) answer {
		return s.do(request{method: "POST", path: "/orchestration/definitions/" + name + "/execute/", body: body, as: auth.Operate, header: header})
	}

	t.Run("answers with the result", func(t *testing.T) {
		a := execute("two", `{"payload":{"big":12345678901234567890},"source":"cron","trace_id":"t-1","environment":"staging"}`, nil)
		var r engine.RunResult
		must(t, json.Unmarshal([]byte(a.body), &r))
		if a.status != 200 || r.Status != "completed" || r.Source != "cron" || r.TraceID != "t-1" || r.Environment != "staging" || r.Definition != "two" || r.DefinitionVersion != 1 || !slices.Equal(r.ExecutedNodes, []string{"a", "b"}) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if doc := s.json(a); doc["skipped_nodes"] == nil || doc["incident_id"] != nil || doc["error"] != nil {
			t.Errorf("%s", a.body)
		}
		if a.header.Get("Location") != "/orchestration/pipeline/"+r.RunID+"/" {
			t.Errorf("Location %q", a.header.Get("Location"))
		}
		got := s.do(request{path: "/orchestration/pipeline/" + r.RunID + "/", as: auth.Read})
		if got.status != 200 || got.body != a.body {
			t.Errorf("the detail differs from the answer:\n%s\n%s", got.body, a.body)
		}
	})
	t.Run("a failed run is 200 with its status", func(t *testing.T) {
		a := execute("fails", "", nil)
		doc := s.json(a)
		if a.status != 200 || doc["status"] != "failed" || doc["error"] == nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		a = s.do(request{method: "POST", path: "/orchestration/pipeline/" + doc["run_id"].(string) + "/resume/", as: auth.Operate})
		if again := s.json(a); a.status != 202 || again["run_id"] != doc["run_id"] {
			t.Errorf("resume: %d %s", a.status, a.body)
		}
	})
	t.Run("respond-async answers at once", func(t *testing.T) {
		a := execute("slow", `{}`, http.Header{"Prefer": {"respond-async"}})
		if doc := s.json(a); a.status != 202 || doc["run_id"] == "" || doc["executed_nodes"] == nil {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("a cancelled run says by whom and why, and keeps it", func(t *testing.T) {
		id := s.json(execute("slow", `{}`, http.Header{"Prefer": {"respond-async"}}))["run_id"].(string)
		cancel := request{method: "POST", path: "/orchestration/pipeline/" + id + "/cancel/", as: auth.Operate, body: `{"reason": "wrong one"}`}
		a := s.do(cancel)
		doc := s.json(a)
		if text, _ := doc["error"].(string); a.status != 200 || doc["status"] != "cancelled" || !strings.HasSuffix(text, ": wrong one") {
			t.Fatalf("%d %s", a.status, a.body)
		}
		cancel.body = ""
		if a := s.do(cancel); a.status != 200 || s.json(a)["error"] != doc["error"] {
			t.Errorf("again: %d %s", a.status, a.body)
		}
		cancel.path = "/orchestration/pipeline/" + s.json(execute("two", `{}`, nil))["run_id"].(string) + "/cancel/"
		if a := s.do(cancel); a.status != 409 {
			t.Errorf("a completed run: %d %s", a.status, a.body)
		}
	})
	t.Run("the same Idempotency-Key is the same run", func(t *testing.T) {
		header := http.Header{"Idempotency-Key": {"k1"}}
		first, second := s.json(execute("two", `{}`, header)), s.json(execute("two", `{}`, header))
		if first["run_id"] != second["run_id"] {
			t.Errorf("%v and %v", first["run_id"], second["run_id"])
		}
	})
	for rule, test := range map[string]struct {
		name, body string
		want       int
	}{
		"404 unknown":          {"nowhere", `{}`, 404},
		"404 inactive":         {"off", `{}`, 404},
		"400 broken JSON":      {"two", `{`, 400},
		"400 unknown key":      {"two", `{"payloads":{}}`, 400},
		"422 unknown incident": {"two", `{"incident_id":"nope"}`, 422},
	} {
		t.Run(rule, func(t *testing.T) {
			if a := execute(test.name, test.body, nil); a.status != test.want || s.json(a)["error"] == "" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("resuming a completed run is a conflict, an unknown one is not found", func(t *testing.T) {
		id := s.json(execute("two", `{}`, nil))["run_id"].(string)
		if a := s.do(request{method: "POST", path: "/orchestration/pipeline/" + id + "/resume/", as: auth.Operate}); a.status != 409 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := s.do(request{method: "POST", path: "/orchestration/pipeline/0199/resume/", as: auth.Operate}); a.status != 404 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestRunList(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("ok", `[{"id":"a","type":"step"}]`)
	s.define("bad", `[{"id":"fail","type":"step","max_retries":0}]`)
	var ids []string
	for i := range 3 {
		a := s.do(request{method: "POST", path: "/orchestration/definitions/ok/execute/", body: fmt.Sprintf(`{"source":"s%d"}`, i), as: auth.Operate})
		ids = append([]string{s.json(a)["run_id"].(string)}, ids...)
	}
	failed := s.json(s.do(request{method: "POST", path: "/orchestration/definitions/bad/execute/", as: auth.Operate}))["run_id"].(string)

	list := func(query string) (got []string, next any) {
		doc := s.json(s.do(request{path: "/orchestration/pipelines/" + query, as: auth.Read}))
		for _, p := range doc["pipelines"].([]any) {
			got = append(got, p.(map[string]any)["run_id"].(string))
		}
		if doc["count"] != float64(len(got)) {
			t.Errorf("count %v of %d", doc["count"], len(got))
		}
		return got, doc["next"]
	}
	all := append([]string{failed}, ids...)
	if got, next := list(""); !slices.Equal(got, all) || next != nil {
		t.Errorf("newest first: %v, want %v, next %v", got, all, next)
	}
	if got, _ := list("?status=failed"); !slices.Equal(got, []string{failed}) {
		t.Errorf("failed: %v", got)
	}
	if got, _ := list("?status=completed,failed"); len(got) != 4 {
		t.Errorf("two statuses: %v", got)
	}
	if got, _ := list("?source=s1"); !slices.Equal(got, ids[1:2]) {
		t.Errorf("source: %v", got)
	}
	var paged []string
	for after := ""; ; {
		got, next := list("?limit=3&after=" + after)
		paged = append(paged, got...)
		if next == nil {
			break
		}
		after = next.(string)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("paged: %v", paged)
	}
	for _, bad := range []string{"?limit=0", "?limit=1000000000", "?limit=x", "?status=done", "?after=forged"} {
		if a := s.do(request{path: "/orchestration/pipelines/" + bad, as: auth.Read}); a.status != 400 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	status := http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"id":"m-1"}`))
	}))
	t.Cleanup(receiver.Close)
	const path = "/orchestration/channels/ops/"
	const canary = "canary-secret-value"

	a := s.do(request{method: "PUT", path: path, as: auth.Edit, body: fmt.Sprintf(
		`{"driver":"generic","config":{"endpoint":%q,"headers":{"X-Key":%q}},"description":"d"}`, receiver.URL, canary)})
	if a.status != 201 || s.json(a)["driver"] != "generic" || strings.Contains(a.body, canary) {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	for _, q := range []request{{path: path}, {path: "/orchestration/channels/"}} {
		q.as = auth.Read
		if a := s.do(q); a.status != 200 || strings.Contains(a.body, canary) || !strings.Contains(a.body, `"name":"ops"`) {
			t.Errorf("%s: %d %s", q.path, a.status, a.body)
		}
	}
	a = s.do(request{method: "POST", path: path + "test/", as: auth.Edit})
	doc := s.json(a)
	if a.status != 200 || doc["status"] != "success" || !strings.HasPrefix(doc["request"].(string), "POST 127.0.0.1:") || doc["message_id"] != "m-1" || doc["response_code"] != 200.0 || doc["response"] != `{"id":"m-1"}` {
		t.Errorf("test: %d %s", a.status, a.body)
	}
	exchanges, _ := doc["exchanges"].([]any)
	if len(exchanges) != 1 {
		t.Fatalf("test: %s", a.body)
	}
	sent := exchanges[0].(map[string]any)
	if request, answered := fmt.Sprint(sent["request"]), fmt.Sprint(sent["answer"]); !strings.Contains(request, "Test message from Penstock") || !strings.Contains(request, "[secret]") || strings.Contains(a.body, canary) || !strings.HasPrefix(answered, "HTTP/1.1 200 OK") {
		t.Errorf("not exactly what was sent and answered, or a secret: %s\n%s", request, answered)
	}
	status = http.StatusForbidden
	a = s.do(request{method: "POST", path: path + "test/", as: auth.Edit})
	if doc = s.json(a); a.status != 422 || doc["status"] != "failed" || doc["error"] == nil || doc["response_code"] != 403.0 || strings.Contains(a.body, canary) {
		t.Errorf("failed test: %d %s", a.status, a.body)
	}
	if doc = s.json(s.do(request{path: path, as: auth.Read})); doc["test_error"] == "" || doc["tested_at"] == nil {
		t.Errorf("the outcome is not kept: %v", doc)
	}
	if a = s.do(request{method: "PUT", path: path, as: auth.Edit, body: `{"driver":"pigeon","config":{}}`}); a.status != 422 && a.status != 404 {
		t.Errorf("unknown driver: %d %s", a.status, a.body)
	}
	if a = s.do(request{method: "DELETE", path: path, as: auth.Edit}); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a = s.do(request{method: "POST", path: path + "test/", as: auth.Edit}); a.status != 404 {
		t.Errorf("test of nothing: %d %s", a.status, a.body)
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const list = "/orchestration/notifications/"
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s.do(request{method: "PUT", path: "/orchestration/channels/ops/", as: auth.Edit, body: fmt.Sprintf(`{"driver":"generic","config":{"endpoint":%q}}`, receiver.URL)})
	s.do(request{method: "PUT", path: "/orchestration/definitions/tell/", as: auth.Edit, body: `{"config":{"version":"1.0","nodes":[{"id":"tell","type":"tell"}]}}`})
	a := s.do(request{method: "POST", path: "/orchestration/definitions/tell/execute/", as: auth.Operate, body: `{}`})
	run, _ := s.json(a)["run_id"].(string)
	a = s.do(request{path: list + "?status=sent,failed&channel=ops&limit=1&run_id=" + run, as: auth.Read})
	doc := s.json(a)
	rows, _ := doc["notifications"].([]any)
	if a.status != 200 || doc["count"] != 1.0 || len(rows) != 1 {
		t.Fatalf("list: %d %s", a.status, a.body)
	}
	row := rows[0].(map[string]any)
	if row["run_id"] != run || row["node_id"] != "tell" || row["status"] != "sent" || row["kind"] != "trigger" || row["attempts"] != 1.0 || row["sent_at"] == nil || row["ended_at"] != nil {
		t.Errorf("row %v", row)
	}
	doc = s.json(s.do(request{path: list + row["id"].(string) + "/", as: auth.Read}))
	attempts, _ := doc["attempt_list"].([]any)
	if len(attempts) != 1 || attempts[0].(map[string]any)["outcome"] != "sent" || attempts[0].(map[string]any)["latency_ms"] == nil {
		t.Errorf("detail %v", doc)
	}
	for path, want := range map[string]int{"/orchestration/deliveries/?status=lost": 400, "/orchestration/deliveries/?status=rejected": 200, list + "?status=lost": 400, list + "?limit=0": 400, list + "nothing/": 404, list + "?run_id=other": 200} {
		if a := s.do(request{path: path, as: auth.Read}); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	a := s.do(request{method: "POST", path: "/orchestration/tokens/", as: auth.Admin, body: `{"name":"alertmanager","scopes":["ingest"]}`})
	made := s.json(a)
	if a.status != 201 || !strings.HasPrefix(made["token"].(string), "pst_") || made["created_by"] != "admin" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.tokens["made"] = made["token"].(string)
	if a := s.do(request{path: "/orchestration/pipelines/", as: "made"}); a.status != 403 {
		t.Errorf("the token can read: %d", a.status)
	}
	if a := s.do(request{path: "/orchestration/tokens/", as: auth.Admin}); a.status != 200 || strings.Contains(a.body, s.tokens["made"]) || !strings.Contains(a.body, "alertmanager") {
		t.Errorf("list: %d %s", a.status, a.body)
	}
	if a := s.do(request{method: "POST", path: "/orchestration/tokens/", as: auth.Admin, body: `{"name":"x","scopes":["root"]}`}); a.status != 400 {
		t.Errorf("unknown scope: %d %s", a.status, a.body)
	}
	if a := s.do(request{method: "DELETE", path: "/orchestration/tokens/alertmanager/", as: auth.Admin}); a.status != 204 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := s.do(request{path: "/orchestration/pipelines/", as: "made"}); a.status != 401 {
		t.Errorf("a revoked token is known: %d", a.status)
	}
	if a := s.do(request{method: "DELETE", path: "/orchestration/tokens/admin/", as: auth.Admin}); a.status != 409 {
		t.Errorf("an administrator can lock himself out: %d", a.status)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	a := s.do(request{path: "/schemas/pipeline-1.0.json", as: auth.Ingest})
	if doc := s.json(a); a.status != 200 || doc["$schema"] == nil || !strings.HasPrefix(a.header.Get("Content-Type"), "application/schema+json") {
		t.Errorf("%d %s", a.status, a.header)
	}
}
