package db_test

import (
	"maps"
	"testing"

	"penstock/db"
)

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := db.NewHistogram(1, 2.5, 10)
	for _, v := range []float64{0, 1, 1.5, 2.5, 3, 11} {
		h.Observe(v)
	}
	count, sum, atMost := h.Snapshot()
	if want := map[float64]uint64{1: 2, 2.5: 4, 10: 5}; count != 6 || sum != 19 || !maps.Equal(atMost, want) {
		t.Errorf("%d values, sum %v, %v; want 6, 19, %v", count, sum, atMost, want)
	}
}
