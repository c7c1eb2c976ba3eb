package db

import (
	"context"
	"time"
)

// HourCount counts the runs that were created in an hour.
type HourCount struct {
	Hour   string `bun:"hour"` // 2006-01-02 15, UTC
	Total  int    `bun:"total"`
	Failed int    `bun:"failed"`
}

// RunsPerHour counts runs by the hour they were created in, since a moment; hours without runs are left out.
func (s *Store) RunsPerHour(ctx context.Context, since time.Time) ([]HourCount, error) {
	hour := "substr(r.created_at, 1, 13)" // times are text there
	if !s.isSQLite() {
		hour = `to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')`
	}
	// All and failed ones apart: each is counted in an index of its own, without a look at the rows.
	var hours []HourCount
	err := s.read.NewRaw("SELECT hour, SUM(total) AS total, SUM(failed) AS failed FROM ("+
		"SELECT "+hour+" AS hour, 1 AS total, 0 AS failed FROM runs AS r WHERE r.created_at >= ? UNION ALL "+
		"SELECT "+hour+", 0, 1 FROM runs AS r WHERE r.status = ? AND r.created_at >= ?) AS counted GROUP BY hour",
		since, RunFailed, since).Scan(ctx, &hours)
	return hours, wrap(err, "count runs by hour")
}
