package server

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"

	"penstock/auth"
	"penstock/fault"
)

func (s *Server) healthRoutes() []route {
	return []route{
		{"GET /healthz", s.healthz},
		{"GET /readyz", s.readyz},
		{"GET /", func(w http.ResponseWriter, r *http.Request) error {
			http.Redirect(w, r, "/admin/", http.StatusSeeOther)
			return nil
		}},
	}
}

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether deliveries are accepted and worked on.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if s.closing.Err() != nil {
		return fault.New(fault.Unavailable, "The server is shutting down.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := s.engine.Ready(ctx); err != nil {
		if f := fault.Of(err); f.Code != fault.Internal {
			return fault.Wrap(err, fault.Unavailable, "%s", f.Message)
		}
		return fault.Wrap(err, fault.Unavailable, "The engine is not ready.")
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// opsMux serves operators. Whoever reaches the listener may read health and metrics; profiles hold
// memory, so beyond this machine they need an administrator's token.
func (s *Server) opsMux(local bool) *http.ServeMux {
	mux := http.NewServeMux()
	plain := func(pattern string, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	plain("GET /healthz", s.healthz)
	plain("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.handler())
	profile := func(pattern string, h http.HandlerFunc) {
		plain(pattern, func(w http.ResponseWriter, r *http.Request) error {
			if !local {
				p, err := s.auth.Request(r)
				if err != nil {
					return err
				}
				if p.IsAnonymous() {
					return auth.ErrNoCredential
				}
				if !p.Has(auth.Admin) {
					return fault.New(fault.Forbidden, "Profiles need the scope \"admin\".")
				}
			}
			h(w, r)
			return nil
		})
	}
	profile("GET /debug/pprof/{$}", pprof.Index)
	profile("GET /debug/pprof/{name}", pprof.Index)
	profile("GET /debug/pprof/profile", pprof.Profile)
	profile("GET /debug/pprof/trace", pprof.Trace)
	profile("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}
