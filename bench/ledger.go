package main

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// ledger knows of every delivery when it was due, when it was acknowledged and when it arrived at
// the receiver. Deliveries are numbered from 1.
type ledger struct {
	begin                time.Time
	count                atomic.Int64
	due, acked, received []atomic.Int64 // nanoseconds since begin by number; 0: it was not
	duplicates           atomic.Int64
}

// Far more than ten seconds of the fastest subject.
const ledgerSize = 1 << 20

var errLedgerFull = errors.New("more deliveries than the ledger holds")

func newLedger() *ledger {
	return &ledger{
		begin: time.Now(), due: make([]atomic.Int64, ledgerSize),
		acked: make([]atomic.Int64, ledgerSize), received: make([]atomic.Int64, ledgerSize),
	}
}

// add numbers a delivery that was due at the time.
func (l *ledger) add(due time.Time) (int64, error) {
	n := l.count.Add(1)
	if n >= ledgerSize {
		return 0, errLedgerFull
	}
	l.due[n].Store(int64(due.Sub(l.begin)))
	return n, nil
}

func (l *ledger) acknowledge(n int64) { l.acked[n].Store(int64(time.Since(l.begin))) }

// receive reports false if there is no such delivery.
func (l *ledger) receive(n int64) bool {
	if n < 1 || n > l.count.Load() {
		return false
	}
	if !l.received[n].CompareAndSwap(0, int64(time.Since(l.begin))) {
		l.duplicates.Add(1)
	}
	return true
}

// missing counts deliveries that were acknowledged and have not arrived.
func (l *ledger) missing() int {
	missing := 0
	for n := int64(1); n <= l.count.Load(); n++ {
		if l.acked[n].Load() != 0 && l.received[n].Load() == 0 {
			missing++
		}
	}
	return missing
}

// latencies of the deliveries from first on that have both times.
func (l *ledger) latencies(first int64, until []atomic.Int64) quantiles {
	var all []time.Duration
	for n := first; n <= l.count.Load(); n++ {
		if end := until[n].Load(); end != 0 && l.acked[n].Load() != 0 {
			all = append(all, time.Duration(end-l.due[n].Load()))
		}
	}
	return quantilesOf(all)
}

// quantiles in milliseconds.
type quantiles struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

func quantilesOf(all []time.Duration) quantiles {
	if len(all) == 0 {
		return quantiles{}
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
	}
	return quantiles{at(0.50), at(0.90), at(0.95), at(0.99)}
}
