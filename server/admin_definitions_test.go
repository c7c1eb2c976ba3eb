package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"penstock/auth"
)

func TestDefinitionTags(t *testing.T) {
	s := newStack(t)
	const valid = `{"version":"1.0","nodes":[{"id":"a","type":"step"}]}`
	save := func(tags ...string) answer {
		form := url.Values{"config": {valid}, "active": {"yes"}, "expected_version": {"1"}}
		if tags != nil {
			form["tags"] = tags
		}
		return s.form("/admin/definitions/tagged", auth.Edit, form, false)
	}
	stored := func(want map[string]string) {
		t.Helper()
		if d, err := s.store.Definition(t.Context(), "tagged"); err != nil || !maps.Equal(d.Tags, want) {
			t.Errorf("tags %v, %v; want %v", d.Tags, err, want)
		}
	}
	if a := s.form("/admin/definitions/new", auth.Edit, url.Values{"name": {"tagged"}, "config": {valid}, "tags": {" team: db ,tier:1,"}}, false); a.status != http.StatusSeeOther {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	stored(map[string]string{"team": "db", "tier": "1"})
	if page := s.do(request{path: "/admin/definitions/tagged", as: auth.Admin}); !strings.Contains(page.body, `value="team:db, tier:1"`) {
		t.Error("the editor does not show the tags")
	}
	save() // a form without tags keeps them
	stored(map[string]string{"team": "db", "tier": "1"})
	save("tier:2")
	stored(map[string]string{"tier": "2"})
	for _, bad := range []string{"odd", ":x", "a:1, a:2"} {
		if a := save(bad); a.status != http.StatusBadRequest || !strings.Contains(a.body, "Not saved") || !strings.Contains(a.body, url.QueryEscape(bad)) && !strings.Contains(a.body, `value="`+bad+`"`) {
			t.Errorf("%q: %d, want it refused and kept in the field", bad, a.status)
		}
	}
	save("")
	stored(map[string]string{})

	// A value with a comma was written by a program: saving something else leaves it alone.
	s.define("listed", `[{"id":"a","type":"step"}]`)
	if a := s.do(request{method: "PUT", path: "/orchestration/definitions/listed/", as: auth.Edit, body: `{"tags":{"teams":"db, web"}}`}); a.status != http.StatusOK {
		t.Fatalf("tags by REST: %d %s", a.status, a.body)
	}
	s.form("/admin/definitions/listed", auth.Edit, url.Values{"config": {valid}, "tags": {"teams:db, web"}, "description": {"new"}, "expected_version": {"1"}}, false)
	if d, err := s.store.Definition(t.Context(), "listed"); err != nil || d.Tags["teams"] != "db, web" || d.Description != "new" {
		t.Errorf("%v %q, %v", d.Tags, d.Description, err)
	}
}

func TestDefinitionTabs(t *testing.T) {
	s := newStack(t)
	s.define("on", `[{"id":"a","type":"step"}]`)
	a := s.do(request{path: "/admin/definitions?tag=team:db&q=x", as: auth.Read})
	for _, want := range []string{`href="/admin/definitions?q=x&amp;state=inactive&amp;tag=team%3Adb"`, `href="/admin/definitions?q=x"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the list does not lead to %s", want)
		}
	}
}

// Whose session has ended is told so when a form is sent, and that sending it again is enough.
func TestSignedOutForm(t *testing.T) {
	s := newStack(t)
	a := s.do(request{method: "POST", path: "/admin/definitions/new", body: "name=x", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if a.status != http.StatusUnauthorized || !strings.Contains(a.body, "Nothing was saved") || !strings.Contains(a.body, `href="/login"`) || strings.Contains(a.body, "Bearer") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
