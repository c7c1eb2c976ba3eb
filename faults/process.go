package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"penstock/e2e/harness"
)

// used is what a process holds.
type used struct{ goroutines, files int }

func usedBy(ctx context.Context, s *harness.Server) (used, error) {
	goroutines, err := metric(ctx, s, "go_goroutines")
	if err != nil {
		return used{}, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	return used{int(goroutines), len(files)}, err
}

// metric reads a figure from the operators' listener.
func metric(ctx context.Context, s *harness.Server, name string) (float64, error) {
	c := &harness.Client{URL: s.OpsURL, HTTP: s.Client.HTTP}
	status, _, body, err := c.Send(ctx, http.MethodGet, "/metrics", nil)
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("GET /metrics: %d %w", status, err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// backToNormal is I8: within a minute the process holds about what it held before.
func (w *world) backToNormal(ctx context.Context, s *harness.Server, before used) {
	err := until(ctx, "goroutines and files are back to what they were", time.Minute, func() (bool, error) {
		now, err := usedBy(ctx, s)
		if err == nil && (now.goroutines > before.goroutines+max(before.goroutines/10, 40) || now.files > before.files+max(before.files/10, 40)) {
			err = fmt.Errorf("%d goroutines and %d files, before %d and %d", now.goroutines, now.files, before.goroutines, before.files)
		}
		return err == nil, err
	})
	if err == nil {
		return
	}
	w.problem("I8: %v", err)
	c := &harness.Client{URL: s.OpsURL, HTTP: s.Client.HTTP}
	if _, _, dump, err := c.Send(ctx, http.MethodGet, "/debug/pprof/goroutine?debug=1", nil); err == nil {
		fmt.Fprintf(os.Stderr, "faults: goroutines:\n%.8000s\n", dump)
	}
}

// checkReadable: people can look at what there is.
func (w *world) checkReadable(ctx context.Context, s *harness.Server) {
	c := &harness.Client{URL: s.URL, Token: s.Client.Token, HTTP: &http.Client{Timeout: 5 * time.Second}}
	for _, path := range []string{"/admin/runs", "/admin/definitions/diamond", "/orchestration/pipelines/?limit=10"} {
		if status, _, body, err := c.Send(ctx, http.MethodGet, path, nil); err != nil || status != http.StatusOK {
			w.problem("%s during the fault: %d %v: %.200s", path, status, err, body)
		}
	}
}

// checkHealth: the process lives, says so, says that it cannot work, and shows its figures.
func (w *world) checkHealth(ctx context.Context, s *harness.Server, mayBeReady bool) {
	ops := &harness.Client{URL: s.OpsURL, HTTP: &http.Client{Timeout: 5 * time.Second}}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK} {
		status, _, body, err := ops.Send(ctx, http.MethodGet, path, nil)
		if err == nil && mayBeReady && path == "/readyz" && status == http.StatusOK {
			continue
		}
		if err != nil || status != want {
			w.problem("%s during the fault: %d %v, want %d: %.200s", path, status, err, want, body)
		}
	}
}
