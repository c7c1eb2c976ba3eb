package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/a-h/templ"

	"penstock/auth"
	"penstock/fault"
)

type requestIDKey struct{}

// requestID of the request; it is in every answer's X-Request-Id and in the log beside an error.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// wrap puts around a mux what every request passes, in this order: recover, request id, security
// headers, Host, path, origin.
func (s *Server) wrap(hosts hosts, origin *http.CrossOriginProtection, mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		id, nonce := rand.Text(), randomNonce()
		ctx := context.WithValue(r.Context(), requestIDKey{}, id)
		r = r.WithContext(templ.WithNonce(ctx, nonce))
		defer s.recover(rec, r)
		w.Header().Set("X-Request-Id", id)
		s.securityHeaders(w.Header(), nonce)

		if err := hosts.check(r.Host); err != nil {
			s.refuse(rec, r, http.StatusMisdirectedRequest, err, err)
			return
		}
		if !cleanPath(r.URL) {
			s.fail(rec, r, errNoPage)
			return
		}
		if err := origin.Check(r); err != nil {
			s.fail(rec, r, fault.Wrap(err, fault.Forbidden, "A page of another site may not do this."))
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.unrouted(rec, r, mux)
			return
		}
		mux.ServeHTTP(rec, r)
	})
}

var errNoPage = fault.New(fault.NotFound, "There is nothing at this address.")

// unrouted answers what no route does: 405 if the path answers other methods, else 404.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	methods := allowedMethods(mux, r)
	if len(methods) == 0 {
		s.fail(w, r, errNoPage)
		return
	}
	allow := strings.Join(methods, ", ")
	w.Header().Set("Allow", allow)
	f := fault.New(fault.Invalid, "This address answers %s only.", allow)
	s.refuse(w, r, http.StatusMethodNotAllowed, f, f)
}

// guard authenticates, asks the matrix, runs the handler and counts.
func (s *Server) guard(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		p, err := s.auth.Request(r)
		if err == nil {
			r = r.WithContext(auth.With(r.Context(), p))
			err = auth.Allowed(p, route.Pattern)
		} else if auth.Allowed(auth.Principal{}, route.Pattern) == nil && r.Header.Get("Authorization") == "" {
			err = nil // a broken session must not keep anybody from signing in, nor a dead store from health
		}
		if err == nil {
			err = route.Handler(w, r)
		}
		rec, _ := w.(*recorder)
		if err != nil && (rec == nil || rec.status == 0) {
			s.fail(w, r, err)
		} else if err != nil {
			s.log.Error("answer broken off", "request_id", requestID(r.Context()), "route", route.Pattern, "err", err)
		}
		if rec != nil {
			s.metrics.observe(route.Pattern, rec.status, time.Since(start))
		}
	})
}

func (s *Server) recover(w *recorder, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	s.log.Error("handler panicked", "request_id", requestID(r.Context()), "method", r.Method, "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // the answer has begun: cut the connection rather than end it as if it were whole
	}
	f := fault.New(fault.Internal, "internal error")
	s.refuse(w, r, http.StatusInternalServerError, f, f)
}

func (s *Server) securityHeaders(h http.Header, nonce string) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // static files say otherwise for themselves
	if strings.HasPrefix(s.publicURL, "https:") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func randomNonce() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// cleanPath refuses what ServeMux would redirect and proxies read differently: doubled slashes, dots,
// encoded or not.
func cleanPath(u *url.URL) bool {
	p := u.Path
	if p == "" || p[0] != '/' || strings.ContainsAny(p, "\\\x00") {
		return false
	}
	clean := path.Clean(p)
	return p == clean || p == clean+"/"
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach flushing, hijacking and deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush serves writers that ask for a http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }
