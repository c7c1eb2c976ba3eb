//go:build conformance

// Package conformance_test runs other people's suites, clients and tools for GraphQL against the built binary in its
// default configuration. It needs node and npm; their versions are locked beside it.
package conformance_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"penstock/e2e/harness"
)

func TestConformance(t *testing.T) {
	binary, err := harness.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	server, err := harness.NewServer(harness.Options{Binary: binary, Dir: data, DatabaseURL: "sqlite:" + filepath.Join(data, "penstock.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Start(context.WithoutCancel(t.Context())); err != nil { // the clean-up ends it
		t.Fatal(err)
	}
	run := func(t *testing.T, dir, name string, args ...string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "PENSTOCK_URL="+server.URL, "PENSTOCK_TOKEN="+server.Client.Token)
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatalf("%s %s: %v", name, args, err)
		}
	}
	run(t, ".", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	for _, suite := range []string{"audits", "protocol", "clients", "apollo", "urql", "tools"} {
		t.Run(suite, func(t *testing.T) { run(t, ".", "node", suite+".mjs") })
	}
	t.Run("genqlient", func(t *testing.T) {
		run(t, "genqlient", "go", "generate", ".")
		run(t, "genqlient", "go", "run", ".")
	})
}
