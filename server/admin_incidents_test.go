package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/db"
)

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
