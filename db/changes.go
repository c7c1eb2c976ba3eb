package db

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// Change says that a run or incident is not what it was. What it is now is in its own table.
type Change struct {
	bun.BaseModel `bun:"table:changes,alias:chg"`

	Tx    int64     `bun:"tx"`
	Seq   int64     `bun:"seq"`
	Topic Topic     `bun:"topic"`
	ID    string    `bun:"record"`
	At    time.Time `bun:"at"`

	Horizon int64 `bun:"horizon,scanonly"` // of the statement that read it, on PostgreSQL
}

// Topic is the kind of record that changed.
type Topic string

const (
	TopicRun      Topic = "run"
	TopicIncident Topic = "incident"
)

// Position is a place in the order of all changes. It means the same on every process.
type Position struct{ Tx, Seq int64 }

// Compare orders positions.
func (p Position) Compare(o Position) int {
	return slices.Compare([]int64{p.Tx, p.Seq}, []int64{o.Tx, o.Seq})
}

// String is what ParsePosition reads.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Tx, p.Seq) }

// ParsePosition reads a position; fault.Invalid if text is none.
func ParsePosition(text string) (p Position, err error) {
	tx, seq, _ := strings.Cut(text, ":")
	if p.Tx, err = strconv.ParseInt(tx, 10, 64); err == nil {
		p.Seq, err = strconv.ParseInt(seq, 10, 64)
	}
	if err != nil || p.Tx < 0 || p.Seq < 0 {
		return Position{}, fault.New(fault.Invalid, "The cursor is not one of this list.")
	}
	return p, nil
}

// Position of the change.
func (c Change) Position() Position { return Position{c.Tx, c.Seq} }

// ErrChangesGone says that changes after a position were removed, or that the position is not one of this
// database, as after the restore of a backup.
var ErrChangesGone = fault.New(fault.Conflict, "The changes after this cursor are no longer kept.")

// metaForgotten holds the position up to which changes were removed.
const metaForgotten = "changes.forgotten"

// horizon is the oldest transaction that is still open: whatever is before it has been committed or never will be.
const horizon = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"

// LastChange is the position after which everything comes that is not committed yet.
func (s *Store) LastChange(ctx context.Context) (p Position, err error) {
	if s.isSQLite() {
		err = s.read.NewRaw("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'changes'").Scan(ctx, &p.Seq)
	} else {
		p.Seq = math.MaxInt64
		err = s.read.NewRaw("SELECT "+horizon+" - 1").Scan(ctx, &p.Tx)
	}
	return p, wrap(err, "read last change")
}

// Changes returns the changes after a position in order, at most limit. With more there are others, or there
// will be as soon as a transaction ends that is open now.
func (s *Store) Changes(ctx context.Context, after Position, limit int) (changes []Change, more bool, err error) {
	q := s.read.NewSelect().Model(&changes).Limit(int64(limit))
	if s.isSQLite() { // commits come in the order of seq
		err = q.Where("seq > ?", after.Seq).Order("seq").Scan(ctx)
		return changes, len(changes) == limit, wrap(err, "read changes")
	}
	err = q.ColumnExpr("?TableColumns").ColumnExpr(horizon+" AS horizon").
		Where("(tx, seq) > (?, ?)", after.Tx, after.Seq).Order("tx", "seq").Scan(ctx)
	if open := slices.IndexFunc(changes, func(c Change) bool { return c.Tx >= c.Horizon }); open >= 0 {
		return changes[:open], true, wrap(err, "read changes")
	}
	return changes, len(changes) == limit, wrap(err, "read changes")
}

// CheckChanges returns [ErrChangesGone] unless everything after the position is still there.
func (s *Store) CheckChanges(ctx context.Context, after Position) error {
	last, err := s.LastChange(ctx)
	if err != nil {
		return err
	}
	text, err := s.Meta(ctx, metaForgotten)
	if fault.Is(err, fault.NotFound) {
		text, err = "0:0", nil
	}
	if err != nil {
		return err
	}
	forgotten, err := ParsePosition(text)
	if err == nil && (after.Compare(forgotten) < 0 || after.Compare(last) > 0) {
		err = ErrChangesGone
	}
	return err
}

// ForgetChanges removes changes from before a moment, at most limit, and returns how many.
func (s *Store) ForgetChanges(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		var oldest []Change
		if err := tx.forUpdate(tx.idb.NewSelect().Model(&oldest).Order("tx", "seq").Limit(int64(limit))).Scan(ctx); err != nil {
			return err
		}
		n = slices.IndexFunc(oldest, func(c Change) bool { return !c.At.Before(before) })
		if n < 0 {
			n = len(oldest)
		}
		if n == 0 {
			return nil
		}
		last := oldest[n-1].Position()
		if _, err := tx.idb.NewDelete().Model((*Change)(nil)).Where("(tx, seq) <= (?, ?)", last.Tx, last.Seq).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.idb.NewInsert().Model(&metaRow{Key: metaForgotten, Value: last.String()}).
			On("CONFLICT (key) DO UPDATE").Exec(ctx)
		return err
	})
	return n, wrap(err, "remove old changes")
}
