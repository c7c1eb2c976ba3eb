package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

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
