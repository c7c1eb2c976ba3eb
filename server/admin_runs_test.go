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

func TestRunAgainForm(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("two", `[{"id":"one","type":"step"},{"id":"two","type":"step"}]`)
	run, err := s.engine.Execute(t.Context(), engine.ExecuteInput{Definition: "two", Payload: []byte(`{"host":"db-1","token":"hunter2"}`)})
	must(t, err)
	_, err = s.engine.Wait(t.Context(), run.ID)
	must(t, err)
	path := "/admin/runs/" + run.ID
	page := s.do(request{path: path + "?node=two", as: auth.Admin})
	shown := regexp.MustCompile(`(?s)id="rerun-input"[^>]*>\n(.*?)</textarea>`).FindStringSubmatch(page.body)
	if shown == nil || !strings.Contains(shown[1], "db-1") || strings.Contains(shown[1], "hunter2") {
		t.Fatalf("the form does not begin with the payload, or shows a secret: %q", shown)
	}
	again := func(input string) answer {
		return s.form(path+"/rerun", auth.Admin, url.Values{"from_node": {"two"}, "input": {input}}, false)
	}
	payload := func(a answer) string {
		t.Helper()
		if a.status != http.StatusSeeOther {
			t.Fatalf("%d %.300s", a.status, a.body)
		}
		fresh, err := s.store.Run(t.Context(), strings.TrimPrefix(a.header.Get("Location"), "/admin/runs/"))
		must(t, err)
		return string(fresh.Payload)
	}
	if got := payload(again(strings.ReplaceAll(html.UnescapeString(shown[1]), "\n", "\r\n"))); got != string(run.Payload) {
		t.Errorf("sent as it was shown, the payload became %s", got)
	}
	if got := payload(again(`{"host":"db-2"}`)); got != `{"host":"db-2"}` {
		t.Errorf("the edited payload became %s", got)
	}
	for problem, input := range map[string]string{"look at line 2": "{\n\"a\": }", "Write the value out": `{"host":"db-3","token":"[secret]"}`} {
		a := again(input)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, problem) || !strings.Contains(html.UnescapeString(a.body), input) || !strings.Contains(a.body, `id="rerun" open`) {
			t.Errorf("%s: %d, or the text is gone", problem, a.status)
		}
	}
}
