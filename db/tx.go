package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

const flushTimeout = 5 * time.Second

// Tx is an open transaction. Its methods are the only ones that may be called inside [Store.InTx].
type Tx struct {
	store  *Store
	idb    bun.IDB
	events []RunEvent // published after the commit

	// base replaces the context of the caller where several callers share the transaction:
	// one that gives up must not end it for the others.
	base context.Context

	implicit bool // there is no BEGIN: what is written goes in one text
	begins   bool // BEGIN goes with what is read first, COMMIT with what is written
}

// errFence says that a text was refused because of an epoch; which one is found out in an explicit transaction.
var errFence = errors.New("an epoch has changed")

func (tx *Tx) ctx(ctx context.Context) context.Context {
	if tx.base != nil {
		return tx.base
	}
	return ctx
}

// InTx runs fn once in a transaction and returns after its commit. An error or panic of fn rolls back what fn
// did and is the caller's. An error that says the database is unavailable leaves the outcome unknown.
//
// On SQLite fn runs on the one writer, in one transaction with what others write at this moment; keep it short.
func (s *Store) InTx(ctx context.Context, fn func(*Tx) error) error {
	if s.isSQLite() {
		return wrap(s.runs.do(ctx, &task{closure: fn}), "write")
	}
	tx := &Tx{store: s}
	return wrap(s.postgresTx(ctx, tx, fn), "write")
}

// inWriter is InTx for writes that append events: they are published in the order of the commits.
func (s *Store) inWriter(ctx context.Context, fn func(*Tx) error) error {
	return wrap(s.runs.do(ctx, &task{closure: fn}), "write")
}

// writerTx writes units in one transaction of a writer. A unit that is refused has its err set; the others are
// stored unless err says that nothing is. It returns the events to publish.
func (s *Store) writerTx(units []*unit) (events []RunEvent, err error) {
	tx := &Tx{store: s, base: context.Background()}
	begin := time.Now()
	switch {
	case s.isSQLite():
		err = s.sqliteTx(tx, units)
	default:
		var cancel context.CancelFunc
		tx.base, cancel = context.WithTimeout(tx.base, flushTimeout)
		defer cancel()
		if err = errFence; len(units) == 1 && units[0].oneText {
			// PostgreSQL makes one text of several statements a transaction by itself.
			tx.idb, tx.implicit = s.write, true
			err = tx.writeUnits(units)
		}
		if errors.Is(err, errFence) {
			tx.implicit = false
			err = s.postgresTx(tx.base, tx, func(tx *Tx) error { return tx.writeUnits(units) })
		}
	}
	if _, down := unavailable(err); down {
		s.unwell.Store(true)
	} else if err == nil {
		s.unwell.Store(false)
	}
	if err != nil {
		return nil, err
	}
	writes := 0
	for _, u := range units {
		writes += len(u.tasks)
	}
	s.commitWrites.Observe(float64(writes))
	s.commitSeconds.Observe(time.Since(begin).Seconds())
	return tx.events, nil
}

func (tx *Tx) writeUnits(units []*unit) error {
	tx.events = nil
	for _, u := range units {
		u.err = tx.try(u, len(units) > 1)
		if _, down := unavailable(u.err); u.err != nil && (down || len(units) == 1) {
			return u.err
		}
	}
	return nil
}

func (s *Store) postgresTx(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	return s.write.RunInTx(ctx, nil, func(_ context.Context, btx bun.Tx) error {
		tx.idb = btx
		return fn(tx)
	})
}

// inTwoTexts is InTx on PostgreSQL for an fn that reads by tx.scan, does what it likes, and writes all by one tx.exec
// at its end: BEGIN and COMMIT go with them.
func (s *Store) inTwoTexts(ctx context.Context, fn func(*Tx) error) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return wrap(err, "connect")
	}
	defer conn.Close()
	committed := false
	defer func() {
		if !committed {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	err = fn(&Tx{store: s, idb: conn, begins: true})
	committed = err == nil
	return err
}

// sqliteTx speaks BEGIN and COMMIT itself: database/sql would give a connection whose COMMIT failed back to the
// pool with the transaction still open.
func (s *Store) sqliteTx(tx *Tx, units []*unit) error {
	if err := s.hasFailed(); err != nil {
		return err
	}
	conn, err := s.write.Conn(tx.base)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Our commits are flushed to the disk, and with them everything written to the log before them. The workflow
	// library, which has the connection in between, need not wait for the disk: what it loses when the power
	// fails says who works a run, and our rows say whether there is work.
	if _, err := conn.ExecContext(tx.base, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(tx.base), "PRAGMA synchronous = NORMAL") }()
	if _, err := conn.ExecContext(tx.base, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	tx.idb = conn
	if err = tx.writeUnits(units); err == nil {
		_, err = conn.ExecContext(tx.base, "COMMIT")
	}
	if err != nil {
		if isFsync(err) {
			s.fail(err)
		}
		// An error here says that SQLite has rolled back by itself.
		_, _ = conn.ExecContext(tx.base, "ROLLBACK")
	}
	return err
}

// try runs a unit so that its failure leaves nothing of it behind while the transaction goes on.
func (tx *Tx) try(u *unit, shared bool) error {
	if !shared {
		return u.write(tx, u.tasks)
	}
	events := len(tx.events)
	if _, err := tx.idb.ExecContext(tx.base, "SAVEPOINT unit"); err != nil {
		return err
	}
	err := u.write(tx, u.tasks)
	if err == nil {
		_, err = tx.idb.ExecContext(tx.base, "RELEASE unit")
		return err
	}
	if _, down := unavailable(err); down {
		return err
	}
	tx.events = tx.events[:events]
	if _, e := tx.idb.ExecContext(tx.base, "ROLLBACK TO unit"); e != nil {
		return fmt.Errorf("%w: roll back to savepoint: %w, after %w", driver.ErrBadConn, e, err)
	}
	return err
}

// forUpdate locks the rows it reads until the commit, on PostgreSQL. On SQLite the transaction has the only writer.
func (tx *Tx) forUpdate(q *bun.SelectQuery) *bun.SelectQuery {
	if tx.store.isSQLite() {
		return q
	}
	return q.For("NO KEY UPDATE")
}

// exec renders queries into one text, which PostgreSQL takes in one round trip. SQLite, which needs none, would
// read the first query of such a text twice.
func (tx *Tx) exec(ctx context.Context, queries ...schema.QueryAppender) error {
	if !tx.store.isSQLite() {
		if tx.begins {
			queries = append(queries, tx.idb.NewRaw("COMMIT"))
		}
		text, err := tx.store.together(queries)
		if err != nil || text == "" {
			return err
		}
		_, err = tx.idb.ExecContext(ctx, text)
		return err
	}
	for _, q := range queries {
		text, err := tx.store.together([]schema.QueryAppender{q})
		if err != nil {
			return err
		}
		if _, err := tx.idb.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// scan begins the transaction and reads the rows of each SELECT into its model, a list of records. PostgreSQL gets
// one text; each query in it sees what was committed before its turn, so also while an earlier one waited for a lock.
func (tx *Tx) scan(ctx context.Context, queries ...schema.QueryAppender) error {
	if tx.store.isSQLite() {
		for _, q := range queries {
			if err := q.(*bun.SelectQuery).Scan(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := tx.store.together(append([]schema.QueryAppender{tx.idb.NewRaw("BEGIN")}, queries...))
	if err != nil {
		return err
	}
	event := &bun.QueryEvent{Query: text, StartTime: time.Now()}
	defer tx.store.hook.AfterQuery(tx.store.hook.BeforeQuery(ctx, event), event)
	return tx.idb.(bun.Conn).Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		results := conn.PgConn().Exec(ctx, text)
		results.NextResult() // of BEGIN
		var err error
		for _, q := range queries {
			if !results.NextResult() || err != nil {
				break
			}
			result := results.ResultReader()
			if q, ok := q.(*bun.SelectQuery); ok {
				err = tx.store.scanText(conn.TypeMap(), result, q.GetModel().Value())
			}
			_, _ = result.Close() // an error of it is the text's
		}
		return errors.Join(err, results.Close())
	})
}

// scanText appends the rows of a result in text format to a list of records.
func (s *Store) scanText(types *pgtype.Map, result *pgconn.ResultReader, list any) error {
	records := reflect.ValueOf(list).Elem()
	table, columns := s.write.Table(records.Type().Elem()), result.FieldDescriptions()
	for result.NextRow() {
		record := reflect.New(records.Type().Elem()).Elem()
		for i, text := range result.Values() {
			field, err := table.Field(columns[i].Name)
			if err != nil {
				return err
			}
			var value any
			switch {
			case text == nil:
			case columns[i].DataTypeOID == pgtype.TimestamptzOID:
				var at time.Time
				if err := types.Scan(pgtype.TimestamptzOID, pgtype.TextFormatCode, text, &at); err != nil {
					return err
				}
				value = at
			default:
				value = string(text)
			}
			if err := field.ScanValue(record, value); err != nil {
				return err
			}
		}
		records.Set(reflect.Append(records, record))
	}
	return nil
}

// together renders queries into one text.
func (s *Store) together(queries []schema.QueryAppender) (string, error) {
	var b []byte
	for i, q := range queries {
		if i > 0 {
			b = append(b, ";\n"...)
		}
		var err error
		if b, err = q.AppendQuery(s.write.QueryGen(), b); err != nil {
			return "", err
		}
	}
	return string(b), nil
}
