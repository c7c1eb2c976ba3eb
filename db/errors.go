package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"penstock/fault"
)

var (
	// ErrDuplicate is in the chain of an error when a run with the same idempotency key exists.
	ErrDuplicate = errors.New("idempotency key is taken")
	// ErrFenced means that the run was started again or cancelled since: nothing of the write is stored.
	ErrFenced = errors.New("run has a newer epoch")
	// ErrClosed means that the store was closed before the write was committed.
	ErrClosed = errors.New("store is closed")

	errFsync = errors.New("an earlier commit could not be made durable")
)

// retryAfter is what callers are told when the database does not answer.
const retryAfter = 5 * time.Second

// wrap adds what was being done. Errors that a user may read pass as they are; a database that is down,
// locked or full becomes fault.Unavailable.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if reason, ok := unavailable(err); ok {
		return &fault.Error{Code: fault.Unavailable, Message: reason, Err: down{err}, After: retryAfter}
	}
	return err
}

// down marks the cause of an answer of this package that the database cannot work at the moment.
type down struct{ error }

func (d down) Unwrap() error { return d.error }

// IsDown reports whether err is this package's word that the database cannot work at the moment: what was asked
// may be asked again.
func IsDown(err error) bool {
	_, ok := errors.AsType[down](err)
	return ok
}

// found is wrap for a query of one row: no row becomes fault.NotFound with the given sentence.
func found(err error, doing, sentence string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, sentence, args...)
	}
	return wrap(err, doing)
}

// taken is wrap for a write: a broken unique index becomes fault.Conflict with the given sentence.
func taken(err error, doing, sentence string, args ...any) error {
	if isUnique(err) {
		return fault.Wrap(err, fault.Conflict, sentence, args...)
	}
	return wrap(err, doing)
}

func isUnique(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// unavailable reports whether err says that the database cannot work now, as opposed to refusing this
// statement, and the sentence for the user.
func unavailable(err error) (sentence string, ok bool) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteUnavailable(e)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresUnavailable(e)
	}
	switch {
	case errors.Is(err, errFsync):
		return "The disk has refused to make a write durable. Check the disk and restart the process.", true
	case errors.Is(err, ErrClosed), errors.Is(err, sql.ErrConnDone):
		return "The database is closed: the process is stopping. Try again in a few seconds.", true
	case errors.Is(err, context.Canceled):
		return "", false
	}
	_, isNet := errors.AsType[net.Error](err)
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	if isNet || isConnect || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) {
		return "The database does not answer. Try again in a few seconds.", true
	}
	return "", false
}

func sqliteUnavailable(e *sqlite.Error) (string, bool) {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "The database file is locked by another program. Try again in a few seconds.", true
	case sqlite3.SQLITE_FULL:
		return "The disk of the database is full. Free some space; work goes on by itself.", true
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return "The database file cannot be written. Check its permissions and that its file system is not read-only.", true
	case sqlite3.SQLITE_IOERR:
		return "The disk of the database reports an error. Check the disk and its free space.", true
	}
	return "", false
}

// isFsync reports a failed fsync: what the disk holds is unknown from then on, and asking again may lie.
func isFsync(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_IOERR_FSYNC || e.Code() == sqlite3.SQLITE_IOERR_DIR_FSYNC)
}

func postgresUnavailable(e *pgconn.PgError) (string, bool) {
	switch e.Code {
	case "55P03":
		return "The database is locked by another session. Try again in a few seconds.", true
	case "53100":
		return "The disk of the database is full. Free some space; work goes on by itself.", true
	case "53300":
		return "The database has no connection left. Raise max_connections or lower the number of processes.", true
	case "25006":
		return "The database is read-only. Connect to the primary server.", true
	case "40001", "40P01", "57014":
		return "The database is too busy. Try again in a few seconds.", true
	}
	switch e.Code[:2] {
	case "08", "53", "57", "58":
		return "The database does not answer. Try again in a few seconds.", true
	}
	return "", false
}

// isLost reports that the connection ended while the statement was under way, so that nobody knows its outcome;
// on another connection the database may well answer.
func isLost(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "57P01" || e.Code[:2] == "08"
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || pgconn.SafeToRetry(err)
}

// affected is found for a statement that returns nothing: no row touched becomes fault.NotFound.
func affected(res sql.Result, err error, doing, sentence string, args ...any) error {
	if err != nil {
		return wrap(err, doing)
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, sentence, args...)
	}
	return wrap(err, doing)
}
