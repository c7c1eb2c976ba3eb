package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"penstock/db/dbtest"
	"penstock/e2e/harness"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"penstock": func() { os.Exit(run(os.Args)) }})
}

// TestScripts runs the program as people do; testdata/script/README.md explains the extra commands.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts(t, "testdata/script", func(*testscript.Env) {})
}

// TestScriptsPostgres does so on an empty PostgreSQL database per script.
func TestScriptsPostgres(t *testing.T) {
	t.Parallel()
	scripts(t, "testdata/postgres", func(e *testscript.Env) {
		e.Setenv("PENSTOCK_DATABASE_URL", dbtest.Postgres(e.T().(testing.TB)))
	})
}

func scripts(t *testing.T, dir string, setup func(*testscript.Env)) {
	examples, err := filepath.Abs("examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PENSTOCK_OPS_LISTEN", "off")
			e.Setenv("PENSTOCK_DATA_DIR", e.WorkDir+"/data")
			e.Setenv("EXAMPLES", examples)
			setup(e)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort, "ready": ready, "call": call, "mode": mode, "token": tokenFromFile, "terminate": terminate,
		},
	})
}

// freeport sets PENSTOCK_LISTEN and URL to an address that nobody listens on.
func freePort(ts *testscript.TestScript, _ bool, _ []string) {
	address, err := harness.FreeAddress() // which no connection of another test can take meanwhile
	ts.Check(err)
	ts.Setenv("PENSTOCK_LISTEN", address)
	ts.Setenv("URL", "http://"+address)
}

// ready waits until the server at $URL says it is.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		res, err := http.Get(ts.Getenv("URL") + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not ready: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // another process has no other signal
	}
}

// call METHOD PATH STATUS [FILE] sends a request with $TOKEN and prints the body of the answer.
func call(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: call METHOD PATH STATUS [FILE]")
	}
	var body io.Reader
	if len(args) == 4 {
		body = strings.NewReader(ts.ReadFile(args[3]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, args[0], ts.Getenv("URL")+args[1], body)
	ts.Check(err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := ts.Getenv("TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(append(data, '\n'))
	ts.Check(err)
	if strconv.Itoa(res.StatusCode) != args[2] {
		ts.Fatalf("%s %s: %s\n%s", args[0], args[1], res.Status, bytes.TrimSpace(data))
	}
}

// mode FILE PERMISSIONS compares a file's mode.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, not %s", args[0], got, args[1])
	}
}

// token FILE sets $TOKEN to the file's first word, "token -" to nothing.
func tokenFromFile(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "-" {
		ts.Setenv("TOKEN", "")
		return
	}
	ts.Setenv("TOKEN", strings.TrimSpace(ts.ReadFile(args[0])))
}

// terminate sends SIGTERM, as service managers do, to the newest program in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	running := ts.BackgroundCmds()
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGTERM))
}
