package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"penstock/auth"
)

// TestGraphQLRefusals says that what the server refuses before the GraphQL handler is an answer of
// GraphQL too, in the media type that the client takes.
func TestGraphQLRefusals(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const (
		plain   = "application/json"
		newer   = "application/graphql-response+json"
		viewer  = `{"query":"{ viewer { scopes } }"}`
		wrong   = "Bearer pst_wrong"
		foreign = "https://evil.example.org"
	)
	for name, c := range map[string]struct {
		method, path string
		header       http.Header
		status       int
		code, media  string
	}{
		"no credential":      {"POST", "/graphql", http.Header{}, 401, "UNAUTHENTICATED", plain},
		"no credential, GET": {"GET", "/graphql?query=%7B__typename%7D", http.Header{}, 401, "UNAUTHENTICATED", plain},
		"wrong token":        {"POST", "/graphql", http.Header{"Authorization": {wrong}, "Accept": {newer}}, 401, "UNAUTHENTICATED", newer},
		"wrong token, slash": {"POST", "/graphql/", http.Header{"Authorization": {wrong}}, 401, "UNAUTHENTICATED", plain},
		"another site":       {"POST", "/graphql", http.Header{"Origin": {foreign}, "Sec-Fetch-Site": {"cross-site"}, "Accept": {newer + ", " + plain}}, 403, "FORBIDDEN", newer},
		"another method":     {"DELETE", "/graphql", http.Header{}, 405, "BAD_REQUEST", plain},
	} {
		t.Run(name, func(t *testing.T) {
			body := viewer
			if c.method == http.MethodGet {
				body = ""
			}
			a := s.do(request{method: c.method, path: c.path, body: body, header: c.header})
			var got struct {
				Error  any
				Errors []struct {
					Message    string
					Extensions struct{ Code string }
				}
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != c.status || got.Error != nil ||
				len(got.Errors) != 1 || got.Errors[0].Message == "" || got.Errors[0].Extensions.Code != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
			if media := a.header.Get("Content-Type"); media != c.media+"; charset=utf-8" {
				t.Errorf("media type %q", media)
			}
			if c.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	for _, path := range []string{"/graphql", "/graphql/"} {
		const want = `{"data":{"viewer":{"scopes":["READ"]}}}`
		if a := s.do(request{method: "POST", path: path, body: viewer, as: auth.Read}); a.status != 200 || a.body != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
