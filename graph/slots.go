package graph

import (
	"sync"

	"penstock/auth"
)

// slots bound how much of something each caller has open at the same time.
type slots struct {
	most int

	mu    sync.Mutex
	taken map[string]int // by caller
}

func newSlots(most int) *slots { return &slots{most: most, taken: map[string]int{}} }

// take returns what gives the slot back, or nil if the caller has none left.
func (s *slots) take(p auth.Principal) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keyOf(p)
	if s.taken[key] >= s.most {
		return nil
	}
	s.taken[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.taken[key]--; s.taken[key] == 0 {
			delete(s.taken, key)
		}
	}
}

// keyOf tells callers apart.
func keyOf(p auth.Principal) string { return string(p.Kind) + ":" + p.ID }
