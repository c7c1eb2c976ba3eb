package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// copied kills a process with runs under way, copies its database to one of the other kind and starts there: the
// runs go on, and those who sent find that their alerts are known.
func copied(ctx context.Context, w *world) error {
	s, f, err := w.underLoad(ctx, 30)
	if err != nil {
		return err
	}
	if err := s.Kill(); err != nil {
		return err
	}
	if err := f.stop(0); err != nil { // what was not acknowledged is forgotten
		return err
	}
	w.injected("kill -9, then copy")
	source := w.url
	w.url = ""
	if w.Store == sqlite {
		w.Store = postgres // the target's kind, for what makes and checks it
		defer func() { w.Store = sqlite }()
	} else {
		w.Store = sqlite
		defer func() { w.Store = postgres }()
	}
	if err := w.database(ctx); err != nil {
		return err
	}
	before, err := readHistory(ctx, source)
	if err != nil {
		return err
	}
	open := 0
	for _, r := range before.runs {
		if r.status == "running" {
			open++
		}
	}
	if open == 0 {
		w.problem("no run was under way when the process was killed: nothing is proved")
	}
	began := time.Now()
	out, err := exec.CommandContext(ctx, w.binary, "copy", "--from", source, "--to", w.url).CombinedOutput()
	if err != nil {
		return fmt.Errorf("penstock copy: %w: %s", err, out)
	}
	w.note("%d runs were under way and went on at the target; the copy took %.1f s", open, time.Since(began).Seconds())
	again, err := w.server(ctx)
	if err != nil {
		return err
	}
	if _, err := again.Start(ctx); err != nil {
		return err
	}
	if err := w.settled(ctx, again); err != nil {
		w.problem("%v", err)
	}
	w.recovered("the end of every run after the copy", time.Since(began), 60*time.Second)
	if err := again.Stop(); err != nil {
		w.problem("%v", err)
	}
	return w.check(ctx, f, 20)
}
