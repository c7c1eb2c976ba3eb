package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"penstock/auth"
)

// TestAddresses: every page of the admin is measured.
func TestAddresses(t *testing.T) {
	mux, missing := http.NewServeMux(), map[string]bool{}
	for pattern := range auth.Matrix() {
		if !strings.HasPrefix(pattern, "GET /admin/") || strings.HasSuffix(pattern, "/live") || strings.HasSuffix(pattern, "/json") {
			continue
		}
		missing[pattern] = true
		mux.HandleFunc(strings.TrimSuffix(pattern, "/")+"/{$}", func(http.ResponseWriter, *http.Request) { delete(missing, pattern) })
	}
	for _, address := range addresses(100) {
		r := httptest.NewRequest(http.MethodGet, address, nil)
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/") + "/"
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	for pattern := range missing {
		t.Errorf("%s is not measured", pattern)
	}
}
