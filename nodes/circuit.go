package nodes

import (
	"sync"
	"time"
)

// After so many failures in a row a provider is not asked for a while: a page must not wait for it.
const (
	breakAfter = 3
	breakFor   = time.Minute
)

// circuits remember providers that fail, by provider and settings. Those that work are not kept.
type circuits struct {
	mu      sync.Mutex
	failing map[string]*circuit
}

type circuit struct {
	failures int
	until    time.Time // not asked before
	reason   string    // of the last failure, for people
}

// blocked says why a provider is not asked now. When its time is over one run asks, and the others
// wait for what comes of it.
func (c *circuits) blocked(key string) (reason string, left time.Duration, blocked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failing[key]
	if f == nil || f.failures < breakAfter {
		return "", 0, false
	}
	if left = time.Until(f.until); left > 0 {
		return f.reason, left, true
	}
	f.until = time.Now().Add(breakFor)
	return "", 0, false
}

func (c *circuits) failed(key, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failing[key]
	if f == nil {
		if c.failing == nil {
			c.failing = map[string]*circuit{}
		}
		f = &circuit{}
		c.failing[key] = f
	}
	f.failures++
	f.until, f.reason = time.Now().Add(breakFor), reason
}

func (c *circuits) worked(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failing, key)
}
