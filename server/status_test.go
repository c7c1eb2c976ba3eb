package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"penstock/auth"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("slow", `[{"id":"hang","type":"step"}]`)
	s.do(request{method: "POST", path: "/orchestration/definitions/slow/execute/", as: auth.Operate, body: `{}`, header: map[string][]string{"Prefer": {"respond-async"}}})
	a := s.do(request{method: "GET", path: "/orchestration/status/", as: auth.Read})
	var got struct {
		Version, Database string
		Executors         int
		Backlog           struct {
			Pending, Running int
			OldestRun        struct {
				Definition, URL string
			} `json:"oldest_run"`
		}
		Store struct {
			Bytes int64
		}
	}
	must(t, json.Unmarshal([]byte(a.body), &got))
	oldest := got.Backlog.OldestRun
	if a.status != 200 || got.Database != "sqlite" || got.Executors != 1 || got.Backlog.Pending+got.Backlog.Running != 1 || oldest.Definition != "slow" || got.Store.Bytes == 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	_, path, _ := strings.Cut(oldest.URL, "/admin/")
	if page := s.do(request{method: "GET", path: "/admin/" + path, as: auth.Read}); page.status != 200 {
		t.Errorf("the oldest run's page %s: %d", oldest.URL, page.status)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	put := func(name, body string, want int) map[string]any {
		t.Helper()
		a := s.do(request{method: "PUT", path: "/orchestration/sources/" + name + "/", body: body, as: auth.Edit})
		if a.status != want {
			t.Fatalf("%s: %d %s, want %d", body, a.status, a.body, want)
		}
		return s.json(a)
	}
	made := put("berlin", `{"driver": "alertmanager", "expect_every_seconds": 300, "grace_seconds": 60}`, 201)
	if made["silent_since"] != nil || made["last_received_at"] != nil || made["is_active"] != true {
		t.Errorf("%v", made)
	}
	changed := put("berlin", `{"description": "Prometheus"}`, 200)
	if changed["expect_every_seconds"] != 300.0 || changed["driver"] != "alertmanager" || changed["description"] != "Prometheus" {
		t.Errorf("%v", changed)
	}
	put("berlin", `{"name": "paris"}`, 400)
	put("berlin", `{"expect_every_seconds": 3}`, 422)
	put("berlin", `{"expect_every": 300}`, 400)
	s.define("alerts", steps)
	if a := s.do(request{method: "POST", path: "/webhooks/berlin?definition=alerts", body: alertmanagerBody, as: auth.Ingest}); a.status != 202 {
		t.Errorf("its webhook: %d %s", a.status, a.body)
	}
	if a := s.do(request{method: "POST", path: "/webhooks/paris?definition=alerts", body: alertmanagerBody, as: auth.Ingest}); a.status != 422 || !strings.Contains(a.body, "berlin") {
		t.Errorf("an unknown webhook: %d %s", a.status, a.body)
	}
	if a := s.do(request{method: "GET", path: "/orchestration/sources/", as: auth.Read}); a.status != 200 || !strings.Contains(a.body, `"count":1`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for path, want := range map[string]int{"berlin": 204, "paris": 404} {
		if a := s.do(request{method: "DELETE", path: "/orchestration/sources/" + path + "/", as: auth.Edit}); a.status != want {
			t.Errorf("delete %s: %d %s", path, a.status, a.body)
		}
	}
	if a := s.do(request{method: "GET", path: "/orchestration/sources/berlin/", as: auth.Read}); a.status != 404 {
		t.Errorf("after it was deleted: %d", a.status)
	}
}
