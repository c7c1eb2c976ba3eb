package graph

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocuments restricts a server to the documents of a folder.
func TestDocuments(t *testing.T) {
	t.Parallel()
	folder := func(t *testing.T, files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	link := func(t *testing.T, to string) string {
		path := filepath.Join(t.TempDir(), "current")
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const byFile = "query Who {\n  viewer { name }\n}\n"
	documents, err := ReadDocuments(link(t, folder(t, map[string]string{
		"pages/who.graphql": byFile, "README.md": "not read",
		"relay.json":  `{"0b9a": "query Relay { viewer { name } }"}`,
		"apollo.json": `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"x","name":"Apollo","type":"query","body":"query Apollo { viewer { name } }"}]}`,
	})))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.handler.documents = documents
	hash := func(sum string) string {
		return `"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sum + `"}}`
	}
	for name, c := range map[string]struct {
		body  string
		known bool
	}{
		"a file":                 {`{"query":"query Who {\n  viewer { name }\n}\n"}`, true},
		"without its line break": {`{"query":"query Who {\n  viewer { name }\n}"}`, true},
		"written otherwise":      {`{"query":"query Who { viewer { name } }"}`, false},
		"of Relay":               {`{"query":"query Relay { viewer { name } }"}`, true},
		"of Apollo":              {`{"query":"query Apollo { viewer { name } }"}`, true},
		"by hash":                {`{` + hash(hashOf(byFile)) + `}`, true},
		"by hash and text":       {`{"query":"query Relay { viewer { name } }",` + hash(hashOf("query Relay { viewer { name } }")) + `}`, true},
		"by an unknown hash":     {`{` + hash(hashOf("{ viewer { id } }")) + `}`, false},
		"another":                {`{"query":"{ viewer { name } }"}`, false},
		"introspection":          {`{"query":"{ __schema { queryType { name } } }"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.do(http.MethodPost, "", c.body, sendJSON)
			switch {
			case c.known && string(r.Data) != `{"viewer":{"name":"admin"}}`:
				t.Errorf("%d %s", r.Status, r.Body)
			case !c.known && (r.Status != http.StatusBadRequest || r.code() != codeUnknownDocument || r.Data != nil):
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	t.Run("an unknown one is not learned", func(t *testing.T) {
		text := "{ viewer { id } }"
		for _, body := range []string{`{"query":"` + text + `",` + hash(hashOf(text)) + `}`, `{` + hash(hashOf(text)) + `}`} {
			if r := s.do(http.MethodPost, "", body, sendJSON); r.code() != codeUnknownDocument {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		}
	})
	t.Run("over streams too", func(t *testing.T) {
		r := s.do(http.MethodGet, "?"+url.Values{"query": {"subscription { runsChanged { run { runId } } }"}}.Encode(), "", "Accept: text/event-stream")
		if !strings.Contains(string(r.Body), codeUnknownDocument) {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})

	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"does not fit the schema": {map[string]string{"a.graphql": "{ viewer { naem } }"}, `a.graphql: input:1:12: Cannot query field "naem"`},
		"not GraphQL":             {map[string]string{"a.graphql": "{ viewer"}, "a.graphql: input:1"},
		"another JSON":            {map[string]string{"a.json": "[1]"}, "a.json: this is neither"},
		"nothing":                 {nil, "has no files *.graphql or *.json"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadDocuments(folder(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	odd := folder(t, nil)
	if err := os.Symlink("/dev/zero", filepath.Join(odd, "a.graphql")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDocuments(odd); err == nil || !strings.Contains(err.Error(), "a.graphql is no file of at most") {
		t.Errorf("%v", err)
	}
	if _, err := ReadDocuments(filepath.Join(t.TempDir(), "missing")); err == nil || !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
