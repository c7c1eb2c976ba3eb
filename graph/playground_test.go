package graph

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

func TestPlayground(t *testing.T) {
	t.Parallel()
	h := Playground()
	get := func(path string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	page := get("/playground").Body.String()
	t.Run("loads only files that are there, and nothing from elsewhere", func(t *testing.T) {
		links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
		assets := 0
		for _, m := range links {
			switch {
			case strings.HasPrefix(m[1], "/playground/"):
				assets++
				if w := get(m[1]); w.Code != 200 || w.Body.Len() == 0 {
					t.Errorf("%s: %d", m[1], w.Code)
				}
			case m[1] != "/admin/" && m[1] != "data:,":
				t.Errorf("links to %s", m[1])
			}
		}
		if assets != 6 {
			t.Errorf("%d assets, want 6: %s", assets, page)
		}
	})
	t.Run("runs under a policy without inline code", func(t *testing.T) {
		if policy := get("/playground/").Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %s", policy)
		}
		if regexp.MustCompile(`<script>|<style|style=|\son\w+=`).MatchString(page) {
			t.Errorf("inline code in %s", page)
		}
	})
	t.Run("is compressed and revalidated", func(t *testing.T) {
		w := get("/playground/graphiql.min.js", "Accept-Encoding: gzip, br")
		if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 400<<10 {
			t.Errorf("%s, %d bytes", w.Header().Get("Content-Encoding"), w.Body.Len())
		}
		if w := get("/playground/graphiql.min.js", "Accept-Encoding: gzip", "If-None-Match: "+w.Header().Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("%d", w.Code)
		}
	})
	t.Run("shows nothing but its files", func(t *testing.T) {
		for _, path := range []string{"/playground/NOTICE", "/playground/x.js", "/playground/.gitattributes"} {
			if w := get(path); w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
	})
	t.Run("has examples that fit the schema", func(t *testing.T) {
		source, err := playgroundFiles.ReadFile("playground/init.js")
		if err != nil {
			t.Fatal(err)
		}
		queries := regexp.MustCompile("query: `([^`]+)`").FindAllStringSubmatch(string(source), -1)
		if len(queries) != 5 {
			t.Errorf("%d examples, want 5", len(queries))
		}
		for _, q := range queries {
			if _, err := gqlparser.LoadQueryWithRules(schemaOf(), q[1], rules.NewDefaultRules()); err != nil {
				t.Errorf("%v in %s", err, q[1])
			}
		}
	})
}
