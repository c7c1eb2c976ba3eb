package db

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/uptrace/bun"
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
}

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

// writerTx runs fn in a transaction of a writer and returns the events to publish.
func (s *Store) writerTx(fn func(*Tx) error) ([]RunEvent, error) {
	tx := &Tx{store: s, base: context.Background()}
	var err error
	if s.isSQLite() {
		err = s.sqliteTx(tx, fn)
	} else {
		var cancel context.CancelFunc
		tx.base, cancel = context.WithTimeout(tx.base, flushTimeout)
		defer cancel()
		err = s.postgresTx(tx.base, tx, fn)
	}
	if _, down := unavailable(err); down {
		s.unwell.Store(true)
	} else if err == nil {
		s.unwell.Store(false)
	}
	return tx.events, err
}

func (s *Store) postgresTx(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	return s.write.RunInTx(ctx, nil, func(_ context.Context, btx bun.Tx) error {
		tx.idb = btx
		return fn(tx)
	})
}

// sqliteTx speaks BEGIN and COMMIT itself: database/sql would give a connection whose COMMIT failed back to the pool with the transaction still open.
func (s *Store) sqliteTx(tx *Tx, fn func(*Tx) error) error {
	if err := s.hasFailed(); err != nil {
		return err
	}
	conn, err := s.write.Conn(tx.base)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(tx.base, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	tx.idb = conn
	if err = fn(tx); err == nil {
		_, err = conn.ExecContext(tx.base, "COMMIT")
	}
	if err != nil {
		tx.events = nil
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
