// Package server is HTTP: the REST doors, the admin pages, GraphQL's mount, health and metrics. It
// translates; the rules are in engine, db and auth. Every route is a line in a list and a line in
// auth's matrix, and every error leaves through one function.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/engine"
)

// Options of a [Server]. Store, Engine, Auth and GraphQL are required.
type Options struct {
	Store     *db.Store
	Engine    *engine.Engine
	Auth      *auth.Service
	PublicURL string       // absolute, without trailing slash; "" if none is configured
	Hosts     []string     // further names under which people and machines reach the server
	GraphQL   http.Handler // serves /graphql
	Presets   []Preset     // what a new definition can begin with
	Log       *slog.Logger // nil: discard

	// Recheck is how often a live page looks whether its reader may still see it; 0: every 5 s.
	Recheck time.Duration

	// Public and Ops are the open listeners of [Server.Run]; Ops may be nil.
	Public, Ops net.Listener
}

// Preset is a definition that a person can begin with.
type Preset struct {
	Name, Title string
	Config      []byte
}

// Server answers HTTP.
type Server struct {
	store     *db.Store
	engine    *engine.Engine
	auth      *auth.Service
	presets   []Preset
	publicURL string
	recheck   time.Duration
	log       *slog.Logger

	public, ops http.Handler
	listeners   [2]net.Listener
	metrics     *metrics
	closing     context.Context // ends when the server begins to stop
	beginClose  context.CancelFunc
}

// How long a stopping server waits for requests that are being answered.
const drain = 10 * time.Second

// New makes a server. It fails if a route has no line in auth's matrix.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		store: o.Store, engine: o.Engine, auth: o.Auth, presets: o.Presets, publicURL: o.PublicURL, log: o.Log,
		recheck:   cmp.Or(o.Recheck, 5*time.Second),
		listeners: [2]net.Listener{o.Public, o.Ops},
	}
	s.closing, s.beginClose = context.WithCancel(context.Background())
	s.metrics = newMetrics(o.Store, o.Engine, o.Log)
	mux, err := s.mux(s.all(o.GraphQL))
	if err != nil {
		return nil, err
	}
	public, err := newHosts(o.Public, o.PublicURL, o.Hosts)
	if err != nil {
		return nil, err
	}
	origin, err := newOrigins(o.PublicURL)
	if err != nil {
		return nil, err
	}
	ops, err := newHosts(o.Ops, o.PublicURL, o.Hosts)
	if err != nil {
		return nil, err
	}
	s.public = s.wrap(public, origin, mux)
	s.ops = s.wrap(ops, origin, s.opsMux(loopback(o.Ops)))
	return s, nil
}

// Handler is what the public listener serves.
func (s *Server) Handler() http.Handler { return s.public }

// OpsHandler is what the listener for operators serves: health, metrics, profiles.
func (s *Server) OpsHandler() http.Handler { return s.ops }

// Run serves until ctx ends, then stops accepting, ends live streams and waits up to ten seconds for
// the requests that are being answered.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	failed := make(chan error, 2)
	var servers []*http.Server
	for i, h := range []http.Handler{s.public, s.ops} {
		if s.listeners[i] == nil {
			continue
		}
		srv := s.httpServer(h)
		servers = append(servers, srv)
		wg.Go(func() {
			if err := srv.Serve(s.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.listeners[i].Addr(), err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.beginClose()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, srv := range servers {
		wg.Go(func() {
			if srv.Shutdown(stop) != nil {
				_ = srv.Close()
			}
		})
	}
	wg.Wait()
	return err
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      maxWait + 30*time.Second, // streams lift it for themselves
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// untilClosing returns r's context, which also ends when the server begins to stop: for answers that
// wait or stream.
func (s *Server) untilClosing(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}
