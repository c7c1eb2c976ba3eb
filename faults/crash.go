package main

import (
	"context"
	"time"
)

// killed is R01: kill -9 at random instants under load.
func killed(ctx context.Context, w *world) error {
	s, err := w.installation(ctx)
	if err != nil {
		return err
	}
	f, err := w.feed(ctx, "diamond", w.count(50, 30), s)
	if err != nil {
		return err
	}
	most := w.span(12*time.Second, 1200*time.Millisecond)
	for range w.count(50, 5) {
		if err := pause(ctx, between(50*time.Millisecond, most)); err != nil {
			return err
		}
		if err := s.Kill(); err != nil {
			return err
		}
		w.injected("kill -9")
		took, err := s.Start(ctx)
		if err != nil {
			return err
		}
		w.recovered("a start after a kill", took, 5*time.Second)
	}
	return w.finish(ctx, f, 30)
}
