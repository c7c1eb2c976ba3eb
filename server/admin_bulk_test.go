package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/db"
	"penstock/engine"
)

func TestBulk(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	incident, _ := s.incident()
	s.define("fails", `[{"id":"fail","type":"step"}]`)
	s.define("hangs", `[{"id":"hang","type":"step"}]`)
	execute := func(name string) string {
		run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: name})
		must(t, err)
		return run.ID
	}
	failed, hangs := execute("fails"), execute("hangs")
	_, err := s.engine.Wait(t.Context(), failed)
	must(t, err)
	post := func(path string, values url.Values, location, flash string) {
		t.Helper()
		a := s.form(path, auth.Operate, values, false)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != location {
			t.Fatalf("%v: %d to %q: %.300s", values, a.status, a.header.Get("Location"), a.body)
		}
		cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
		if page := s.do(request{path: location, as: auth.Admin, header: http.Header{"Cookie": {cookie}}}); !strings.Contains(page.body, flash) {
			t.Errorf("the list does not say %q", flash)
		}
	}
	post("/admin/runs/bulk", url.Values{"do": {"cancel"}, "id": {hangs, failed, "none"}, "reason": {"maintenance"}, "back": {"/admin/runs?q=a"}}, "/admin/runs?q=a", "1 cancelled. 2 not: ended before.")
	if run, err := s.store.Run(t.Context(), hangs); err != nil || run.Status != db.RunCancelled || run.Error != "Cancelled by operate: maintenance" {
		t.Errorf("%+v, %v", run, err)
	}
	post("/admin/runs/bulk", url.Values{"do": {"retry"}, "id": {failed}, "back": {"https://evil.example"}}, "/admin/runs", "1 continued.")
	post("/admin/incidents/bulk", url.Values{"do": {"acknowledge"}, "id": {incident}, "back": {"/admin/incidents?severity=critical"}}, "/admin/incidents?severity=critical", "1 acknowledged.")
	if inc, err := s.store.Incident(t.Context(), incident); err != nil || inc.Status != db.IncidentAcknowledged || inc.AcknowledgedBy != "operate" {
		t.Errorf("%+v, %v", inc, err)
	}
	for problem, values := range map[string]url.Values{"no action": {"do": {"dance"}, "id": {failed}}, "Nothing is chosen": {"do": {"retry"}}} {
		if a := s.form("/admin/runs/bulk", auth.Operate, values, false); a.status != http.StatusBadRequest || !strings.Contains(a.body, problem) {
			t.Errorf("%v: %d", values, a.status)
		}
	}
	// All that match, on every page, and nothing else.
	s.define("noise", `[{"id":"hang","type":"step"}]`)
	var noise []string
	for range 60 {
		noise = append(noise, execute("noise"))
	}
	other := execute("hangs")
	list := s.do(request{path: "/admin/runs?definition=noise", as: auth.Admin})
	if !strings.Contains(list.body, "/admin/runs?all=yes&amp;definition=noise") {
		t.Error("the list does not offer to choose all that match")
	}
	list = s.do(request{path: "/admin/runs?all=yes&definition=noise", as: auth.Admin})
	if !strings.Contains(list.body, "All 60 runs that match are chosen,") || strings.Contains(list.body, "every 2s") || strings.Contains(list.body, `name="id"`) {
		t.Error("all that match are not chosen")
	}
	post("/admin/runs/bulk", url.Values{"do": {"cancel"}, "match": {"definition=noise"}, "back": {"/admin/runs?definition=noise"}}, "/admin/runs?definition=noise", "60 cancelled.")
	for _, id := range append(noise, other) {
		if run, err := s.store.Run(t.Context(), id); err != nil || (run.Status == db.RunCancelled) != (id != other) {
			t.Errorf("%s is %s, %v", run.DefinitionName, run.Status, err)
		}
	}
	if a := s.form("/admin/runs/bulk", auth.Operate, url.Values{"do": {"cancel"}, "match": {"status=dancing"}}, false); a.status != http.StatusBadRequest {
		t.Errorf("unknown filters: %d", a.status)
	}
	if page := s.do(request{path: "/admin/runs", as: auth.Read}); strings.Contains(page.body, "data-choose") {
		t.Error("a viewer can choose runs although nothing can be done with them")
	}
}

func TestSavedViews(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	save := func(values url.Values) answer { return s.form("/admin/views/new", auth.Read, values, false) }
	if a := save(url.Values{"list": {"runs"}, "name": {"Failed by alerts"}, "query": {"trigger=alert&status=failed&after=x&rows=y"}}); a.status != http.StatusSeeOther || a.header.Get("Location") != "/admin/runs?status=failed&trigger=alert" {
		t.Fatalf("%d to %q", a.status, a.header.Get("Location"))
	}
	list := s.do(request{path: "/admin/runs?trigger=alert&status=failed", as: auth.Read})
	forget := regexp.MustCompile(`/admin/views/[^"]+/delete`).FindString(list.body)
	if !strings.Contains(list.body, "Failed by alerts") || forget == "" {
		t.Fatal("the list does not show the view, or it cannot be forgotten")
	}
	if other := s.do(request{path: "/admin/runs", as: auth.Admin}); strings.Contains(other.body, "Failed by alerts") {
		t.Error("somebody else sees the view")
	}
	for problem, values := range map[string]url.Values{
		"The filters cannot be kept": {"list": {"runs"}, "name": {"x"}, "query": {"after=y"}}, "There is no list": {"list": {"users"}, "name": {"x"}, "query": {"q=y"}}, "Give the view a name": {"list": {"runs"}, "name": {" "}, "query": {"q=y"}},
	} {
		if a := save(values); a.status != http.StatusBadRequest || !strings.Contains(a.body, problem) {
			t.Errorf("%v: %d", values, a.status)
		}
	}
	if a := s.form(forget, auth.Read, url.Values{"back": {"/admin/runs"}}, false); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	if list := s.do(request{path: "/admin/runs", as: auth.Read}); strings.Contains(list.body, "Failed by alerts") {
		t.Error("the view was not forgotten")
	}
}
