package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"penstock/auth"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/graph"
	"penstock/views"
)

// writeJSON answers with a document. Text is not escaped for HTML: the content type says JSON, and
// nosniff keeps it that.
func writeJSON(w http.ResponseWriter, status int, doc any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return gone(enc.Encode(doc))
}

// gone drops the error of writing to a caller who has left: there is nobody to tell.
func gone(err error) error {
	if _, bad := errors.AsType[*json.UnsupportedValueError](err); bad {
		return err
	}
	if _, bad := errors.AsType[*json.MarshalerError](err); bad {
		return err
	}
	return nil
}

// status of a fault in HTTP.
func status(code fault.Code) int {
	switch code {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Unprocessable:
		return http.StatusUnprocessableEntity
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// problem is the body of every JSON error.
type problem struct {
	Error     string             `json:"error"`
	Errors    []definition.Issue `json:"errors,omitzero"`
	Warnings  []definition.Issue `json:"warnings,omitzero"`
	RequestID string             `json:"request_id,omitempty"`
}

// fail is the one place where an error becomes an answer.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil { // the caller has left: whatever failed, failed because of that
		err = fault.Wrap(err, fault.Unavailable, "The request was given up.")
	}
	f := fault.Of(err)
	code := status(f.Code)
	if code == http.StatusInternalServerError {
		s.log.Error("request failed", "request_id", requestID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
	} else if s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.log.Debug("request refused", "request_id", requestID(r.Context()), "method", r.Method, "path", r.URL.Path, "status", code, "err", err)
	}
	s.refuse(w, r, code, f, err)
}

// refuse writes f with a status of its own.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, code int, f *fault.Error, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch code {
	case http.StatusUnauthorized:
		if wantsPage(r) && r.Header.Get("Authorization") == "" && s.sendToLogin(w, r) {
			return
		}
		h.Set("WWW-Authenticate", `Bearer realm="penstock"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter(f.After))
	}
	if wantsPage(r) {
		s.errorPage(w, r, code, f)
		return
	}
	if strings.TrimSuffix(r.URL.Path, "/") == "/graphql" {
		graph.Refuse(w, r, code, f, requestID(r.Context()))
		return
	}
	p := problem{Error: f.Message}
	if f.Code == fault.Internal {
		p.Error, p.RequestID = "internal error", requestID(r.Context())
	}
	if invalid, ok := errors.AsType[*engine.InvalidError](err); ok {
		p.Errors, p.Warnings = invalid.Validation.Errors, invalid.Validation.Warnings
	}
	_ = writeJSON(w, code, p)
}

func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, code int, f *fault.Error) {
	message := f.Message
	if f.Code == fault.Internal {
		message = "Something went wrong here. Tell your administrator this request id: " + requestID(r.Context())
	}
	title := http.StatusText(code)
	if code == http.StatusUnauthorized && r.Method == http.MethodPost && r.Header.Get("Authorization") == "" {
		title, message = "You are signed out", "Nothing was saved. Sign in in another tab, then load this page again: what you sent is sent once more."
	}
	if _, known := auth.From(r.Context()); !known && (code == http.StatusNotFound || code == http.StatusMethodNotAllowed) { // no route asked who it is
		if p, err := s.auth.Request(r); err == nil {
			r = r.WithContext(auth.With(r.Context(), p))
		}
	}
	page := views.Page{Title: title}
	if may(r, "GET /admin/") {
		section, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/admin/"), "/")
		page = s.frame(w, r, section, page.Title)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	if r.Method == http.MethodHead {
		return
	}
	if err := views.ErrorPage(page, code, message).Render(r.Context(), w); err != nil {
		s.log.Error("error page", "request_id", requestID(r.Context()), "err", err)
	}
}

// sendToLogin leads a person without a session to the sign-in page and back.
func (s *Server) sendToLogin(w http.ResponseWriter, r *http.Request) bool {
	target := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/admin/" && r.URL.Path != "/admin" {
		target += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("HX-Request") == "true" { // a redirect would be followed and swapped into the page
		w.Header().Set("HX-Redirect", "/login")
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return true
}

// wantsPage reports whether a person reads the answer.
func wantsPage(r *http.Request) bool {
	for _, prefix := range []string{"/admin", "/login", "/logout", "/setup", "/playground"} {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			return true
		}
	}
	return false
}

func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// actor is who is recorded as the author of what the request does.
func actor(r *http.Request) string {
	p, _ := auth.From(r.Context())
	return p.Name
}

func isAdmin(r *http.Request) bool {
	p, _ := auth.From(r.Context())
	return p.Has(auth.Admin)
}
