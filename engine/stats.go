package engine

import (
	"maps"
	"sync"
)

// counts counts per word.
type counts struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *counts) add(word string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[word] += n
}

func (c *counts) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Stats are figures of this process since its start.
type Stats struct {
	Expired map[string]int64 // rows that retention deleted, by table
}

// Stats returns the figures as they are now.
func (e *Engine) Stats() Stats {
	return Stats{Expired: e.expired.all()}
}
