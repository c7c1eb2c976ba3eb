package server

import (
	"net/http"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

var scopeWords = map[auth.Scope]string{
	auth.Ingest: "ingest: send alerts", auth.Read: "read: see everything", auth.Operate: "operate: work incidents, start, cancel and retry runs",
	auth.Edit: "edit: change definitions and channels", auth.Admin: "admin: everything",
}

func (s *Server) tokenPage(w http.ResponseWriter, r *http.Request) error {
	return s.tokensRender(w, r, http.StatusOK, views.TokensPage{})
}

// tokenMake shows the token's text, this once.
func (s *Server) tokenMake(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := field(r, "name")
	scopes, err := auth.ParseScopes(r.PostForm["scope"])
	if err == nil {
		var text string
		if text, _, err = s.auth.CreateToken(r.Context(), auth.TokenInput{Name: name, Scopes: scopes, CreatedBy: actor(r)}); err == nil {
			return s.tokensRender(w, r, http.StatusCreated, views.TokensPage{Made: text, MadeFor: "The token " + name, Source: field(r, "source"), Driver: field(r, "driver")})
		}
	}
	return refused(err, func(status int, problem string) error {
		return s.tokensRender(w, r, status, views.TokensPage{Problem: problem})
	})
}

func (s *Server) tokensRender(w http.ResponseWriter, r *http.Request, status int, page views.TokensPage) error {
	page.Page, page.Address = s.frame(w, r, "settings", "API tokens"), s.address(r)
	for _, scope := range auth.Scopes {
		page.Scopes = append(page.Scopes, views.Option{Value: string(scope), Label: scopeWords[scope]})
	}
	tokens, err := s.store.Tokens(r.Context())
	if err != nil {
		return err
	}
	for _, t := range tokens {
		row := tokenRow(t)
		row.CanRevoke = row.State == "active"
		page.Tokens = append(page.Tokens, row)
	}
	return s.render(w, r, status, views.Tokens(page), "")
}

func (s *Server) tokenRevokeForm(w http.ResponseWriter, r *http.Request) error {
	if err := s.revokeToken(r); err != nil {
		return err
	}
	return s.done(w, r, "/admin/settings/tokens", "token-revoked")
}

func (s *Server) userPage(w http.ResponseWriter, r *http.Request) error {
	return s.usersRender(w, r, http.StatusOK, "")
}

func (s *Server) usersRender(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	page := views.UsersPage{Page: s.frame(w, r, "settings", "Users"), Problem: problem}
	users, err := s.store.Users(r.Context())
	if err != nil {
		return err
	}
	for _, u := range users {
		row := views.UserRow{Name: u.Name, Role: u.Role, State: "active", CreatedAt: u.CreatedAt}
		if !u.DisabledAt.IsZero() {
			row.State = "inactive"
		}
		page.Users = append(page.Users, row)
	}
	return s.render(w, r, status, views.Users(page), "")
}

func (s *Server) userAdd(w http.ResponseWriter, r *http.Request) error {
	return s.userChange(w, r, "user-added", func(r *http.Request, _ string) (*db.User, error) {
		return s.auth.CreateUser(r.Context(), auth.UserInput{Name: field(r, "name"), Password: r.PostFormValue("password"), Role: auth.Role(field(r, "role"))})
	})
}

func (s *Server) userRole(w http.ResponseWriter, r *http.Request) error {
	return s.userChange(w, r, "user-changed", func(r *http.Request, name string) (*db.User, error) {
		return s.auth.SetRole(r.Context(), name, auth.Role(field(r, "role")))
	})
}

func (s *Server) userDisable(w http.ResponseWriter, r *http.Request) error {
	return s.userChange(w, r, "user-changed", func(r *http.Request, name string) (*db.User, error) {
		return s.auth.SetDisabled(r.Context(), name, true)
	})
}

func (s *Server) userEnable(w http.ResponseWriter, r *http.Request) error {
	return s.userChange(w, r, "user-changed", func(r *http.Request, name string) (*db.User, error) {
		return s.auth.SetDisabled(r.Context(), name, false)
	})
}

func (s *Server) userChange(w http.ResponseWriter, r *http.Request, flash string, change func(*http.Request, string) (*db.User, error)) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if _, err := change(r, r.PathValue("name")); err != nil {
		return refused(err, func(status int, problem string) error { return s.usersRender(w, r, status, problem) })
	}
	return s.done(w, r, "/admin/settings/users", flash)
}

// refused shows what a person can correct beside the form; anything else stays an error.
func refused(err error, show func(status int, problem string) error) error {
	f := fault.Of(err)
	switch f.Code {
	case fault.Invalid, fault.Unprocessable, fault.Conflict:
		return show(status(f.Code), f.Message)
	}
	return err
}

func (s *Server) schedulePage(w http.ResponseWriter, r *http.Request) error {
	page := views.SchedulesPage{Page: s.frame(w, r, "settings", "Schedules")}
	list, err := ReadSchedules(r.Context(), s.store, "")
	if err != nil {
		return err
	}
	for _, sch := range list.Schedules {
		row := views.ScheduleRow{
			Definition: sch.Definition, Cron: sch.Cron, TimeZone: sch.TimeZone, State: "inactive", Overlap: string(sch.Overlap), CatchUp: string(sch.CatchUp),
			Next: sch.Next, SkipReason: sch.SkipReason,
		}
		if sch.IsActive {
			row.State = "active"
		}
		if sch.LastRunID != nil && sch.LastTick != nil {
			row.LastRunID, row.LastAt = *sch.LastRunID, *sch.LastTick
		}
		page.Rows = append(page.Rows, row)
	}
	return s.render(w, r, http.StatusOK, views.Schedules(page), "")
}
