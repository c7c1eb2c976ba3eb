package auth_test

import (
	"slices"
	"testing"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	s, _, _ := service(t, "")
	ctx := t.Context()
	const words, others = "four quite random words", "another four random words"
	for what, in := range map[string]auth.UserInput{
		"no name": {Password: words, Role: auth.RoleViewer}, "a short password": {Name: "x", Password: "short", Role: auth.RoleViewer},
		"an unknown role": {Name: "x", Password: words, Role: "root"}, "no role": {Name: "x", Password: words},
	} {
		if _, err := s.CreateUser(ctx, in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.CreateUser(ctx, auth.UserInput{Name: "ann", Password: words, Role: auth.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateUser(ctx, auth.UserInput{Name: "ann", Password: words, Role: auth.RoleViewer}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a taken name: %v", err)
	}
	if _, err := s.SetRole(ctx, "ann", auth.RoleViewer); !fault.Is(err, fault.Conflict) {
		t.Errorf("the last administrator lost the role: %v", err)
	}
	if _, err := s.SetDisabled(ctx, "ann", true); !fault.Is(err, fault.Conflict) {
		t.Errorf("the last administrator was locked out: %v", err)
	}
	if _, err := s.SetRole(ctx, "nobody", auth.RoleViewer); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody's role: %v", err)
	}

	if _, err := s.CreateUser(ctx, auth.UserInput{Name: "bob", Password: words, Role: auth.RoleViewer}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s, "192.0.2.1")
	login := func(password string) error { return b.login("bob", password) }
	signedIn := func() []auth.Scope {
		p, err := s.Request(b.request())
		if err != nil {
			t.Fatal(err)
		}
		return p.Scopes
	}
	if err := login(words); err != nil || !slices.Equal(signedIn(), []auth.Scope{auth.Read}) {
		t.Fatalf("signed in with %v (%v)", signedIn(), err)
	}
	for what, change := range map[string]func() (*db.User, error){
		"another role":     func() (*db.User, error) { return s.SetRole(ctx, "bob", auth.RoleAdmin) },
		"another password": func() (*db.User, error) { return s.SetPassword(ctx, "bob", others) },
	} {
		if _, err := change(); err != nil {
			t.Fatal(err)
		}
		if scopes := signedIn(); scopes != nil {
			t.Errorf("%s: the session is still there with %v", what, scopes)
		}
		_ = login(words)
	}
	if err := login(others); err != nil || !slices.Equal(signedIn(), auth.Scopes) {
		t.Errorf("with the new password: %v (%v)", signedIn(), err)
	}
	if u, err := s.SetDisabled(ctx, "bob", true); err != nil || u.DisabledAt.IsZero() || signedIn() != nil || login(others) == nil {
		t.Errorf("locked out: %+v, %v, signed in with %v", u, err, signedIn())
	}
	if u, err := s.SetDisabled(ctx, "bob", false); err != nil || !u.DisabledAt.IsZero() || login(others) != nil {
		t.Errorf("let in again: %+v, %v", u, err)
	}
}
