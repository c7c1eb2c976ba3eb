package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/engine"
)

// form sends a form as a browser does; htmx asks for the fragment.
func (s *stack) form(path string, as auth.Scope, values url.Values, htmx bool) answer {
	s.t.Helper()
	q := request{method: http.MethodPost, path: path, as: as, body: values.Encode(), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	if q.body == "" {
		q.body = "_="
	}
	if htmx {
		q.header["Hx-Request"] = []string{"true"}
	}
	return s.do(q)
}

const alert = `{"version":"4","status":"firing","receiver":"r","groupKey":"g","externalURL":"http://am.example","groupLabels":{},"commonLabels":{},"commonAnnotations":{},
"alerts":[{"status":"firing","labels":{"alertname":"Disk<b>","instance":"db-1:9100","severity":"critical"},"annotations":{"summary":"<script>alert(1)</script>"},
"startsAt":"2026-11-22T20:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"javascript:alert(1)","fingerprint":"abc"}]}`

// incident makes one by an alert and returns its id and the run's.
func (s *stack) incident() (incidentID, runID string) {
	s.t.Helper()
	s.define("disk", `[{"id":"take","type":"ingest"},{"id":"look","type":"step"}]`)
	a := s.do(request{method: http.MethodPost, path: "/orchestration/pipeline/sync/?definition=disk", as: auth.Ingest, body: alert})
	doc := s.json(a)
	incidentID, _ = doc["incident_id"].(string)
	runID, _ = doc["run_id"].(string)
	if incidentID == "" || runID == "" {
		s.t.Fatalf("no incident: %d %s", a.status, a.body)
	}
	return incidentID, runID
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	incident, run := s.incident()
	alerts, err := s.store.AlertsByIncident(t.Context(), []string{incident})
	must(t, err)
	alertID, deliveryID := alerts[incident][0].ID, alerts[incident][0].DeliveryID
	_, _, err = s.engine.SaveChannel(t.Context(), engine.ChannelInput{Name: "hook", Driver: "generic", Config: []byte(`{"endpoint":"https://hook.example/"}`)})
	must(t, err)
	_, _, err = s.engine.SaveSource(t.Context(), engine.SourceInput{Name: "berlin"})
	must(t, err)
	for _, path := range []string{
		"/admin/", "/admin", "/admin/runs", "/admin/runs?status=completed&q=disk", "/admin/runs/" + run, "/admin/runs/" + run + "?node=look",
		"/admin/incidents", "/admin/incidents?status=all", "/admin/incidents/" + incident, "/admin/definitions", "/admin/definitions?state=inactive",
		"/admin/alerts", "/admin/alerts?status=all&severity=critical", "/admin/alerts/" + alertID, "/admin/deliveries", "/admin/deliveries/" + deliveryID, "/admin/notifications", "/admin/notifications?status=failed",
		"/admin/definitions/new", "/admin/definitions/disk", "/admin/definitions/disk?version=1", "/admin/definitions/disk/execute", "/admin/settings",
		"/admin/settings/channels/new", "/admin/settings/channels/new?driver=generic", "/admin/settings/channels/hook", "/admin/settings/sources/new", "/admin/settings/sources/berlin", "/admin/settings/providers", "/admin/settings/account", "/admin/settings/about", "/admin/settings/tokens", "/admin/settings/users", "/admin/settings/schedules", "/admin/search", "/admin/search?q=disk", "/admin/search?q=" + run,
	} {
		t.Run(path, func(t *testing.T) {
			a := s.do(request{path: path, as: auth.Admin})
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("%d %s: %.300s", a.status, a.header.Get("Content-Type"), a.body)
			}
			if a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.header.Get("Vary"), "HX-Request") {
				t.Errorf("headers %v", a.header)
			}
			if !strings.HasSuffix(a.body, "</html>") || strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "Disk<b>") {
				t.Error("not a whole page, or text of an alert became markup")
			}
			part := s.do(request{path: path, as: auth.Admin, header: http.Header{"Hx-Request": {"true"}}})
			if !strings.Contains(path, "execute") && !strings.Contains(path, "/settings") && path != "/admin/alerts/"+alertID && path != "/admin/deliveries/"+deliveryID && (part.body == "" || strings.Contains(part.body, "<html")) {
				t.Errorf("HTMX gets %.80q, want a fragment", part.body)
			}
		})
	}
	for path, want := range map[string]int{
		"/admin/runs/none": 404, "/admin/runs/" + run + "?node=none": 404, "/admin/incidents/none": 404, "/admin/alerts/none": 404, "/admin/deliveries/none": 404, "/admin/alerts?status=odd": 400, "/admin/deliveries?status=odd": 400, "/admin/notifications?status=odd": 400, "/admin/definitions/none": 404,
		"/admin/definitions/disk?version=9": 404, "/admin/runs?status=odd": 400, "/admin/runs?trigger=odd": 400, "/admin/incidents?severity=odd": 400, "/admin/definitions?state=odd": 400, "/admin/incidents?status=odd": 400, "/admin/runs?after=forged": 400, "/admin/none": 404,
	} {
		if a := s.do(request{path: path, as: auth.Admin}); a.status != want || !strings.Contains(a.body, "data-error") || !strings.Contains(a.body, `aria-label="Main"`) {
			t.Errorf("%s: %d, want the page of error %d with the navigation", path, a.status, want)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	incident, run := s.incident()
	for q, want := range map[string]string{
		run: `href="/admin/runs/` + run, incident: `href="/admin/incidents/` + incident, "DISK": `href="/admin/definitions/disk"`, "db-1": `href="/admin/incidents/` + incident, "failed": `href="/admin/runs?status=failed"`,
	} {
		if a := s.do(request{path: "/admin/search?q=" + url.QueryEscape(q), as: auth.Read, header: http.Header{"Hx-Request": {"true"}}}); !strings.Contains(a.body, want) {
			t.Errorf("%q does not lead to %s: %.300s", q, want, a.body)
		}
	}
	if a := s.do(request{path: "/admin/search?q=users", as: auth.Read, header: http.Header{"Hx-Request": {"true"}}}); strings.Contains(a.body, "/admin/settings/users") {
		t.Error("a viewer is led to what the matrix refuses")
	}
}
