package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"penstock/auth"
	"penstock/fault"
)

// handler answers a request or returns an error, which the server writes: as JSON, or as a page
// where a person reads it. The message of a marked error (package fault) is shown; any other error
// is "internal error" with the request's id, and its text goes to the log.
type handler func(http.ResponseWriter, *http.Request) error

// route is a method, a path pattern and what answers it. The pattern is the key of the route in
// auth's matrix. A path that ends in "/" is that path only, and works without the slash too.
type route struct {
	Pattern string
	Handler handler
}

// Route is a line of the list of routes.
type Route struct {
	Pattern string
	Scope   auth.Scope
}

// Routes lists every route of the public listener with the scope it needs, by path.
func Routes() ([]Route, error) {
	routes := new(Server).all(http.NotFoundHandler())
	matrix := auth.Matrix()
	list := make([]Route, 0, len(routes))
	for _, r := range routes {
		scope, ok := matrix[r.Pattern]
		if !ok {
			return nil, noScope(r.Pattern)
		}
		list = append(list, Route{r.Pattern, scope})
	}
	slices.SortStableFunc(list, func(a, b Route) int {
		_, pathA, _ := strings.Cut(a.Pattern, " ")
		_, pathB, _ := strings.Cut(b.Pattern, " ")
		return strings.Compare(pathA, pathB)
	})
	return list, nil
}

// all lists the routes of every topic.
func (s *Server) all(graphql http.Handler) []route {
	return slices.Concat(s.healthRoutes(), s.alertRoutes(), s.definitionRoutes(), s.scheduleRoutes(), s.runRoutes(), s.channelRoutes(), s.notificationRoutes(), s.sourceRoutes(), s.statusRoutes(),
		s.tokenRoutes(), s.graphqlRoutes(graphql), s.adminRoutes())
}

func noScope(pattern string) error {
	return fault.New(fault.Internal, "The route %q has no scope in auth/matrix.go.", pattern)
}

// mux registers the routes behind authentication and the matrix. It refuses a route that the matrix
// does not know.
func (s *Server) mux(routes []route) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	matrix := auth.Matrix()
	for _, r := range routes {
		if _, ok := matrix[r.Pattern]; !ok {
			return nil, noScope(r.Pattern)
		}
		h := s.guard(r)
		for _, pattern := range spellings(r.Pattern) {
			mux.Handle(pattern, h)
		}
	}
	return mux, nil
}

// spellings are the patterns under which a route is registered: with and without the last slash.
func spellings(pattern string) []string {
	method, path, _ := strings.Cut(pattern, " ")
	if !strings.HasSuffix(path, "/") {
		return []string{pattern}
	}
	if path == "/" {
		return []string{method + " /{$}"}
	}
	return []string{method + " " + path + "{$}", method + " " + strings.TrimSuffix(path, "/")}
}

// allowedMethods are those that some route of the mux answers for the request's path.
func allowedMethods(mux *http.ServeMux, r *http.Request) []string {
	methods := map[string]bool{}
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "" {
			methods[m] = true
		}
	}
	return slices.Sorted(maps.Keys(methods))
}
