package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPanic(t *testing.T) {
	t.Parallel()
	log := new(bytes.Buffer)
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/page", func(http.ResponseWriter, *http.Request) { panic("canary") })
	mux.HandleFunc("GET /api", func(http.ResponseWriter, *http.Request) { panic("canary") })
	mux.HandleFunc("GET /begun", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("canary") })
	h := s.wrap(hosts{loopback: true}, http.NewCrossOriginProtection(), mux)
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		return w
	}
	for _, path := range []string{"/api", "/admin/page"} {
		log.Reset()
		w := ask(path)
		id := w.Header().Get("X-Request-Id")
		if w.Code != 500 || id == "" || !strings.Contains(w.Body.String(), id) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "canary") || strings.Contains(w.Body.String(), ".go") {
			t.Errorf("%s: the answer tells what happened inside: %s", path, w.Body)
		}
		if !strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "panic_test.go") || !strings.Contains(log.String(), id) {
			t.Errorf("%s: the log does not: %s", path, log)
		}
	}
	t.Run("cuts an answer that has begun", func(t *testing.T) {
		defer func() {
			if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				t.Error("the answer ends as if it were whole")
			}
		}()
		ask("/begun")
	})
}
