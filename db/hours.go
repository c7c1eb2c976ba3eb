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
	var hours []HourCount
	err := s.read.NewSelect().Model((*Run)(nil)).ColumnExpr(hour+" AS hour").ColumnExpr("count(*) AS total").
		ColumnExpr("count(CASE WHEN r.status = ? THEN 1 END) AS failed", RunFailed).
		Where("r.created_at >= ?", since).GroupExpr("1").Scan(ctx, &hours)
	return hours, wrap(err, "count runs by hour")
}
