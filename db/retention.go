package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Expiry is what retention deletes: what is older than these times. A zero time deletes nothing.
// Incidents that are open or acknowledged stay, with their alerts and the newest of their runs, and so does
// whatever a run that has not ended needs.
type Expiry struct {
	Runs      time.Time // runs with stages and events, what they told whom, and deliveries with decisions that no run is left of
	Bodies    time.Time // what the deliveries brought; the rows stay as long as their runs
	Incidents time.Time // resolved or closed and not touched since, with their alerts
}

// Expired is the outcome of one step of retention.
type Expired struct {
	Rows map[string]int // deleted rows by table; "bodies" are emptied
	Took time.Duration  // how long the writer was held
	Done bool           // nothing that may go is left before the next pass
}

// expiring is one kind of record with the rows that go with it.
type expiring struct {
	name    string // for Expired.Rows and Cursor
	table   string
	column  string // when it came to be: what expires first is first in the index on it and the id
	touched string // when it was last of use
	where   string // what may go, of alias x; asked again in the transaction that deletes
	set     string // instead of deleting: what the row loses
	parts   []part
}

// part is a table of rows that go before the record that they belong to.
type part struct{ table, owner, key string }

// keptRuns is how many runs of an incident that is still open stay, whatever their age.
const keptRuns = 20

var (
	ended = fmt.Sprintf("x.status IN ('%s', '%s', '%s', '%s')", RunCompleted, RunPartial, RunFailed, RunCancelled)

	expiringRuns = expiring{
		name: "runs", table: "runs", column: "created_at", touched: "created_at",
		where: ended + ` AND (x.incident_id IS NULL
			OR NOT EXISTS (SELECT 1 FROM incidents AS i WHERE i.id = x.incident_id AND i.status IN ('open', 'acknowledged'))
			OR (SELECT count(*) FROM (SELECT 1 FROM runs AS n WHERE n.incident_id = x.incident_id
				AND (n.created_at, n.id) > (x.created_at, x.id) LIMIT ` + fmt.Sprint(keptRuns) + `) AS newer) >= ` + fmt.Sprint(keptRuns) + `)`,
		parts: []part{{"run_events", "run_id", "run_id, seq"}, {"stage_executions", "run_id", "run_id, node_id, attempt"}},
	}
	expiringBodies = expiring{
		name: "bodies", table: "deliveries", column: "received_at", touched: "received_at",
		where: "x.body IS NOT NULL AND " + takenIn + ` AND NOT EXISTS (SELECT 1 FROM runs AS r
			WHERE r.delivery_id = x.id AND r.status IN ('pending', 'running'))`,
		set: "body = NULL, parsed = NULL",
	}
	expiringMessages = expiring{
		name: "notification_messages", table: "notification_messages", column: "created_at", touched: "updated_at",
		// The messages of an incident that is open are those that are changed when it is resolved.
		where: `x.status <> 'pending' AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.id = x.run_id AND r.status IN ('pending', 'running'))
			AND NOT EXISTS (SELECT 1 FROM incidents AS i WHERE i.id = x.incident_id AND i.status IN ('open', 'acknowledged') AND i.occurrence <= x.occurrence)`,
		parts: []part{{"notification_attempts", "message_id", "message_id, number"}},
	}
	expiringDeliveries = expiring{
		name: "deliveries", table: "deliveries", column: "received_at", touched: "received_at",
		// A run that was executed with alerts as its payload keeps them as a delivery under its own id.
		where: takenIn + ` AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.delivery_id = x.id)
			AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.id = x.id)`,
		parts: []part{{"decisions", "delivery_id", "id"}},
	}
	expiringIncidents = expiring{
		name: "incidents", table: "incidents", column: "created_at", touched: "updated_at",
		where: `x.status IN ('resolved', 'closed') AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.incident_id = x.id)
			AND NOT EXISTS (SELECT 1 FROM alerts AS a WHERE a.incident_id = x.id AND a.status = 'firing')`,
		parts: []part{{"alerts", "incident_id", "id"}, {"incident_actions", "incident_id", "id"}},
	}
	expiringAlerts = expiring{ // that were resolved before anybody heard of them
		name: "alerts", table: "alerts", column: "created_at", touched: "updated_at",
		where: "x.incident_id IS NULL AND x.status = 'resolved'",
	}
)

// takenIn is true of a delivery that nobody has to read again.
const takenIn = "(x.intake_at IS NOT NULL OR x.status <> 'accepted' OR x.definition <> '')"

// Retention deletes what has expired, from the oldest on, step by step. Each value of it is one pass.
type Retention struct {
	store *Store
	kinds []expiringBefore
}

type expiringBefore struct {
	expiring
	before time.Time
	after  expiringRow // everything up to here was looked at in this pass
}

type expiringRow struct {
	ID string
	At time.Time
}

// Expire begins a pass of retention.
func (s *Store) Expire(x Expiry) *Retention {
	r := &Retention{store: s}
	for _, k := range []expiringBefore{
		{expiring: expiringRuns, before: x.Runs}, {expiring: expiringBodies, before: x.Bodies},
		{expiring: expiringMessages, before: x.Runs}, {expiring: expiringDeliveries, before: x.Runs},
		{expiring: expiringIncidents, before: x.Incidents}, {expiring: expiringAlerts, before: x.Incidents},
	} {
		if !k.before.IsZero() {
			r.kinds = append(r.kinds, k)
		}
	}
	return r
}

// Step deletes about limit rows in one transaction. What to delete is found before it, so that the writer is
// not held by a search. On PostgreSQL one process at a time gets to delete; for the others the pass is done.
func (r *Retention) Step(ctx context.Context, limit int) (Expired, error) {
	for len(r.kinds) > 0 {
		k := &r.kinds[0]
		found, err := r.store.find(ctx, k, limit)
		if err != nil {
			return Expired{}, wrap(err, "look for expired "+k.name)
		}
		if len(found) == 0 {
			r.kinds = r.kinds[1:]
			continue
		}
		out := Expired{Rows: map[string]int{}}
		mine, settled := true, false
		err = r.store.InTx(ctx, func(tx *Tx) (err error) {
			begin := time.Now()
			defer func() { out.Took = time.Since(begin) }()
			if mine, err = tx.tryLock(ctx, "penstock retention"); err == nil && mine {
				settled, err = tx.expire(tx.ctx(ctx), k, found, limit, out.Rows)
			}
			return err
		})
		if err != nil {
			return Expired{}, wrap(err, "delete expired "+k.name)
		}
		if settled {
			k.after = found[len(found)-1]
		}
		out.Done = !mine
		return out, nil
	}
	return Expired{Done: true}, nil
}

// find returns the next records that may go. Of those with parts it takes few: their parts are the rows.
func (s *Store) find(ctx context.Context, k *expiringBefore, limit int) (found []expiringRow, err error) {
	if len(k.parts) > 0 {
		limit = max(limit/10, 1)
	}
	q := s.read.NewSelect().TableExpr("? AS x", bun.Ident(k.table)).ColumnExpr("x.id AS id, x.? AS at", bun.Ident(k.column)).
		Where("x.? < ?", bun.Ident(k.column), k.before).Where("x.? < ?", bun.Ident(k.touched), k.before).Where(k.where).
		OrderExpr("x.?, x.id", bun.Ident(k.column)).Limit(int64(limit))
	if k.after.ID != "" {
		q.Where("(x.?, x.id) > (?, ?)", bun.Ident(k.column), k.after.At, k.after.ID)
	}
	err = q.Scan(ctx, &found)
	return found, err
}

// expire deletes the records that were found and still may go, after their parts, of which at most limit rows a
// table go at once: settled is false while there are more.
func (tx *Tx) expire(ctx context.Context, k *expiringBefore, found []expiringRow, limit int, rows map[string]int) (settled bool, err error) {
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	var sure []string
	if err := tx.forUpdate(tx.idb.NewSelect().TableExpr("? AS x", bun.Ident(k.table)).ColumnExpr("x.id").
		Where("x.id IN (?)", bun.List(ids)).Where("x.? < ?", bun.Ident(k.touched), k.before).Where(k.where).
		OrderExpr("x.id")).Scan(ctx, &sure); err != nil || len(sure) == 0 {
		return true, err
	}
	run := func(name, statement string, args ...any) (int, error) {
		res, err := tx.idb.ExecContext(ctx, statement, args...)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		rows[name] += int(n)
		return int(n), err
	}
	settled = true
	for _, p := range k.parts {
		n, err := run(p.table, fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s IN (?) LIMIT ?)",
			p.table, p.key, p.owner), bun.List(sure), limit)
		if err != nil {
			return false, err
		}
		settled = settled && n < limit
	}
	if !settled {
		return false, nil
	}
	change := "DELETE FROM " + k.table
	if k.set != "" {
		change = "UPDATE " + k.table + " SET " + k.set
	}
	_, err = run(k.name, change+" WHERE id IN (?)", bun.List(sure))
	return true, err
}

// NthRunAt is when the run was accepted that n runs are newer than; the zero time if there are not so many.
func (s *Store) NthRunAt(ctx context.Context, n int) (time.Time, error) {
	return s.runAt(ctx, "created_at DESC, id DESC", n)
}

// OldestRunAt is when the run was accepted that n runs are older than; the zero time if there are not so many.
func (s *Store) OldestRunAt(ctx context.Context, n int) (time.Time, error) {
	return s.runAt(ctx, "created_at, id", n)
}

func (s *Store) runAt(ctx context.Context, order string, n int) (at time.Time, err error) {
	var run Run
	err = s.read.NewSelect().Model(&run).Column("created_at").OrderExpr(order).Limit(1).Offset(int64(n)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return at, nil
	}
	return run.CreatedAt, wrap(err, "count runs")
}

// tryLock takes a lock that no other process has until the transaction ends. On SQLite there is no other.
func (tx *Tx) tryLock(ctx context.Context, name string) (locked bool, err error) {
	if tx.store.isSQLite() {
		return true, nil
	}
	err = tx.idb.NewRaw("SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))", name).Scan(tx.ctx(ctx), &locked)
	return locked, wrap(err, "lock "+name)
}
