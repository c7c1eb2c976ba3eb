package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Rest says that a run only waits, and that the process which worked it forgets it. Its epoch is raised: who
// starts it again is the first of those who find it due.
type Rest struct {
	Until   time.Time
	Channel string // it goes on earlier when this channel has room; "" if it waits for the time alone
}

type restingRun struct {
	bun.BaseModel `bun:"table:runs"`

	ID       string    `bun:"id,pk"`
	WakeAt   time.Time `bun:"wake_at,type:timestamptz"`
	WaitsFor string    `bun:"waits_for,nullzero"`
}

func (tx *Tx) restRuns(runs []*restingRun) schema.QueryAppender {
	return tx.store.write.NewUpdate().Model((*Run)(nil)).With("c", tx.store.write.NewValues(&runs)).TableExpr("c").
		Set("epoch = r.epoch + 1").Set("wake_at = c.wake_at").Set("waits_for = c.waits_for").Where("r.id = c.id")
}

// WakeRun lets a resting run go on at once.
func (s *Store) WakeRun(ctx context.Context, id string) error {
	_, err := wakeRuns(s.write, []string{id}).Exec(ctx)
	return wrap(err, "wake run "+id)
}

// wakeRuns lets those of the runs that rest go on at once. One that is about to rest in another transaction is waited
// for: it then looks at what it waits for.
func wakeRuns(idb bun.IDB, ids []string) *bun.UpdateQuery {
	at := time.Now()
	return idb.NewUpdate().Model((*Run)(nil)).Set("wake_at = CASE WHEN wake_at > ? THEN ? ELSE wake_at END", at, at).Where("id IN (?)", bun.List(ids))
}

// DueRuns returns the resting runs (id and epoch only) whose time has come before a moment.
func (s *Store) DueRuns(ctx context.Context, before time.Time, limit int) ([]Run, error) {
	return s.restingRuns(ctx, limit, "wake_at < ?", before)
}

// RunsWaitingForChannels returns the runs (id and epoch only) that rest until a channel has room, those that have
// rested longest first. The channels named have none.
func (s *Store) RunsWaitingForChannels(ctx context.Context, full []string, limit int) ([]Run, error) {
	if len(full) == 0 {
		return s.restingRuns(ctx, limit, "waits_for IS NOT NULL")
	}
	return s.restingRuns(ctx, limit, "waits_for IS NOT NULL AND waits_for NOT IN (?)", bun.List(full))
}

func (s *Store) restingRuns(ctx context.Context, limit int, where string, args ...any) ([]Run, error) {
	var runs []Run
	err := s.read.NewSelect().Model(&runs).Column("id", "epoch").Where(where, args...).Order("wake_at").Limit(int64(limit)).Scan(ctx)
	return runs, wrap(err, "read resting runs")
}

// RestingByChannel counts the runs that rest until a channel has room, by channel.
func (s *Store) RestingByChannel(ctx context.Context) (map[string]int, error) {
	var rows []struct {
		WaitsFor string
		N        int
	}
	err := s.read.NewSelect().Model((*Run)(nil)).Column("waits_for").ColumnExpr("count(*) AS n").
		Where("waits_for IS NOT NULL").Group("waits_for").Scan(ctx, &rows)
	count := make(map[string]int, len(rows))
	for _, r := range rows {
		count[r.WaitsFor] = r.N
	}
	return count, wrap(err, "count resting runs")
}
