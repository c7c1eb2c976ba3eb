// Package auth says who a caller is and what they may do: principals, scopes and roles, API tokens,
// passwords and browser sessions, and the one matrix from every route and GraphQL root field to the
// scope it needs. A route or field that is missing from the matrix is refused.
package auth

import (
	"context"
	"slices"
	"strings"

	"penstock/fault"
)

// Scope is one right. Tokens carry scopes; roles stand for sets of them.
type Scope string

const (
	Ingest  Scope = "ingest"  // send alerts
	Read    Scope = "read"    // see everything but secrets
	Operate Scope = "operate" // run, cancel, retry, acknowledge, resolve
	Edit    Scope = "edit"    // change definitions and channels
	Admin   Scope = "admin"   // tokens, users, references to the environment; implies the others

	// Public and Authenticated appear in the matrix only: nobody holds them.
	Public        Scope = ""
	Authenticated Scope = "authenticated" // any valid credential
)

// Scopes are all that a token can have.
var Scopes = []Scope{Ingest, Read, Operate, Edit, Admin}

// ParseScopes reads scopes from words, each of which may hold several separated by commas.
func ParseScopes(words []string) ([]Scope, error) {
	var scopes []Scope
	for _, word := range words {
		for name := range strings.SplitSeq(word, ",") {
			scope := Scope(strings.TrimSpace(name))
			if !slices.Contains(Scopes, scope) {
				return nil, fault.New(fault.Invalid, "There is no scope %q. Available: ingest, read, operate, edit, admin.", scope)
			}
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	if len(scopes) == 0 {
		return nil, fault.New(fault.Invalid, "A token needs at least one scope: ingest, read, operate, edit or admin.")
	}
	return scopes, nil
}

// Role is what a person may do.
type Role string

const (
	RoleViewer    Role = "viewer"
	RoleResponder Role = "responder"
	RoleEditor    Role = "editor"
	RoleAdmin     Role = "admin"
)

// Scopes of the role; none for an unknown one.
func (r Role) Scopes() []Scope {
	switch r {
	case RoleViewer:
		return []Scope{Read}
	case RoleResponder:
		return []Scope{Read, Operate}
	case RoleEditor:
		return []Scope{Read, Operate, Edit}
	case RoleAdmin:
		return Scopes
	}
	return nil
}

// Kind says how a caller signed in.
type Kind string

const (
	KindToken   Kind = "token"
	KindSession Kind = "session"
)

// Principal is an authenticated caller. The zero value is nobody.
type Principal struct {
	Kind   Kind
	ID     string // of the token or user
	Name   string // of the token or user; recorded as the author of changes
	Scopes []Scope
}

// IsAnonymous reports whether there is nobody.
func (p Principal) IsAnonymous() bool { return p.Kind == "" }

// Has reports whether p holds scope; admin holds every one.
func (p Principal) Has(scope Scope) bool {
	return slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, Admin)
}

type principalKey struct{}

// With puts the authenticated caller into ctx.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the authenticated caller; false if there is none.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok && !p.IsAnonymous()
}

// Allowed says whether p may use the route or root field that key names in the matrix:
// fault.Unauthorized if signing in would help, fault.Forbidden if another scope would.
func Allowed(p Principal, key string) error {
	scope, ok := matrix[key]
	switch {
	case !ok:
		return fault.New(fault.Forbidden, "Nobody may do this: %s has no entry in the permission matrix.", key)
	case scope == Public:
		return nil
	case p.IsAnonymous():
		return ErrNoCredential
	case scope == Authenticated || p.Has(scope):
		return nil
	}
	return fault.New(fault.Forbidden, "This needs the scope %q; yours: %s.", scope, join(p.Scopes))
}

// ErrNoCredential is the answer to a caller who sent none.
var ErrNoCredential = fault.New(fault.Unauthorized, "Sign in, or send an API token: \"Authorization: Bearer <token>\".")

func join(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
