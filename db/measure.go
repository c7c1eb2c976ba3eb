package db

import (
	"slices"
	"sync/atomic"
)

// Histogram counts values by size. Make one with [NewHistogram].
type Histogram struct {
	bounds []float64 // ascending; the last bucket has none
	counts []atomic.Uint64
	sum    atomic.Uint64 // in millionths
}

// NewHistogram makes a histogram with these upper bounds.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a value, which is not negative.
func (h *Histogram) Observe(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i].Add(1)
	h.sum.Add(uint64(v * 1e6))
}

// Snapshot returns how many values there were, their sum, and how many were at most each bound.
func (h *Histogram) Snapshot() (count uint64, sum float64, atMost map[float64]uint64) {
	atMost = make(map[float64]uint64, len(h.bounds))
	for i, bound := range h.bounds {
		count += h.counts[i].Load()
		atMost[bound] = count
	}
	return count + h.counts[len(h.bounds)].Load(), float64(h.sum.Load()) / 1e6, atMost
}

// Connections are those of one of the store's pools.
type Connections struct {
	Open, InUse int
	Waited      int64 // times that somebody had to wait for one
}

// Connections returns how the pools are used: "read" and "write" on SQLite; "queries", and "engine" for
// [Store.Pool], on PostgreSQL.
func (s *Store) Connections() map[string]Connections {
	read := s.read.Stats()
	all := map[string]Connections{"queries": {read.OpenConnections, read.InUse, read.WaitCount}}
	if s.isSQLite() {
		write := s.write.Stats()
		return map[string]Connections{"read": all["queries"], "write": {write.OpenConnections, write.InUse, write.WaitCount}}
	}
	engine := s.pool.Stat()
	all["engine"] = Connections{int(engine.TotalConns()), int(engine.AcquiredConns()), engine.EmptyAcquireCount()}
	return all
}

// Commits are the sizes of the commits that several callers share, in writes, and how long they took, in seconds.
func (s *Store) Commits() (writes, seconds *Histogram) { return s.commitWrites, s.commitSeconds }

func newCommitHistograms() (writes, seconds *Histogram) {
	return NewHistogram(1, 2, 4, 8, 16, 32, 64, 128, 256), NewHistogram(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5)
}
