package auth

import (
	"net"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"penstock/fault"
)

// throttle is a token bucket per key for things that went wrong: wrong tokens, wrong passwords. It
// remembers the keys used last; an attacker who makes it forget has used many more addresses.
type throttle struct {
	mu      sync.Mutex
	every   time.Duration
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

func newThrottle(every time.Duration, burst int) *throttle {
	buckets, err := lru.New[string, *rate.Limiter](10_000)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &throttle{every: every, burst: burst, buckets: buckets}
}

func (t *throttle) bucket(key string) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets.Get(key)
	if !ok {
		b = rate.NewLimiter(rate.Every(t.every), t.burst)
		t.buckets.Add(key, b)
	}
	return b
}

// check refuses a key that has failed too often.
func (t *throttle) check(key string) error {
	missing := 1 - t.bucket(key).Tokens()
	if missing <= 0 {
		return nil
	}
	e := fault.New(fault.RateLimited, "Too many wrong credentials. Wait before you try again.")
	e.After = max(time.Second, time.Duration(missing*float64(t.every)))
	return e
}

// failed counts a failure of key.
func (t *throttle) failed(key string) { t.bucket(key).Allow() }

// peerKey makes one key of everything one attacker can easily take: an IPv4 address or an IPv6 /64.
// Forwarding headers are not looked at: anybody can write them.
func peerKey(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		host = remoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64)
		return prefix.String()
	}
	return addr.String()
}
