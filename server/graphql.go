package server

import (
	"net/http"
	"strings"
	"time"

	"penstock/auth"
	"penstock/graph"
)

func (s *Server) graphqlRoutes(graphql http.Handler) []route {
	playground := graph.Playground()
	serve := func(h http.Handler) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		}
	}
	api := func(w http.ResponseWriter, r *http.Request) error {
		if isUpgrade(r) || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			ctx, cancel := s.untilClosing(r)
			defer cancel()
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it lasts as long as its subscriptions
			r = r.WithContext(ctx)
		}
		graphql.ServeHTTP(w, r)
		return nil
	}
	return []route{
		{"POST /graphql/", api},
		{"GET /graphql/", func(w http.ResponseWriter, r *http.Request) error {
			if !isUpgrade(r) {
				p, _ := auth.From(r.Context())
				if err := auth.Allowed(p, "POST /graphql/"); err != nil {
					return err
				}
			}
			return api(w, r)
		}},
		{"GET /playground/", serve(playground)},
		{"GET /playground/{file}", serve(playground)},
	}
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
