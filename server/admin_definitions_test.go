package server_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/engine"
)

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

func TestDefinitionLists(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, _, _, err := s.engine.SaveDefinition(t.Context(), engine.DefinitionInput{
		Name: "tagged", Config: []byte(`{"version":"1.0","nodes":[{"id":"first","type":"step"},{"id":"fail","type":"step"},{"id":"last","type":"step"}]}`), Tags: map[string]string{"team": "db"},
	})
	must(t, err)
	s.define("other", `[{"id":"a","type":"step"}]`)
	for range 2 {
		run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "tagged"})
		must(t, err)
		_, err = s.engine.Wait(t.Context(), run.ID)
		must(t, err)
	}
	list := s.do(request{path: "/admin/definitions?tag=team:db", as: auth.Read})
	if strings.Contains(list.body, `href="/admin/definitions/other"`) || strings.Count(list.body, "Failed 0") != 2 || !strings.Contains(list.body, `name="tag" value="team:db"`) {
		t.Errorf("the list by tag: %d", list.status)
	}
	if a := s.do(request{path: "/admin/definitions?tag=odd", as: auth.Read}); a.status != http.StatusBadRequest {
		t.Errorf("a tag without a value: %d", a.status)
	}
	page := s.do(request{path: "/admin/definitions/tagged", as: auth.Read})
	grid := regexp.MustCompile(`(?s)<table class="grid">.*?</table>`).FindString(page.body)
	for words, times := range map[string]int{`<th scope="row">`: 3, ">Succeeded<": 2, ">Failed<": 2, ", Failed<": 2} {
		if got := strings.Count(grid, words); got != times {
			t.Errorf("the grid has %d × %q, want %d", got, words, times)
		}
	}

	// A run of a webhook has the body of its delivery, here and where another run begins with it.
	_, webhook := s.incident()
	for _, path := range []string{"/admin/runs/" + webhook + "?node=take", "/admin/definitions/disk/execute?from=" + webhook} {
		if page := s.do(request{path: path, as: auth.Admin}); strings.Count(html.UnescapeString(page.body), `"alertname"`) == 0 {
			t.Errorf("%s does not show the payload: %d", path, page.status)
		}
	}
}
