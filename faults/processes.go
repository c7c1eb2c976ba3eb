package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// secondProcess is R30 on SQLite: one file is one process's.
func secondProcess(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", 20, s)
	if err != nil {
		return err
	}
	second, err := w.server(ctx)
	if err != nil {
		return err
	}
	w.injected("second process")
	if _, err := second.Start(ctx); err == nil {
		w.problem("a second process works on the same file")
	} else if want := "in use by another penstock process"; !strings.Contains(second.Log(), want) {
		w.problem("the second process was refused without the words %q: %s", want, second.Log())
	}
	if status, err := second.Wait(10 * time.Second); err != nil || status == 0 {
		w.problem("the second process: status %d %v, want one that is not 0", status, err)
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	return w.finish(ctx, f, 20)
}

// several starts n processes at the same moment on an empty database and sets one of them up.
func (w *world) several(ctx context.Context, n int) ([]*harness.Server, error) {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		s, err := w.server(ctx)
		if err != nil {
			return nil, err
		}
		group.Go(func() { _, errs[i] = s.Start(ctx) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			w.problem("process %d of %d that started at once: %v", i+1, n, err)
			return nil, err
		}
	}
	return w.servers, w.setUp(ctx, w.servers[0].Client)
}

// manyProcesses is R30 on PostgreSQL: three processes give the result of one, through the death of one and the
// return of a zombie.
func manyProcesses(ctx context.Context, w *world) error {
	servers, err := w.several(ctx, 3)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(60, 30), servers...)
	if err != nil {
		return err
	}
	for range w.count(5, 1) {
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := w.killOne(ctx, servers[2]); err != nil {
			return err
		}
		if err := w.zombie(ctx, servers[1]); err != nil {
			return err
		}
	}
	return w.finish(ctx, f, 60)
}

// killOne kills a process and waits until every run that it may have had in hand has ended on another.
func (w *world) killOne(ctx context.Context, s *harness.Server) error {
	alive := w.servers[0].Client
	var page struct {
		Pipelines []struct {
			RunID  string `json:"run_id"`
			Status string
		}
	}
	if err := s.Kill(); err != nil {
		return err
	}
	died := time.Now()
	w.injected("kill -9 of one process")
	if err := alive.Call(ctx, http.MethodGet, "/orchestration/pipelines/?status=pending,running&limit=100", nil, &page); err != nil {
		return err
	}
	if len(page.Pipelines) == 0 {
		w.problem("no run was under way when a process was killed: nothing is proved")
	}
	err := until(ctx, "the runs of a killed process go on elsewhere", 60*time.Second, func() (bool, error) {
		for _, r := range page.Pipelines {
			var run struct{ Status string }
			if err := alive.Call(ctx, http.MethodGet, "/orchestration/pipeline/"+r.RunID+"/", nil, &run); err != nil {
				return false, err
			}
			if run.Status == "pending" || run.Status == "running" {
				return false, fmt.Errorf("run %s is %s", r.RunID, run.Status)
			}
		}
		return true, nil
	})
	if err != nil {
		w.problem("%v", err)
	}
	w.recovered("the end of every run of a killed process", time.Since(died), 10*time.Second)
	_, err = s.Start(ctx)
	return err
}

// zombie stops a process for five seconds, long enough for a host that comes back from a migration. Its
// connections stay, so nobody takes its runs over; what it holds in hand ends when it wakes.
func (w *world) zombie(ctx context.Context, s *harness.Server) error {
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	w.injected("SIGSTOP for 5 s")
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	return s.Signal(syscall.SIGCONT)
}

// hung stops a process for longer than others wait for a sign of it. What it had in hand ends elsewhere; when it
// wakes, nothing that it still writes counts.
func hung(ctx context.Context, w *world) error {
	servers, err := w.several(ctx, 3)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", 30, servers...)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := servers[1].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	stopped := time.Now()
	w.injected("SIGSTOP until it is taken over")
	if err := f.stop(30 * time.Second); err != nil {
		return err
	}
	if err := w.settled(ctx, servers[0]); err != nil {
		w.problem("%v", err)
	}
	w.recovered("the end of every run of a process that hangs", time.Since(stopped), 60*time.Second)
	w.woken = true
	if err := servers[1].Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil { // it says what it still has to say
		return err
	}
	return w.finish(ctx, f, 60)
}

// seenElsewhere: a run that one process works is watched on a second and cancelled on a third.
func seenElsewhere(ctx context.Context, w *world) error {
	servers, err := w.several(ctx, 3)
	if err != nil {
		return err
	}
	w.receiver.Always(notifytest.Reply{Delay: 8 * time.Second})
	var slowest time.Duration
	for n := range w.count(10, 3) {
		run, _, err := w.post(ctx, servers[0], "diamond", alertBody(int64(n)))
		if err != nil {
			return err
		}
		w.Accepted++
		told, err := w.watch(ctx, servers[1], run, func() error {
			w.injected("cancel from another process")
			return w.cancel(ctx, servers[2], run)
		})
		if err != nil {
			w.problem("run %s: %v", run, err)
			continue
		}
		slowest = max(slowest, told)
	}
	w.note("a run's events reached a subscriber on another process; a cancel from a third was seen there after %.0f ms at most", seconds(slowest)*1000)
	w.recovered("the end of a run that another process cancelled", slowest, 2*time.Second)
	return nil
}

// watch subscribes to a run on a server, waits until the stage that hangs is seen, calls then, and returns how
// long it took to see the run cancelled.
func (w *world) watch(ctx context.Context, s *harness.Server, runID string, then func() error) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	query, err := json.Marshal(map[string]any{
		"query":     "subscription($id: ID!) { runProgress(runId: $id) { __typename ... on StageStatusChanged { nodeId status } ... on RunFinished { status } } }",
		"variables": map[string]any{"id": runID},
	})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/graphql", bytes.NewReader(query))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+s.Client.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := s.Client.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	var asked time.Time
	lines := bufio.NewScanner(answer.Body)
	var got []string
	for lines.Scan() {
		line := lines.Text()
		got = append(got, line)
		switch {
		case strings.Contains(line, `"first"`) && strings.Contains(line, "RUNNING") && asked.IsZero():
			asked = time.Now()
			if err := then(); err != nil {
				return 0, err
			}
		case strings.Contains(line, "RunFinished") && strings.Contains(line, "CANCELLED") && !asked.IsZero():
			return time.Since(asked), nil
		case strings.Contains(line, `"errors"`):
			return 0, errors.New(line)
		}
	}
	return 0, fmt.Errorf("the subscription ended before the run was seen cancelled: %w, after %q", lines.Err(), got)
}

func (w *world) cancel(ctx context.Context, s *harness.Server, runID string) error {
	var answer struct {
		Data struct {
			CancelRun struct{ UserErrors []struct{ Message string } }
		}
		Errors []struct{ Message string }
	}
	query := map[string]any{
		"query":     "mutation($id: ID!) { cancelRun(input: {runId: $id, reason: \"a test\"}) { userErrors { message } } }",
		"variables": map[string]any{"id": runID},
	}
	if err := s.Client.Call(ctx, http.MethodPost, "/graphql", query, &answer); err != nil {
		return err
	}
	if len(answer.Errors)+len(answer.Data.CancelRun.UserErrors) > 0 {
		return fmt.Errorf("cancel: %v %v", answer.Errors, answer.Data.CancelRun.UserErrors)
	}
	return nil
}
