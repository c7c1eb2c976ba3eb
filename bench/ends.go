package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
)

// receiver is where deliveries end. It runs in this process: its clock is the senders' clock.
type receiver struct {
	url     string
	server  *http.Server
	unknown atomic.Int64 // requests that carry no delivery
	away    atomic.Bool  // it takes nothing: 503
}

func newReceiver(l *ledger) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String() + "/"}
	r.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // broken off: not a delivery
		}
		if r.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if n, err := numberIn(body); err != nil || !l.receive(n) {
			r.unknown.Add(1)
		}
		w.WriteHeader(http.StatusOK)
	})}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) close() error { return r.server.Close() }

// relayVariable makes this program the relay: its value is where to pass requests on.
const relayVariable = "PENSTOCK_BENCH_RELAY"

// relay is what no store costs: a request in, the same body out, then the answer. It prints its
// address and ends when its standard input does.
func relay(target string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			answer, err := client.Post(target, "application/json", bytes.NewReader(body))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			w.WriteHeader(http.StatusAccepted)
		}))
	}()
	fmt.Println("http://" + listener.Addr().String() + "/")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startRelay starts the relay as a process of its own, as the store's is.
func startRelay(ctx context.Context, target string) (url string, stop func() error, err error) {
	url, _, stop, err = startSelf(ctx, relayVariable+"="+target)
	return url, stop, err
}

// startSelf starts this program as another process, which prints its address and ends with its standard input.
func startSelf(ctx context.Context, env string) (url string, pid int, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, nil, err
	}
	process := exec.CommandContext(ctx, self)
	process.Env = append(os.Environ(), env)
	process.Stderr = os.Stderr
	stdin, err := process.StdinPipe()
	if err != nil {
		return "", 0, nil, err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return "", 0, nil, err
	}
	if err := process.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() error {
		if err := stdin.Close(); err != nil {
			return err
		}
		return process.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", 0, nil, fmt.Errorf("start the bare server: %w", errors.Join(err, stop()))
	}
	return strings.TrimSpace(line), process.Process.Pid, stop, nil
}
