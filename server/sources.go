package server

import (
	"net/http"
	"time"

	"penstock/db"
	"penstock/engine"
)

func (s *Server) sourceRoutes() []route {
	return []route{
		{"GET /orchestration/sources/", s.sourceList},
		{"GET /orchestration/sources/{name}/", s.sourceGet},
		{"PUT /orchestration/sources/{name}/", s.sourcePut},
		{"DELETE /orchestration/sources/{name}/", s.sourceDelete},
	}
}

type sourceDetail struct {
	Name           string     `json:"name"`
	Driver         string     `json:"driver"`
	Description    string     `json:"description"`
	ExpectEvery    int        `json:"expect_every_seconds"`
	Grace          int        `json:"grace_seconds"`
	IsActive       bool       `json:"is_active"`
	LastReceivedAt *time.Time `json:"last_received_at"`
	SilentSince    *time.Time `json:"silent_since"`
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

func sourceOf(s db.Source) sourceDetail {
	return sourceDetail{
		Name: s.Name, Driver: s.Driver, Description: s.Description, ExpectEvery: s.ExpectEvery, Grace: s.Grace, IsActive: s.IsActive,
		LastReceivedAt: orNull(s.LastReceivedAt.UTC()), SilentSince: orNull(s.SilentSince.UTC()),
		CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
}

func (s *Server) sourceList(w http.ResponseWriter, r *http.Request) error {
	sources, err := s.store.Sources(r.Context())
	if err != nil {
		return err
	}
	rows := make([]sourceDetail, len(sources))
	for i, src := range sources {
		rows[i] = sourceOf(src)
	}
	return writeJSON(w, http.StatusOK, struct {
		Sources []sourceDetail `json:"sources"`
		Count   int            `json:"count"`
	}{rows, len(rows)})
}

func (s *Server) sourceGet(w http.ResponseWriter, r *http.Request) error {
	src, err := s.store.Source(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, sourceOf(*src))
}

// sourcePut creates (201) or changes (200). What is left out keeps its value.
func (s *Server) sourcePut(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name        string  `json:"name"`
		Driver      *string `json:"driver"`
		Description *string `json:"description"`
		ExpectEvery *int    `json:"expect_every_seconds"`
		Grace       *int    `json:"grace_seconds"`
		IsActive    *bool   `json:"is_active"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := sameName(body.Name, name); err != nil {
		return err
	}
	src, created, err := s.engine.SaveSource(r.Context(), engine.SourceInput{
		Name: name, Driver: body.Driver, Description: body.Description, ExpectEvery: body.ExpectEvery, Grace: body.Grace,
		IsActive: body.IsActive, Actor: actor(r),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, createdOr(created, w, r), sourceOf(*src))
}

func (s *Server) sourceDelete(w http.ResponseWriter, r *http.Request) error {
	if err := s.engine.DeleteSource(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
