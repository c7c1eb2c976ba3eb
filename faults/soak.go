package main

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"penstock/drivers/notify/notifytest"
	"penstock/e2e/harness"
)

// soaked is R21, for minutes instead of hours: alerts all the time, kill -9 now and then, one message in twenty refused.
// What a process holds after the last round is about what it held after the first.
func soaked(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	w.flaky = true
	f, err := w.feed(ctx, "diamond", 20, s)
	if err != nil {
		return err
	}
	var rounds []held
	for range 8 {
		script := make([]notifytest.Reply, 10_000)
		for i := range script {
			if rand.IntN(20) == 0 {
				script[i].Status = http.StatusServiceUnavailable
			}
		}
		w.receiver.Script(script...)
		if err := pause(ctx, 45*time.Second); err != nil {
			return err
		}
		now, err := w.holds(ctx, s)
		if err != nil {
			return err
		}
		rounds = append(rounds, now)
		if err := s.Kill(); err != nil {
			return err
		}
		w.injected("kill -9")
		took, err := s.Start(ctx)
		if err != nil {
			return err
		}
		w.recovered("the start after a kill", took, 5*time.Second)
	}
	w.receiver.Script()
	first, last := rounds[0], rounds[len(rounds)-1]
	w.note("after 45 s: %+v; in the last round: %+v", first, last)
	if last.goroutines > 2*first.goroutines+50 || last.files > 2*first.files+50 || last.heapMB > 2*first.heapMB+64 || last.walMB > 2*first.walMB+32 {
		w.problem("I8: what is held grows: %+v, in the last round %+v", first, last)
	}
	return w.finish(ctx, f, 1000)
}

// held is what a process holds, and how large its write-ahead log is.
type held struct {
	used

	heapMB, walMB int
}

func (w *world) holds(ctx context.Context, s *harness.Server) (h held, err error) {
	if h.used, err = usedBy(ctx, s); err != nil {
		return h, err
	}
	heap, err := metric(ctx, s, "go_memstats_heap_inuse_bytes")
	if err != nil {
		return h, err
	}
	h.heapMB = int(heap) >> 20
	path, isFile := strings.CutPrefix(w.url, "sqlite:")
	if !isFile {
		return h, nil
	}
	wal, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil {
		h.walMB = int(wal.Size() >> 20)
	}
	return h, err
}
