package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"penstock/e2e/harness"
)

// drained is R28: SIGTERM under load with a slow analyser at work, once, and then twice in a row.
func drained(ctx context.Context, w *world) error {
	asked := make(chan struct{}, 100)
	analyser := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the caller has gone
		asked <- struct{}{}
		<-r.Context().Done() // it thinks, and never answers
	}))
	w.atEnd(func() error { analyser.CloseClientConnections(); analyser.Close(); return nil })
	s, err := w.installation(ctx, "OPENAI_API_KEY=key", "OPENAI_BASE_URL="+analyser.URL)
	if err != nil {
		return err
	}
	slow := fmt.Sprintf(`{"version": "1.0", "nodes": [
		{"id": "think", "type": "intelligence", "config": {"provider": "openai"}, "timeout_seconds": %d, "next": "last"},
		{"id": "last", "type": "notify", "config": {"channel": "receiver", "message": "done"}}]}`, w.count(30, 12))
	if err := s.Client.Definition(ctx, "slow", slow); err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(50, 30), s)
	if err != nil {
		return err
	}
	for _, signals := range []int{1, 2} {
		var run struct {
			RunID string `json:"run_id"`
		}
		if err := s.Client.Call(ctx, http.MethodPost, "/orchestration/definitions/slow/execute/?wait=0s", map[string]any{"payload": map[string]any{}}, &run); err != nil {
			return err
		}
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			return errors.New("the analyser was not asked within 10 s")
		}
		began := time.Now()
		for range signals {
			if err := s.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
		w.injected(fmt.Sprintf("SIGTERM ×%d", signals))
		status, err := s.Wait(30 * time.Second)
		if err != nil {
			return err
		}
		if took := time.Since(began); took > 15*time.Second || status != 0 {
			w.problem("SIGTERM ×%d: the process ended after %s with status %d, not within 15 s with 0", signals, took.Round(time.Millisecond), status)
		}
		took, err := s.Start(ctx)
		if err != nil {
			return err
		}
		w.recovered("the start after the stop", took, 5*time.Second)
		if _, err := f.firstOK(ctx, time.Now(), 10*time.Second); err != nil {
			w.problem("%v", err)
		}
	}
	return w.finish(ctx, f, 60)
}

// earlier is the first version that was offered; whoever has run it must be able to go on.
const earlier = "f11ee3c"

// buildEarlier builds an earlier version from the history of the repository.
func (w *world) buildEarlier(ctx context.Context) (string, error) {
	tree, binary := filepath.Join(w.dir, "earlier"), filepath.Join(w.dir, "penstock-earlier")
	if out, err := exec.CommandContext(ctx, "git", "worktree", "add", "--detach", tree, earlier).CombinedOutput(); err != nil {
		return "", notRun(fmt.Sprintf("the history of the repository, with %s, is not here: %s", earlier, strings.TrimSpace(string(out))))
	}
	w.atEnd(func() error {
		return exec.CommandContext(context.WithoutCancel(ctx), "git", "worktree", "remove", "--force", tree).Run()
	})
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, ".")
	build.Dir, build.Env = tree, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", earlier, err, out)
	}
	return binary, nil
}

// upgraded is R28 and R29: an earlier version works under load; the new one is started on its data, killed in the
// middle of its migration, and started again. On PostgreSQL it starts while the earlier one still drains.
func upgraded(ctx context.Context, w *world) error {
	binary, err := w.buildEarlier(ctx)
	if err != nil {
		return err
	}
	newest := w.binary
	w.binary = binary
	old, err := w.installation(ctx)
	if err != nil {
		return err
	}
	w.binary = newest
	f, err := w.feed(ctx, "diamond", 30, old)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	s, err := w.server(ctx)
	if err != nil {
		return err
	}
	if w.Store == sqlite {
		if err := old.Kill(); err != nil {
			return err
		}
		w.injected("kill -9 of the earlier version")
	}
	for range w.count(20, 5) {
		if err := w.killEarly(ctx, between(5*time.Millisecond, 250*time.Millisecond)); err != nil {
			return err
		}
		w.injected("kill -9 while migrating")
	}
	took, err := s.Start(ctx)
	if err != nil {
		w.problem("the new version does not start on the data of %s: %v", earlier, err)
		return nil
	}
	w.note("ready on the data of %s after %.2f s", earlier, took.Seconds())
	f.moveTo(s)
	if w.Store == postgres {
		if err := pause(ctx, time.Second); err != nil { // both work
			return err
		}
		if err := old.Stop(); err != nil {
			w.problem("the earlier version: %v", err)
		}
		w.injected("rolling upgrade")
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	w.servers = []*harness.Server{s}
	if err := w.finish(ctx, f, 60); err != nil {
		return err
	}
	return w.downgraded(ctx, old)
}

// killEarly starts the new version and kills it a moment later.
func (w *world) killEarly(ctx context.Context, after time.Duration) error {
	command := exec.CommandContext(ctx, w.binary, "migrate")
	command.Env = []string{"PENSTOCK_DATABASE_URL=" + w.url, "PENSTOCK_SECRET_KEY=" + w.key, "PENSTOCK_DATA_DIR=" + filepath.Join(w.dir, "data-1")}
	if err := command.Start(); err != nil {
		return err
	}
	if err := pause(ctx, after); err != nil {
		return err
	}
	_ = command.Process.Kill()
	_ = command.Wait()
	return nil
}

// downgraded: the earlier version refuses the data of the new one with words, and changes nothing.
func (w *world) downgraded(ctx context.Context, old *harness.Server) error {
	before, err := readHistory(ctx, w.url)
	if err != nil {
		return err
	}
	if _, err := old.Start(ctx); err == nil {
		w.problem("%s starts on the data of a newer version", earlier)
	} else if want := "was migrated by a newer penstock"; !strings.Contains(old.Log(), want) {
		w.problem("%s refused the data of a newer version without the words %q:\n%s", earlier, want, old.Log())
	}
	after, err := readHistory(ctx, w.url)
	if err != nil {
		return err
	}
	if len(before.runs) != len(after.runs) || len(before.alerts) != len(after.alerts) {
		w.problem("%s changed the data of a newer version", earlier)
	}
	return nil
}
