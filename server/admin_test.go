package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/db"
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

func TestDefinitionPages(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const valid = `{"version":"1.0","nodes":[{"id":"a","type":"step"}]}`

	t.Run("create, save, refuse the stale version and keep its text", func(t *testing.T) {
		if a := s.form("/admin/definitions/new", auth.Edit, url.Values{"name": {"blind"}, "config": {valid}}, false); a.header.Get("Location") != "/admin/definitions/new" {
			t.Errorf("who may not read is led to %s", a.header.Get("Location"))
		}
		a := s.form("/admin/definitions/new", auth.Admin, url.Values{"name": {"one"}, "config": {valid}, "active": {"yes"}, "message": {"first"}}, false)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/admin/definitions/one" {
			t.Fatalf("create: %d %s", a.status, a.body)
		}
		if again := s.form("/admin/definitions/new", auth.Edit, url.Values{"name": {"one"}, "config": {valid}}, false); again.status != http.StatusConflict || !strings.Contains(again.body, "Not saved") {
			t.Errorf("the same name again: %d", again.status)
		}
		second := strings.Replace(valid, `"a"`, `"b"`, 1)
		if a := s.form("/admin/definitions/one", auth.Edit, url.Values{"config": {second}, "expected_version": {"1"}, "active": {"yes"}}, false); a.status != http.StatusSeeOther {
			t.Fatalf("save: %d %s", a.status, a.body)
		}
		stale := s.form("/admin/definitions/one", auth.Edit, url.Values{"config": {strings.Replace(valid, `"a"`, `"mine"`, 1)}, "expected_version": {"1"}, "active": {"yes"}}, false)
		if stale.status != http.StatusConflict || !strings.Contains(stale.body, "saved version 2 while you were editing") || !strings.Contains(stale.body, "mine") ||
			!strings.Contains(stale.body, `name="expected_version" value="2"`) {
			t.Errorf("stale: %d, want the conflict, the text and the newest version", stale.status)
		}
		if d, err := s.store.Definition(t.Context(), "one"); err != nil || d.Version != 2 {
			t.Errorf("stored version %v, %v", d, err)
		}
	})

	t.Run("a document with errors is not saved and the line is named", func(t *testing.T) {
		bad := "{\n\"version\": \"1.0\",\n\"nodes\": [\n{\"id\": \"a\", \"type\": \"step\", \"next\": \"gone\"}\n]\n}"
		a := s.form("/admin/definitions/new", auth.Edit, url.Values{"name": {"bad"}, "config": {bad}}, false)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `data-line="4"`) {
			t.Errorf("%d, want 422 and line 4", a.status)
		}
		checks := s.form("/admin/validate", auth.Read, url.Values{"config": {bad}}, true)
		if checks.status != http.StatusOK || !strings.HasPrefix(checks.body, `<section class="card" id="checks"`) || !strings.Contains(checks.body, `data-line="4"`) || !strings.Contains(checks.body, "gone") {
			t.Errorf("checks: %d %.200s", checks.status, checks.body)
		}
	})

	t.Run("delete wants the name", func(t *testing.T) {
		s.define("gone", `[{"id":"a","type":"step"}]`)
		if a := s.form("/admin/definitions/gone/delete", auth.Edit, url.Values{"confirm": {"other"}, "expected_version": {"1"}}, false); a.status != http.StatusBadRequest {
			t.Errorf("wrong name: %d", a.status)
		}
		if a := s.form("/admin/definitions/gone/delete", auth.Edit, url.Values{"confirm": {"gone"}, "expected_version": {"1"}}, false); a.status != http.StatusSeeOther {
			t.Errorf("delete: %d", a.status)
		}
		if a := s.do(request{path: "/admin/definitions/gone", as: auth.Read}); a.status != http.StatusNotFound {
			t.Errorf("it is still there: %d", a.status)
		}
	})

	t.Run("run now leads to the run; a payload that is no JSON does not", func(t *testing.T) {
		s.define("now", `[{"id":"a","type":"step"}]`)
		if a := s.form("/admin/definitions/now/execute", auth.Operate, url.Values{"payload": {"{\n x"}}, false); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "line 2") {
			t.Errorf("bad payload: %d", a.status)
		}
		a := s.form("/admin/definitions/now/execute", auth.Operate, url.Values{"payload": {`{"n": 12345678901234567890}`}, "environment": {"staging"}}, false)
		id, ok := strings.CutPrefix(a.header.Get("Location"), "/admin/runs/")
		if a.status != http.StatusSeeOther || !ok {
			t.Fatalf("%d %v", a.status, a.header)
		}
		result, err := s.engine.Wait(t.Context(), id)
		if err != nil || result.Environment != "staging" || result.Trigger != "manual" {
			t.Errorf("%+v, %v", result, err)
		}
		form := s.do(request{path: "/admin/definitions/now/execute", as: auth.Operate})
		_, rest, _ := strings.Cut(form.body, `name="key" value="`)
		key, _, _ := strings.Cut(rest, `"`)
		start := func(environment string) string {
			values := url.Values{"payload": {"{}"}, "environment": {environment}, "key": {key}}
			return s.form("/admin/definitions/now/execute", auth.Operate, values, false).header.Get("Location")
		}
		first := start("")
		if first == "" || len(key) < 20 || start("") != first {
			t.Errorf("the same form twice is not one run: %q, key %q", first, key)
		}
		if start("staging") == first {
			t.Error("the form, gone back to and changed, starts nothing")
		}
		if page := s.do(request{path: "/admin/definitions/now/execute?from=" + id, as: auth.Operate}); !strings.Contains(page.body, "12345678901234567890") {
			t.Error("the payload of the earlier run is not offered exactly")
		}
	})
}

func TestIncidentPages(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	id, _ := s.incident()
	a := s.form("/admin/incidents/"+id+"/acknowledge", auth.Operate, nil, true)
	if a.status != http.StatusOK || strings.Contains(a.body, "<html") || !strings.Contains(a.body, "Acknowledged") || !strings.Contains(a.body, "by operate") {
		t.Errorf("acknowledge by HTMX: %d %.300s", a.status, a.body)
	}
	if a := s.form("/admin/incidents/"+id+"/resolve", auth.Operate, nil, false); a.status != http.StatusSeeOther || a.header.Get("Location") != "/admin/incidents/"+id {
		t.Errorf("resolve by form: %d %v", a.status, a.header)
	}
	page := s.do(request{path: "/admin/incidents/" + id, as: auth.Read})
	if !strings.Contains(page.body, "1 alert still fires") {
		t.Error("the page does not say that the alert of the resolved incident still fires")
	}
	if !strings.Contains(page.body, "Resolved") || strings.Contains(page.body, "/resolve") {
		t.Error("the page does not show it resolved, or offers to resolve it again")
	}
	for _, step := range []struct{ path, text, want string }{
		{"reopen", "", "reopened it"}, {"note", "it is <b>the log</b>", "it is &lt;b&gt;the log&lt;/b&gt;"}, {"close", "", "closed it"},
	} {
		if a := s.form("/admin/incidents/"+id+"/"+step.path, auth.Operate, url.Values{"text": {step.text}}, false); a.status != http.StatusSeeOther {
			t.Fatalf("%s: %d %.300s", step.path, a.status, a.body)
		}
		if page := s.do(request{path: "/admin/incidents/" + id, as: auth.Read}); !strings.Contains(page.body, step.want) {
			t.Errorf("after %s the timeline does not say %q", step.path, step.want)
		}
	}
	if a := s.form("/admin/incidents/"+id+"/note", auth.Operate, url.Values{"text": {" "}}, false); a.status != http.StatusBadRequest {
		t.Errorf("an empty note: %d", a.status)
	}
	list, err := s.store.Deliveries(t.Context(), db.DeliveryFilter{})
	must(t, err)
	again := s.form("/admin/deliveries/"+list.Items[0].ID+"/replay", auth.Operate, nil, false)
	if again.status != http.StatusSeeOther || again.header.Get("Location") == "/admin/deliveries/"+list.Items[0].ID {
		t.Errorf("replay: %d %v", again.status, again.header)
	}
	if viewer := s.do(request{path: "/admin/definitions", as: auth.Read}); strings.Contains(viewer.body, "New definition") {
		t.Error("a viewer is offered what the matrix refuses")
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

func TestSettingsForms(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	post := func(path string, values url.Values, want int) answer {
		t.Helper()
		a := s.form(path, auth.Admin, values, false)
		if a.status != want {
			t.Fatalf("POST %s %v: %d %.400s", path, values, a.status, a.body)
		}
		return a
	}
	hook := url.Values{"driver": {"generic"}, "name": {"hook"}, "active": {"yes"}, "config.endpoint": {"https://hook.example/"}, "config.headers": {"Authorization: Bearer hunter2\nX-Team: db"}}
	post("/admin/settings/channels/new", hook, http.StatusSeeOther)
	post("/admin/settings/channels/new", hook, http.StatusConflict)
	page := s.do(request{path: "/admin/settings/channels/hook", as: auth.Admin})
	if strings.Contains(page.body, "hunter2") || !strings.Contains(page.body, "Authorization: [secret]") || !strings.Contains(page.body, "https://hook.example/") {
		t.Error("the form shows a secret, or not what is stored")
	}
	post("/admin/settings/channels/hook", url.Values{"driver": {"generic"}, "config.endpoint": {"https://hook.example/"}, "config.headers": {"Authorization: [secret]"}}, http.StatusSeeOther)
	c, err := s.store.Channel(t.Context(), "hook")
	must(t, err)
	if c.IsActive || !strings.Contains(string(c.Config), "Authorization") || strings.Contains(string(c.Config), "X-Team") {
		t.Errorf("stored: active %v, %s", c.IsActive, c.Config)
	}
	if a := post("/admin/settings/channels/hook", url.Values{"driver": {"generic"}, "config.endpoint": {"ftp://x"}, "config.method": {"DANCE"}}, http.StatusUnprocessableEntity); !strings.Contains(a.body, "Not saved") {
		t.Error("a refused form does not say so")
	}
	post("/admin/settings/channels/hook/delete", url.Values{"confirm": {"other"}}, http.StatusBadRequest)
	post("/admin/settings/channels/hook/delete", url.Values{"confirm": {"hook"}}, http.StatusSeeOther)

	made := post("/admin/settings/tokens", url.Values{"name": {"sender"}, "scope": {"ingest"}}, http.StatusCreated)
	secret := regexp.MustCompile(`id="made">([^<]+)<`).FindStringSubmatch(made.body)
	if secret == nil || !strings.Contains(made.body, "/webhooks/alertmanager") || strings.Count(made.body, secret[1]) != 4 {
		t.Fatal("the token and the configurations with it are not shown")
	}
	if again := s.do(request{path: "/admin/settings/tokens", as: auth.Admin}); strings.Contains(again.body, secret[1]) || !strings.Contains(again.body, "sender") {
		t.Error("the token is shown a second time, or not listed")
	}
	post("/admin/settings/tokens", url.Values{"name": {"nothing"}}, http.StatusBadRequest)
	post("/admin/settings/tokens/sender/revoke", nil, http.StatusSeeOther)

	post("/admin/settings/users", url.Values{"name": {"ann"}, "password": {"correct horse battery"}, "role": {"viewer"}}, http.StatusSeeOther)
	post("/admin/settings/users", url.Values{"name": {"bob"}, "password": {"x"}, "role": {"viewer"}}, http.StatusBadRequest)
	post("/admin/settings/users/ann/role", url.Values{"role": {"editor"}}, http.StatusSeeOther)
	before, err := s.store.UserByName(t.Context(), "ann")
	must(t, err)
	post("/admin/settings/users/ann/password", url.Values{"password": {"short"}}, http.StatusBadRequest)
	post("/admin/settings/users/ann/password", url.Values{"password": {"another horse battery"}}, http.StatusSeeOther)
	post("/admin/settings/users/ann/disable", nil, http.StatusSeeOther)
	u, err := s.store.UserByName(t.Context(), "ann")
	must(t, err)
	if u.Role != "editor" || u.DisabledAt.IsZero() || u.PasswordHash == before.PasswordHash {
		t.Errorf("stored %+v", u)
	}
}

// TestShownRows: a page that is open keeps its rows, whatever their state is now, and counts what is new.
func TestShownRows(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, first := s.incident()
	page := s.do(request{path: "/admin/runs?status=completed", as: auth.Read})
	poll := regexp.MustCompile(`id="results" hx-get="([^"]+)"`).FindStringSubmatch(page.body)
	if poll == nil || !strings.Contains(page.body, "run-"+first) {
		t.Fatalf("no rows, or no address to read them again: %.500s", page.body)
	}
	s.define("plain", `[{"id":"look","type":"step"}]`)
	run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "plain"})
	must(t, err)
	_, err = s.engine.Wait(t.Context(), run.ID)
	must(t, err)
	again := s.do(request{path: html.UnescapeString(poll[1]), as: auth.Read, header: http.Header{"Hx-Request": {"true"}}})
	if !strings.Contains(again.body, "run-"+first) || strings.Contains(again.body, "run-"+run.ID) {
		t.Error("the rows of an open page moved")
	}
	if !strings.Contains(again.body, "1 new") || !strings.Contains(again.body, `href="/admin/runs?status=completed"`) {
		t.Errorf("the new run is not offered: %.600s", again.body)
	}
	if a := s.do(request{path: "/admin/runs/" + run.ID + "/json", as: auth.Read}); a.status != http.StatusOK || !strings.Contains(a.body, `"events":[{"sequence":1,`) || !strings.Contains(a.header.Get("Content-Disposition"), run.ID) {
		t.Errorf("download: %d %v %.300s", a.status, a.header, a.body)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	token, err := s.auth.SetupToken(t.Context())
	must(t, err)
	const password = "correct horse battery"
	cookies := func(a answer) http.Header {
		r := http.Response{Header: a.header}
		var kept []string
		for _, c := range r.Cookies() {
			if c.MaxAge >= 0 {
				kept = append(kept, c.Name+"="+c.Value)
			}
		}
		return http.Header{"Cookie": {strings.Join(kept, "; ")}}
	}
	if a := s.do(request{path: "/setup?token=wrong"}); a.status != http.StatusForbidden {
		t.Errorf("wrong link: %d", a.status)
	}
	if a := s.do(request{path: "/setup?token=" + token}); a.status != http.StatusOK {
		t.Fatalf("set-up page: %d", a.status)
	}
	if a := s.form("/setup", "", url.Values{"token": {token}, "name": {"ada"}, "password": {"short"}}, false); a.status != http.StatusBadRequest || !strings.Contains(a.body, "too short") {
		t.Errorf("short password: %d", a.status)
	}
	a := s.form("/setup", "", url.Values{"token": {token}, "name": {"ada"}, "password": {password}}, false)
	if a.status != http.StatusSeeOther {
		t.Fatalf("set up: %d %s", a.status, a.body)
	}
	session := cookies(a)
	if page := s.do(request{path: "/admin/", header: session}); page.status != http.StatusOK || !strings.Contains(page.body, `action="/logout"`) {
		t.Errorf("not signed in after set-up: %d", page.status)
	}
	if a := s.do(request{path: "/setup?token=" + token}); a.status != http.StatusForbidden {
		t.Errorf("set-up opens again: %d", a.status)
	}
	if a := s.form("/login", "", url.Values{"name": {"ada"}, "password": {"wrong wrong wrong"}}, false); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "wrong") {
		t.Errorf("wrong password: %d", a.status)
	}
	in := s.form("/login", "", url.Values{"name": {"ada"}, "password": {password}, "next": {"//evil.example"}}, false)
	if in.status != http.StatusSeeOther || in.header.Get("Location") != "/admin/" {
		t.Errorf("sign in: %d to %s", in.status, in.header.Get("Location"))
	}
	for next, want := range map[string]string{
		"/playground": "/playground", "/playground/?query=x": "/playground/?query=x", "/admin/runs?q=x": "/admin/runs?q=x",
		"/playgrounds": "/admin/", "/admin/../logout": "/admin/", "/admin/%2e%2e/logout": "/admin/", "/admin//evil.example": "/admin/", `/admin/\evil`: "/admin/",
		"https://evil.example/admin/": "/admin/", "//evil.example/admin/": "/admin/", "/orchestration/tokens/": "/admin/", "javascript:alert(1)": "/admin/",
	} {
		if a := s.do(request{path: "/login?next=" + url.QueryEscape(next), header: cookies(in)}); a.header.Get("Location") != want {
			t.Errorf("next=%s leads to %q, want %q", next, a.header.Get("Location"), want)
		}
	}
	elsewhere, in := cookies(in), s.form("/login", "", url.Values{"name": {"ada"}, "password": {password}}, false)
	change := func(old, fresh string) answer {
		header := cookies(in)
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.do(request{method: http.MethodPost, path: "/admin/settings/password", header: header, body: url.Values{"old": {old}, "password": {fresh}}.Encode()})
	}
	const fresh = "another horse battery"
	for problem, a := range map[string]answer{"present password is wrong": change("wrong wrong wrong", fresh), "too short": change(password, "short")} {
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, problem) {
			t.Errorf("a password that cannot be changed, %s: %d", problem, a.status)
		}
	}
	if in = change(password, fresh); in.status != http.StatusSeeOther {
		t.Fatalf("change the password: %d %.300s", in.status, in.body)
	}
	if a := s.do(request{path: "/admin/settings/account", header: cookies(in)}); a.status != http.StatusOK || !strings.Contains(a.body, "ada") {
		t.Errorf("who changed the password is not signed in any more: %d", a.status)
	}
	if a := s.do(request{path: "/admin/", header: elsewhere}); a.status != http.StatusSeeOther {
		t.Errorf("the other session goes on: %d", a.status)
	}
	out := request{method: http.MethodPost, path: "/logout", header: cookies(in)}
	if a := s.do(out); a.status != http.StatusSeeOther {
		t.Errorf("sign out: %d", a.status)
	}
	if a := s.do(request{path: "/admin/runs?q=x", header: cookies(in)}); a.status != http.StatusSeeOther || a.header.Get("Location") != "/login?next=%2Fadmin%2Fruns%3Fq%3Dx" {
		t.Errorf("after signing out: %d to %s", a.status, a.header.Get("Location"))
	}
}

func TestSettingsPage(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, _, err := s.engine.SaveChannel(t.Context(), engine.ChannelInput{Name: "hook", Driver: "generic", Config: []byte(`{"endpoint":"http://127.0.0.1:1/"}`)})
	must(t, err)
	if page := s.do(request{path: "/admin/settings", as: auth.Read}); !strings.Contains(page.body, "hook") || strings.Contains(page.body, "API tokens") {
		t.Error("a viewer sees the tokens, or does not see the channels")
	}
	dark := s.form("/admin/settings/theme", auth.Read, url.Values{"theme": {"dark"}}, false)
	if c := dark.header.Get("Set-Cookie"); dark.status != http.StatusSeeOther || !strings.HasPrefix(c, "penstock_theme=dark;") || !strings.Contains(c, "HttpOnly") {
		t.Errorf("theme: %d %s", dark.status, c)
	}
	page := s.do(request{path: "/admin/", as: auth.Read, header: http.Header{"Cookie": {"penstock_theme=dark"}}})
	if !strings.Contains(page.body, `data-theme="dark"`) {
		t.Error("the theme is not used")
	}
	if a := s.form("/admin/settings/theme", auth.Read, url.Values{"theme": {`"><b>`}}, false); a.status != http.StatusBadRequest {
		t.Errorf("odd theme: %d", a.status)
	}
}

func TestRunPages(t *testing.T) {
	t.Parallel()
	s := newStack(t)

	t.Run("a failed run opens the failed stage and is named by its short id", func(t *testing.T) {
		s.define("fails", `[{"id":"first","type":"step"},{"id":"fail","type":"step"}]`)
		run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "fails"})
		must(t, err)
		_, err = s.engine.Wait(t.Context(), run.ID)
		must(t, err)
		page := s.do(request{path: "/admin/runs/" + run.ID, as: auth.Read}).body
		short := run.ID[:4] + "…" + run.ID[len(run.ID)-6:]
		for _, want := range []string{`data-node="fail"`, "<title>fails " + short + " ", `aria-current="page">` + short + "<", "Failed (attempt 1): It was told to fail.", ">Failed</span>"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is missing", want)
			}
		}
	})

	t.Run("cancel takes a reason and says once who did it", func(t *testing.T) {
		s.define("hangs", `[{"id":"hang","type":"step"}]`)
		run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "hangs"})
		must(t, err)
		path := "/admin/runs/" + run.ID
		if a := s.form(path+"/cancel", auth.Operate, url.Values{"reason": {strings.Repeat("x", 301)}}, false); a.status != http.StatusBadRequest {
			t.Errorf("a reason without end: %d", a.status)
		}
		if a := s.form(path+"/cancel", auth.Operate, url.Values{"reason": {" wrong\n host "}}, false); a.status != http.StatusSeeOther {
			t.Fatalf("cancel: %d %s", a.status, a.body)
		}
		if stored, err := s.store.Run(t.Context(), run.ID); err != nil || stored.Error != "Cancelled by operate: wrong host" {
			t.Errorf("%q, %v", stored.Error, err)
		}
	})
}
