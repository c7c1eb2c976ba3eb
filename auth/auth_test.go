package auth_test

import (
	"slices"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/fault"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	who := func(scopes ...auth.Scope) auth.Principal {
		return auth.Principal{Kind: auth.KindToken, ID: "1", Name: "t", Scopes: scopes}
	}
	const (
		run     = "POST /orchestration/definitions/{name}/execute/"
		health  = "GET /healthz"
		anybody = "POST /graphql/"
	)
	for _, test := range []struct {
		rule string
		p    auth.Principal
		key  string
		want fault.Code
	}{
		{"nobody may use a public route", auth.Principal{}, health, ""},
		{"nobody may not use any other", auth.Principal{}, run, fault.Unauthorized},
		{"nobody is not authenticated", auth.Principal{}, anybody, fault.Unauthorized},
		{"anybody with a credential is", who(auth.Ingest), anybody, ""},
		{"the scope opens", who(auth.Operate), run, ""},
		{"another scope does not", who(auth.Read, auth.Ingest, auth.Edit), run, fault.Forbidden},
		{"admin implies the others", who(auth.Admin), run, ""},
		{"what is not in the matrix is closed, for admins too", who(auth.Admin), "GET /nowhere", fault.Forbidden},
		{"a principal without scopes may do nothing", who(), run, fault.Forbidden},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			err := auth.Allowed(test.p, test.key)
			if (test.want == "") != (err == nil) || (err != nil && !fault.Is(err, test.want)) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	got := map[auth.Role][]auth.Scope{}
	for _, r := range []auth.Role{auth.RoleViewer, auth.RoleResponder, auth.RoleEditor, auth.RoleAdmin, "root"} {
		got[r] = r.Scopes()
	}
	want := map[auth.Role][]auth.Scope{
		auth.RoleViewer:    {auth.Read},
		auth.RoleResponder: {auth.Read, auth.Operate},
		auth.RoleEditor:    {auth.Read, auth.Operate, auth.Edit},
		auth.RoleAdmin:     auth.Scopes,
		"root":             nil,
	}
	for role, scopes := range want {
		if !slices.Equal(got[role], scopes) {
			t.Errorf("%s: got %v, want %v", role, got[role], scopes)
		}
	}
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	scopes, err := auth.ParseScopes([]string{"ingest,read", "read"})
	if err != nil || !slices.Equal(scopes, []auth.Scope{auth.Ingest, auth.Read}) {
		t.Errorf("got %v, %v", scopes, err)
	}
	for _, bad := range [][]string{nil, {""}, {"root"}, {"authenticated"}, {"Read"}} {
		if _, err := auth.ParseScopes(bad); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "ingest, read, operate, edit") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestMatrixNamesScopesThatExist(t *testing.T) {
	t.Parallel()
	for key, scope := range auth.Matrix() {
		if scope != auth.Public && scope != auth.Authenticated && !slices.Contains(auth.Scopes, scope) {
			t.Errorf("%s needs the unknown scope %q", key, scope)
		}
	}
}
