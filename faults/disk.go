package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"penstock/e2e/harness"
)

// smallDisk mounts a file system of its own that can be filled.
func (w *world) smallDisk(ctx context.Context, size string) (dir string, err error) {
	if os.Getuid() != 0 {
		return "", notRun("only root can mount a small disk")
	}
	dir = filepath.Join(w.dir, "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if err := syscall.Mount("faults", dir, "tmpfs", 0, "size="+size); err != nil {
		return "", notRun("this machine does not let a file system be mounted: " + err.Error())
	}
	w.atEnd(func() error {
		// What still runs on it may take a moment to end.
		return until(context.WithoutCancel(ctx), "the small disk is unmounted", 20*time.Second, func() (bool, error) {
			err := syscall.Unmount(dir, 0)
			return err == nil, err
		})
	})
	return dir, nil
}

// fill leaves no byte on the disk.
func fill(dir string) (err error) {
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		err = nil
	}
	return nil
}

// diskFull is R04: the disk fills up, and later has room again.
func diskFull(ctx context.Context, w *world) error {
	dir, err := w.smallDisk(ctx, "24m")
	if err != nil {
		return err
	}
	w.url = "sqlite:" + filepath.Join(dir, "penstock.db")
	s, f, err := w.underLoad(ctx, 20)
	if err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	w.injected("disk full")
	// The file has some room left inside; then it has none.
	full, err := f.firstRefusal(ctx, time.Now(), 60*time.Second)
	if err != nil {
		return err
	}
	if err := pause(ctx, w.span(20*time.Second, 3*time.Second)); err != nil {
		return err
	}
	w.checkReadable(ctx, s)
	back := func(context.Context) error {
		return syscall.Mount("faults", dir, "tmpfs", syscall.MS_REMOUNT, "size=80m")
	}
	if err := w.away(ctx, s, f, outage{began: full, lasts: time.Second, answered: 2500 * time.Millisecond, mayAccept: true}, back); err != nil {
		return err
	}
	return w.finish(ctx, f, 20)
}

// walFull is R05 (a): the disk of PostgreSQL fills up.
func walFull(ctx context.Context, w *world) error {
	if w.Store == sqlite {
		return fileLimit(ctx, w)
	}
	dir, err := w.smallDisk(ctx, "160m")
	if err != nil {
		return err
	}
	c, err := w.newCluster(ctx, filepath.Join(dir, "postgres"))
	if err != nil {
		return err
	}
	s, f, err := w.underLoad(ctx, 50)
	if err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	w.injected("disk of PostgreSQL full")
	// A log segment has room for a while: this one is left.
	if err := execute(ctx, c.url, "SELECT pg_switch_wal()"); err != nil {
		w.note("PostgreSQL when its disk was full: %v", err)
	}
	full, err := f.firstRefusal(ctx, time.Now(), 60*time.Second)
	if err != nil {
		return err
	}
	back := func(ctx context.Context) error {
		if err := syscall.Mount("faults", dir, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
			return err
		}
		if err := execute(ctx, c.url, "SELECT 1"); err != nil { // it gave up
			return errors.Join(c.stop(ctx, "immediate"), c.start(ctx))
		}
		return nil
	}
	if err := w.away(ctx, s, f, outage{began: full, lasts: w.span(20*time.Second, 4*time.Second), answered: 2500 * time.Millisecond, mayAccept: true, mayBeReady: true}, back); err != nil {
		return err
	}
	return w.finish(ctx, f, 50)
}

// fileLimit is R05 (b): the database file may not grow any more. Only a start with another limit helps.
func fileLimit(ctx context.Context, w *world) error {
	plain, err := w.installation(ctx)
	if err != nil {
		return err
	}
	if err := plain.Stop(); err != nil {
		return err
	}
	limited, err := w.wrapped(ctx, []string{"sh", "-c", `ulimit -f 8192; exec "$@"`, "limited"})
	if err != nil {
		return err
	}
	if _, err := limited.Start(ctx); err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", 50, limited)
	if err != nil {
		return err
	}
	if _, err := f.firstRefusal(ctx, time.Now(), 60*time.Second); err != nil {
		return err
	}
	w.injected("file size limit")
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	if !limited.Alive() {
		w.problem("the process ended when its file could not grow:\n%s", limited.Log())
	} else {
		w.checkReadable(ctx, limited)
		w.checkWords(ctx, limited)
	}
	if err := limited.Kill(); err != nil {
		return err
	}
	w.servers = []*harness.Server{plain}
	if _, err := plain.Start(ctx); err != nil {
		return err
	}
	f.moveTo(plain)
	return w.finish(ctx, f, 20)
}

// checkWords: the answer names the cause.
func (w *world) checkWords(ctx context.Context, s *harness.Server) {
	c := &harness.Client{URL: s.URL, Token: s.Client.Token, HTTP: &http.Client{Timeout: 5 * time.Second}}
	status, _, body, err := c.Send(ctx, http.MethodGet, "/readyz", nil)
	if err != nil || status != http.StatusServiceUnavailable {
		w.problem("/readyz with a file that cannot grow: %d %v %s", status, err, body)
	}
}

// readOnly is R05 (c): the file system becomes read-only under the program, as ext4 does when it meets an error.
func readOnly(ctx context.Context, w *world) error {
	if os.Getuid() != 0 {
		return notRun("only root can mount a file system")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return notRun("mkfs.ext4 is not installed")
	}
	image, dir := filepath.Join(w.dir, "image"), filepath.Join(w.dir, "loop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, line := range [][]string{{"truncate", "-s", "64M", image}, {"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput(); err != nil {
			return notRun(fmt.Sprintf("this machine does not let a loop device be mounted: %s: %s", line[0], out))
		}
	}
	w.atEnd(func() error {
		return until(context.WithoutCancel(ctx), "the loop device is unmounted", 20*time.Second, func() (bool, error) {
			err := syscall.Unmount(dir, 0)
			return err == nil, err
		})
	})
	w.url = "sqlite:" + filepath.Join(dir, "penstock.db")
	s, f, err := w.underLoad(ctx, 20)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "mount", "-o", "remount,abort", dir).CombinedOutput(); err != nil {
		w.note("mount -o remount,abort: %v %s", err, out)
	}
	w.injected("file system read-only")
	if _, err := f.firstRefusal(ctx, time.Now(), 30*time.Second); err != nil {
		return err
	}
	// Either it goes on reading and says that it is not ready, or it ends with a status that says so: what a
	// failed flush has left on the disk is not known.
	if status, err := s.Wait(15 * time.Second); err != nil {
		w.checkHealth(ctx, s, false)
	} else if status == 0 {
		w.problem("the process ended with status 0 when its disk failed")
	}
	if err := s.Kill(); err != nil {
		return err
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", `e2fsck -p "$1"; mount -o loop "$1" "$2"`, "sh", image, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount again: %w: %s", err, out)
	}
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	return w.finish(ctx, f, 20)
}
