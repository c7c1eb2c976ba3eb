// Package harness drives the built binary: it builds penstock, starts, kills and stops its process,
// and speaks to its REST API. Tests of the whole program and the benchmark share it; nothing in it
// reaches into the program.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"penstock/db/seal"
)

// Build compiles penstock as it is released, without C and without symbols, and returns the path of
// the binary in dir.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "penstock")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build penstock: %w\n%s", err, out)
	}
	return binary, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(string(bytes.TrimSpace(out))), nil
}

// Options of a [Server]. All but Env are required.
type Options struct {
	Binary      string   // path of penstock
	DatabaseURL string   // sqlite:<path> or postgres://…
	Dir         string   // data directory; the log is written beside it
	Env         []string // further settings, NAME=value; later ones win
	Prefix      []string // a program that starts the binary, with its arguments, e.g. strace
}

// Server is one penstock that is started, killed and started again at the same address on the same
// store. It may be used by one goroutine; URL, OpsURL and Client by many.
type Server struct {
	URL, OpsURL string
	Client      *Client // as administrator

	options Options
	env     []string
	process *exec.Cmd
	ended   chan struct{} // closed when the process has been waited for
}

// NewServer chooses addresses and credentials. It starts nothing.
func NewServer(o Options) (*Server, error) {
	public, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	ops, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	const token = "administrator-of-the-test-installation"
	s := &Server{URL: "http://" + public, OpsURL: "http://" + ops, options: o}
	s.Client = &Client{URL: s.URL, Token: token, HTTP: &http.Client{Timeout: time.Minute}}
	s.env = append([]string{
		// Not the caller's environment: a proxy or a key in it would change what is tested.
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.Getenv("TMPDIR"),
		"PENSTOCK_LISTEN=" + public, "PENSTOCK_OPS_LISTEN=" + ops, "PENSTOCK_PUBLIC_URL=" + s.URL,
		"PENSTOCK_DATABASE_URL=" + o.DatabaseURL, "PENSTOCK_DATA_DIR=" + o.Dir, "PENSTOCK_SECRET_KEY=" + seal.NewKey(),
		"PENSTOCK_BOOTSTRAP_TOKEN=" + token, "PENSTOCK_ALLOW_PRIVATE_TARGETS=127.0.0.1/32", "PENSTOCK_LOG_LEVEL=warn",
	}, o.Env...)
	return s, nil
}

// FreeAddress is one of 127.0.0.1 on which nothing listens. It is below the range from which the
// system takes ports for outgoing connections: none of them can take it while the server is down.
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(10000)))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

// How long a server may take to be ready. It is a bound for what hangs, not a target.
const startLimit = 30 * time.Second

// Start starts the process and returns how long it took to be ready.
func (s *Server) Start(ctx context.Context) (time.Duration, error) {
	logFile, err := os.OpenFile(s.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = logFile.Close() }()
	command := slices.Concat(s.options.Prefix, []string{s.options.Binary, "serve"})
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Env, process.Stdout, process.Stderr = s.env, logFile, logFile
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what the prefix started ends with it
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	begin := time.Now()
	if err := process.Start(); err != nil {
		return 0, fmt.Errorf("start penstock: %w", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = process, ended
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	for time.Since(begin) < startLimit {
		if s.ready(ctx) {
			return time.Since(begin), nil
		}
		select {
		case <-ended:
			return 0, fmt.Errorf("penstock ended while it started (%s):\n%s", process.ProcessState, s.Log())
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return 0, errors.Join(fmt.Errorf("penstock was not ready within %s:\n%s", startLimit, s.Log()), s.Kill())
}

func (s *Server) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.OpsURL+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := s.Client.HTTP.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (s *Server) Kill() error {
	_, err := s.end(syscall.SIGKILL, 10*time.Second)
	return err
}

// Stop asks the process to end, and waits until it has, with status 0.
func (s *Server) Stop() error {
	status, err := s.end(syscall.SIGTERM, 40*time.Second)
	if err == nil && status != 0 {
		return fmt.Errorf("penstock was asked to end and ended with status %d:\n%s", status, s.Log())
	}
	return err
}

// end is harmless when no process runs.
func (s *Server) end(signal syscall.Signal, limit time.Duration) (status int, err error) {
	if s.process == nil {
		return 0, nil
	}
	if err := s.Signal(signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return 0, fmt.Errorf("end penstock: %w", err)
	}
	status, err = s.Wait(limit)
	if err != nil {
		return 0, fmt.Errorf("after %s %w", signal, err)
	}
	return status, nil
}

// Signal sends the process a signal.
func (s *Server) Signal(signal syscall.Signal) error {
	return syscall.Kill(-s.process.Process.Pid, signal)
}

// Wait waits until the process has ended and returns its exit status, -1 if a signal ended it.
func (s *Server) Wait(limit time.Duration) (status int, err error) {
	select {
	case <-s.ended:
		status = s.process.ProcessState.ExitCode()
		s.process = nil
		return status, nil
	case <-time.After(limit):
		return 0, fmt.Errorf("penstock did not end within %s:\n%s", limit, s.Log())
	}
}

// Alive reports whether the process runs.
func (s *Server) Alive() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// PID of the running process.
func (s *Server) PID() int { return s.process.Process.Pid }

// LogFile holds what every process of this server has printed.
func (s *Server) LogFile() string { return s.options.Dir + ".log" }

// Log is the end of what the processes have printed.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	const most = 8 << 10
	return string(text[max(0, len(text)-most):])
}
