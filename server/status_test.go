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
