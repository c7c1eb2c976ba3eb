package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

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
		return s.do(request{method: http.MethodPost, path: "/admin/settings/password", header: header, body: url.Values{"current_password": {old}, "password": {fresh}}.Encode()})
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
