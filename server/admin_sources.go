package server

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) sourceRows(ctx context.Context) (rows []views.SourceRow, err error) {
	sources, err := s.store.Sources(ctx)
	for _, src := range sources {
		rows = append(rows, views.SourceRow{
			Name: src.Name, Driver: src.Driver, Description: src.Description, State: sourceState(src),
			Expected: time.Duration(src.ExpectEvery) * time.Second, LastReceivedAt: src.LastReceivedAt,
		})
	}
	return rows, err
}

func sourceState(src db.Source) string {
	switch {
	case !src.IsActive:
		return "inactive"
	case !src.SilentSince.IsZero():
		return "silent"
	}
	return "active"
}

func (s *Server) sourceNew(w http.ResponseWriter, r *http.Request) error {
	return s.sourceRender(w, r, http.StatusOK, views.SourcePage{New: true, Active: true, ExpectEvery: "0", Grace: "0"})
}

func (s *Server) sourcePage(w http.ResponseWriter, r *http.Request) error {
	src, err := s.store.Source(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return s.sourceRender(w, r, http.StatusOK, views.SourcePage{
		Name: src.Name, Driver: src.Driver, Description: src.Description, Active: src.IsActive, State: sourceState(*src),
		ExpectEvery: strconv.Itoa(src.ExpectEvery), Grace: strconv.Itoa(src.Grace), LastReceivedAt: src.LastReceivedAt, SilentSince: src.SilentSince,
	})
}

func (s *Server) sourceRender(w http.ResponseWriter, r *http.Request, status int, page views.SourcePage) error {
	title := page.Name
	if page.New {
		title = "New source"
	}
	page.Page, page.Address, page.CanEdit = s.frame(w, r, "settings", title), s.address(r), may(r, "POST /admin/settings/sources/new")
	page.Drivers = []views.Option{{Label: "Whatever it is: detect it"}}
	for _, kind := range s.engine.SourceKinds() {
		page.Drivers = append(page.Drivers, views.Option{Value: kind.Name, Label: kind.Title})
	}
	return s.render(w, r, status, views.Source(page), "")
}

func (s *Server) sourceSave(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	page := views.SourcePage{
		New: name == "", Name: cmp.Or(name, field(r, "name")), Driver: field(r, "driver"), Description: field(r, "description"), Active: field(r, "active") != "",
		ExpectEvery: field(r, "expect_every_seconds"), Grace: field(r, "grace_seconds"), State: "active",
	}
	in := engine.SourceInput{
		Name: page.Name, Driver: &page.Driver, Description: &page.Description, IsActive: &page.Active,
		MustCreate: page.New, MustExist: !page.New, Actor: actor(r),
	}
	var err error
	if in.ExpectEvery, err = seconds("expect_every_seconds", page.ExpectEvery); err == nil {
		if in.Grace, err = seconds("grace_seconds", page.Grace); err == nil {
			_, _, err = s.engine.SaveSource(r.Context(), in)
		}
	}
	if err != nil {
		return refused(err, func(status int, problem string) error {
			page.Problem, page.Problems = problem, fault.Of(err).Fields
			return s.sourceRender(w, r, status, page)
		})
	}
	return s.done(w, r, views.SourceURL(page.Name), "source-saved")
}

// seconds reads a field of a form; an empty one is 0.
func seconds(name, text string) (*int, error) {
	n, err := strconv.Atoi(cmp.Or(strings.TrimSpace(text), "0"))
	if err != nil {
		return nil, fault.About(name, fault.New(fault.Invalid, "%s must be a whole number of seconds.", name))
	}
	return &n, nil
}

func (s *Server) sourceDeleteForm(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if field(r, "confirm") != name {
		return fault.New(fault.Invalid, "Not deleted: type the name %s to confirm.", name)
	}
	if err := s.engine.DeleteSource(r.Context(), name); err != nil {
		return err
	}
	return s.done(w, r, "/admin/settings", "source-deleted")
}
