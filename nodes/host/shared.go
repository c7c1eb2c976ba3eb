package host

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	fresh    = time.Second     // how long a measurement is shared
	patience = 5 * time.Second // how long one may take
)

// shared keeps measurements by key. The zero value is ready.
type shared struct {
	group singleflight.Group
	mu    sync.Mutex
	kept  map[string]taken
}

type taken struct {
	value any
	at    time.Time
}

// get returns a measurement that is younger than fresh, else takes one. The measurement runs on its
// own goroutine, at most one per key, and nobody waits for it beyond ctx or patience: a call into a
// file system whose server is gone cannot be interrupted.
func (s *shared) get(ctx context.Context, key string, measure func(context.Context) (any, error)) (taken, error) {
	if t, ok := s.recent(key); ok {
		return t, nil
	}
	flight := s.group.DoChan(key, func() (any, error) {
		if t, ok := s.recent(key); ok { // the flight before this one landed just now
			return t, nil
		}
		limited, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		value, err := measure(limited)
		if err != nil {
			return nil, err
		}
		return s.keep(key, value), nil
	})
	overdue := time.NewTimer(patience)
	defer overdue.Stop()
	select {
	case r := <-flight:
		if r.Err != nil {
			return taken{}, r.Err
		}
		return r.Val.(taken), nil
	case <-overdue.C:
		return taken{}, fmt.Errorf("no answer within %s", patience)
	case <-ctx.Done():
		return taken{}, context.Cause(ctx)
	}
}

func (s *shared) recent(key string) (taken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.kept[key]
	return t, ok && time.Since(t.at) < fresh
}

func (s *shared) keep(key string, value any) taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]taken{}
	}
	t := taken{value, time.Now()}
	s.kept[key] = t
	return t
}
