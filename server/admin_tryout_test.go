package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/engine"
)

// TestTryOut: a test shows exactly what was sent and answered, and no secret, even if the receiver repeats it.
func TestTryOut(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/refuses" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = fmt.Fprintf(w, `{"you_sent": %q, "team": %q}`, r.Header.Get("Authorization"), r.Header.Get("X-Team"))
	}))
	t.Cleanup(receiver.Close)
	for name, path := range map[string]string{"works": "/takes", "refused": "/refuses"} {
		config, err := json.Marshal(map[string]any{"endpoint": receiver.URL + path, "headers": map[string]string{"Authorization": "Bearer hunter2-canary", "X-Team": "second-canary"}})
		must(t, err)
		_, _, err = s.engine.SaveChannel(t.Context(), engine.ChannelInput{Name: name, Driver: "generic", Config: config})
		must(t, err)
	}
	for name, want := range map[string][]string{
		"works":   {"The test passed.", "The receiver accepted the message (200).", "POST " + receiver.URL + "/takes", "Test message from Penstock", "HTTP/1.1 200 OK", "you_sent"},
		"refused": {"The test failed.", "The receiver refused the credentials (401)", "/refuses", "HTTP/1.1 401 Unauthorized"},
	} {
		a := s.form("/admin/settings/channels/"+name+"/test", auth.Edit, nil, false)
		if a.status != http.StatusOK || strings.Contains(a.body, "canary") {
			t.Errorf("%s: %d, or a secret is shown:\n%s", name, a.status, a.body)
		}
		for _, text := range want {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: %q is missing", name, text)
			}
		}
	}
	if a := s.form("/admin/settings/channels/none/test", auth.Edit, nil, false); a.status != http.StatusNotFound {
		t.Errorf("no channel: %d", a.status)
	}

	works := s.form("/admin/settings/providers/local/test", auth.Edit, nil, false)
	if works.status != http.StatusOK || !strings.Contains(works.body, "The test passed.") || !strings.Contains(works.body, "A disk is filling up") {
		t.Errorf("local: %d %s", works.status, works.body)
	}
	fails := s.form("/admin/settings/providers/openai/test", auth.Edit, nil, false)
	if fails.status != http.StatusOK || !strings.Contains(fails.body, "The test failed.") || !strings.Contains(fails.body, "POST http://127.0.0.1:1/v1/chat/completions") || strings.Contains(fails.body, "key-canary") {
		t.Errorf("openai: %d %s", fails.status, fails.body)
	}
	if a := s.form("/admin/settings/providers/none/test", auth.Edit, nil, false); a.status != http.StatusNotFound {
		t.Errorf("no analyser: %d", a.status)
	}
}

func TestSourceForms(t *testing.T) {
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
	berlin := url.Values{"name": {"berlin"}, "driver": {"alertmanager"}, "description": {"Frankfurt"}, "expect_every_seconds": {"300"}, "grace_seconds": {""}, "active": {"yes"}}
	post("/admin/settings/sources/new", berlin, http.StatusSeeOther)
	post("/admin/settings/sources/new", berlin, http.StatusConflict)
	berlin.Set("expect_every_seconds", "soon")
	if a := post("/admin/settings/sources/berlin", berlin, http.StatusBadRequest); !strings.Contains(a.body, `value="soon"`) || !strings.Contains(a.body, "whole number of seconds") {
		t.Error("a refused form does not keep its text and say why")
	}
	berlin.Set("expect_every_seconds", "600")
	berlin.Del("active")
	post("/admin/settings/sources/berlin", berlin, http.StatusSeeOther)
	src, err := s.store.Source(t.Context(), "berlin")
	must(t, err)
	if src.IsActive || src.ExpectEvery != 600 || src.Grace != 0 || src.Driver != "alertmanager" {
		t.Errorf("stored %+v", src)
	}
	page := s.do(request{path: "/admin/settings/sources/berlin", as: auth.Read})
	if !strings.Contains(page.body, s.url+"/webhooks/berlin") || strings.Contains(page.body, `name="expect_every_seconds"`) || strings.Contains(page.body, "Make a token") {
		t.Error("a viewer does not see the address, or sees what they may not do")
	}
	made := post("/admin/settings/tokens", url.Values{"name": {"berlin"}, "scope": {"ingest"}, "source": {"berlin"}, "driver": {"alertmanager"}}, http.StatusCreated)
	if strings.Count(made.body, "/webhooks/berlin") != 2 || strings.Contains(made.body, "/webhooks/alertmanager") {
		t.Error("the configuration is not the source's own")
	}
	post("/admin/settings/sources/berlin/delete", url.Values{"confirm": {"x"}}, http.StatusBadRequest)
	post("/admin/settings/sources/berlin/delete", url.Values{"confirm": {"berlin"}}, http.StatusSeeOther)
	if a := s.do(request{path: "/admin/settings/sources/berlin", as: auth.Read}); a.status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.status)
	}
}
