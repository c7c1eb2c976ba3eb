package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/engine"
)

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

func TestSettingsPage(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, _, err := s.engine.SaveChannel(t.Context(), engine.ChannelInput{Name: "hook", Driver: "generic", Config: []byte(`{"endpoint":"http://127.0.0.1:1/"}`)})
	must(t, err)
	if page := s.do(request{path: "/admin/settings", as: auth.Read}); !strings.Contains(page.body, "hook") || strings.Contains(page.body, "API tokens") {
		t.Error("a viewer sees the tokens, or does not see the channels")
	}
	if page := s.do(request{path: "/admin/", as: auth.Read}); !strings.Contains(page.body, "A token for the sender") || strings.Contains(page.body, "/admin/settings/tokens") {
		t.Error("a viewer is led to what only an administrator may do")
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
