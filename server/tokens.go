package server

import (
	"net/http"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
)

func (s *Server) tokenRoutes() []route {
	return []route{
		{"GET /orchestration/tokens/", s.tokenList},
		{"POST /orchestration/tokens/", s.tokenCreate},
		{"DELETE /orchestration/tokens/{name}/", s.tokenRevoke},
	}
}

// TokenDetail is an API token without its text.
type TokenDetail struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix"`
	Scopes    []string   `json:"scopes"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	UsedAt    *time.Time `json:"used_at"`
}

// NewTokenDetail describes a stored token.
func NewTokenDetail(t db.APIToken) TokenDetail {
	return TokenDetail{
		ID: t.ID, Name: t.Name, Prefix: t.Prefix, Scopes: t.Scopes, CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt.UTC(),
		ExpiresAt: orNull(t.ExpiresAt), RevokedAt: orNull(t.RevokedAt), UsedAt: orNull(t.UsedAt),
	}
}

// orNull is nil for the zero value, which JSON shows as null.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

func (s *Server) tokenList(w http.ResponseWriter, r *http.Request) error {
	tokens, err := s.store.Tokens(r.Context())
	if err != nil {
		return err
	}
	rows := make([]TokenDetail, len(tokens))
	for i, t := range tokens {
		rows[i] = NewTokenDetail(t)
	}
	return writeJSON(w, http.StatusOK, struct {
		Tokens []TokenDetail `json:"tokens"`
		Count  int           `json:"count"`
	}{rows, len(rows)})
}

// tokenCreate answers with the token's text, this once.
func (s *Server) tokenCreate(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      string     `json:"name"`
		Scopes    []string   `json:"scopes"`
		ExpiresAt *time.Time `json:"expires_at"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	scopes, err := auth.ParseScopes(body.Scopes)
	if err != nil {
		return err
	}
	in := auth.TokenInput{Name: body.Name, Scopes: scopes, CreatedBy: actor(r)}
	if body.ExpiresAt != nil {
		in.ExpiresAt = *body.ExpiresAt
	}
	secret, t, err := s.auth.CreateToken(r.Context(), in)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, struct {
		TokenDetail
		Token string `json:"token"`
	}{NewTokenDetail(t), secret})
}

func (s *Server) tokenRevoke(w http.ResponseWriter, r *http.Request) error {
	if err := s.revokeToken(r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// revokeToken takes a name or an id.
func (s *Server) revokeToken(r *http.Request) error {
	p, _ := auth.From(r.Context())
	name := r.PathValue("name")
	if p.Kind == auth.KindToken && (name == p.ID || name == p.Name) {
		return fault.New(fault.Conflict, "This is the token you are using. Revoke it with another one.")
	}
	return s.auth.RevokeToken(r.Context(), name)
}
