package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/server"
)

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// TestMatrix asks every route as nobody and with each scope, and expects exactly what the matrix says.
func TestMatrix(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	routes, err := server.Routes()
	must(t, err)
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	listed := map[string]bool{}
	for _, r := range routes {
		listed[r.Pattern] = true
		method, path, _ := strings.Cut(r.Pattern, " ")
		path = placeholder.ReplaceAllString(path, "0199aaaa-0000-7000-8000-000000000000")
		ask := func(as auth.Scope) int {
			return s.do(request{method: method, path: path, as: as}).status
		}
		wantsPage := regexp.MustCompile(`^/(admin|login|logout|setup|playground)(/|$)`).MatchString(path)
		anonymous := ask("")
		refused := anonymous == http.StatusUnauthorized || wantsPage && anonymous == http.StatusSeeOther
		switch {
		case r.Pattern == "GET /graphql/": // open for sockets, which bring their credential later
			if anonymous != http.StatusUnauthorized {
				t.Errorf("%s without an upgrade, anonymous: %d", r.Pattern, anonymous)
			}
			continue
		case r.Scope == auth.Public && r.Pattern != "POST /login" && anonymous == http.StatusUnauthorized:
			t.Errorf("%s is public, but refused", r.Pattern)
		case r.Scope != auth.Public && !refused:
			t.Errorf("%s is open to nobody in particular: %d", r.Pattern, anonymous)
		}
		if r.Scope == auth.Public {
			continue
		}
		for _, scope := range auth.Scopes {
			allowed := scope == auth.Admin || r.Scope == auth.Authenticated || scope == r.Scope
			got := ask(scope)
			if forbidden := got == http.StatusForbidden; forbidden == allowed || got == http.StatusUnauthorized {
				t.Errorf("%s needs %s; with %s: %d", r.Pattern, r.Scope, scope, got)
			}
		}
	}
	for key := range auth.Matrix() {
		method, _, isRoute := strings.Cut(key, " ")
		if isRoute && !listed[key] && method == strings.ToUpper(method) {
			t.Errorf("the matrix knows %q, the server does not", key)
		}
	}
}

func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	routes, err := server.Routes()
	must(t, err)
	var public []string
	for _, r := range routes {
		if r.Scope == auth.Public {
			public = append(public, r.Pattern)
		}
	}
	// Whoever adds one here makes it readable to the world.
	want := "GET /, GET /assets/{file}, GET /graphql/, GET /healthz, GET /login, POST /login, GET /readyz, GET /setup, POST /setup"
	if got := strings.Join(public, ", "); got != want {
		t.Errorf("public:\n%s\nwant:\n%s", got, want)
	}
}
