//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"penstock/e2e/harness"
)

// binary is the penstock that all tests start.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "penstock-e2e-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			binary, err = harness.Build(context.Background(), dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// newServer makes a server on the database; the test starts it. Whatever still runs at the end of the
// test is killed, and the log is shown if the test failed.
func newServer(t *testing.T, databaseURL string, env ...string) *harness.Server {
	t.Helper()
	s, err := harness.NewServer(harness.Options{
		Binary: binary, DatabaseURL: databaseURL, Dir: filepath.Join(t.TempDir(), "data"), Env: env,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of penstock:\n%s", s.Log())
		}
	})
	return s
}

// start starts the server and returns when it is ready.
func start(t *testing.T, s *harness.Server) time.Duration {
	t.Helper()
	took, err := s.Start(context.WithoutCancel(t.Context())) // the clean-up ends it
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// eventually asks until the answer is yes, and fails the test when it is not within the limit.
func eventually(t *testing.T, what string, limit time.Duration, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
