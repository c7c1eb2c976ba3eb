package server

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) accountPage(w http.ResponseWriter, r *http.Request) error {
	return s.accountRender(w, r, http.StatusOK, views.AccountPage{})
}

func (s *Server) accountRender(w http.ResponseWriter, r *http.Request, status int, page views.AccountPage) error {
	p, _ := auth.From(r.Context())
	page.Page = s.frame(w, r, "settings", "Your account")
	for _, scope := range p.Scopes {
		page.Scopes = append(page.Scopes, string(scope))
	}
	return s.render(w, r, status, views.Account(page), "")
}

// passwordChange gives the person who asks another password.
func (s *Server) passwordChange(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	err := s.auth.ChangePassword(w, r, r.PostFormValue("current_password"), r.PostFormValue("password"))
	if err == nil {
		return s.done(w, r, "/admin/settings/account", "password")
	}
	if f := fault.Of(err); f.Code == fault.RateLimited {
		w.Header().Set("Retry-After", retryAfter(f.After))
	}
	return refused(err, func(status int, problem string) error {
		return s.accountRender(w, r, status, views.AccountPage{Problem: problem, Problems: fault.Of(err).Fields})
	})
}

// userPassword gives somebody else another password.
func (s *Server) userPassword(w http.ResponseWriter, r *http.Request) error {
	return s.userChange(w, r, "user-password", func(r *http.Request, name string) (*db.User, error) {
		return s.auth.SetPassword(r.Context(), name, r.PostFormValue("password"))
	})
}

func (s *Server) themeChoose(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	theme := r.PostFormValue("theme")
	if !slices.Contains([]string{"", "light", "dark"}, theme) {
		return fault.New(fault.Invalid, "There is no such appearance.")
	}
	age := 365 * 24 * 3600
	if theme == "" {
		age = -1
	}
	http.SetCookie(w, s.cookie(themeCookie, theme, age))
	return s.done(w, r, localPath(cmp.Or(field(r, "back"), "/admin/settings/account")), "theme")
}

func (s *Server) aboutPage(w http.ResponseWriter, r *http.Request) error {
	all, err := s.engine.Status(r.Context())
	if err != nil {
		return err
	}
	here := s.engine.Stats()
	return s.render(w, r, http.StatusOK, views.About(views.AboutPage{
		Page: s.frame(w, r, "settings", "About"), StartedAt: here.StartedAt, GoVersion: runtime.Version(), Address: s.address(r),
		System: views.SystemFacts{Version: here.Version, Database: all.Database, Executors: all.Executors, Bytes: all.Size.Bytes},
	}), "")
}
