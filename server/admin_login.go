package server

import (
	"net/http"
	"net/url"
	"strings"

	"penstock/auth"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) loginForm(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	if p, ok := auth.From(r.Context()); ok && p.Kind == auth.KindSession {
		return s.done(w, r, next, "")
	}
	return s.render(w, r, http.StatusOK, views.Login(views.LoginPage{Next: next}), "")
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := views.LoginPage{Next: localPath(r.PostFormValue("next")), Name: r.PostFormValue("name")}
	err := s.auth.Login(w, r, page.Name, r.PostFormValue("password"))
	if err == nil {
		return s.done(w, r, page.Next, "")
	}
	f := fault.Of(err)
	switch f.Code {
	case fault.Unauthorized:
	case fault.RateLimited:
		w.Header().Set("Retry-After", retryAfter(f.After))
	default:
		return err
	}
	page.Error = f.Message
	return s.render(w, r, status(f.Code), views.Login(page), "")
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if err := s.auth.Logout(w, r); err != nil {
		return err
	}
	return s.done(w, r, "/login", "")
}

// setupForm opens from the one-time link on the server's console.
func (s *Server) setupForm(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	if err := s.auth.CheckSetup(r.Context(), token); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Setup(views.SetupPage{Token: token}), "")
}

func (s *Server) setup(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := views.SetupPage{Token: r.PostFormValue("token"), Name: r.PostFormValue("name")}
	err := s.auth.Setup(w, r, page.Token, page.Name, r.PostFormValue("password"))
	if err == nil {
		return s.done(w, r, "/admin/", "")
	}
	if !fault.Is(err, fault.Invalid) {
		return err
	}
	page.Problem = fault.Of(err).Message
	return s.render(w, r, http.StatusBadRequest, views.Setup(page), "")
}

// localPath is a page of ours to go to after signing in, never another site nor a path that a browser
// would read differently.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !cleanPath(u) {
		return "/admin/"
	}
	if u.Path != "/playground" && !strings.HasPrefix(u.Path, "/playground/") && !strings.HasPrefix(u.Path, "/admin/") {
		return "/admin/"
	}
	return u.RequestURI()
}
