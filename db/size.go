package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Size is how much room the store takes.
type Size struct {
	Bytes int64 // of the database: file or server
	Used  int64 // of it what holds data, on SQLite; on PostgreSQL the same as Bytes
	WAL   int64 // of SQLite's write-ahead log, beside Bytes
}

// Size asks how much room the store takes.
func (s *Store) Size(ctx context.Context) (size Size, err error) {
	if !s.isSQLite() {
		err = s.read.NewRaw("SELECT pg_database_size(current_database())").Scan(ctx, &size.Bytes)
		size.Used = size.Bytes
		return size, wrap(err, "size of the database")
	}
	var page, pages, free int64
	err = s.read.NewRaw("SELECT s.page_size, c.page_count, f.freelist_count FROM pragma_page_size AS s, pragma_page_count AS c, pragma_freelist_count AS f").
		Scan(ctx, &page, &pages, &free)
	if err != nil {
		return size, wrap(err, "size of the database")
	}
	size.Bytes, size.Used = page*pages, page*(pages-free)
	if wal, err := os.Stat(s.file() + "-wal"); err == nil {
		size.WAL = wal.Size()
	}
	return size, nil
}

// file is the path of the SQLite file.
func (s *Store) file() string { return strings.TrimSuffix(s.lock.Name(), lockSuffix) }

const (
	shrinkPages     = 256     // given back in one step
	worthTruncating = 4 << 20 // bytes of the log
)

// CanShrink is false for a SQLite file that was made before files could: its free pages are used again, but never
// given back. [Store.Compact] changes that.
func (s *Store) CanShrink(ctx context.Context) (bool, error) {
	if !s.isSQLite() {
		return true, nil
	}
	var mode int
	err := s.write.NewRaw( // a reader remembers what it was when it was opened
		"PRAGMA auto_vacuum").Scan(ctx, &mode)
	return mode == 2, wrap(err, "read auto_vacuum")
}

// Shrink gives free pages of the SQLite file back to the file system, at most about a megabyte, while more than a
// quarter of the file is free: the rest will be used again. It returns how many bytes it gave back. On PostgreSQL
// autovacuum does this work.
func (s *Store) Shrink(ctx context.Context) (freed int64, err error) {
	before, err := s.Size(ctx)
	if err != nil || !s.isSQLite() || before.Used > before.Bytes/4*3 {
		return 0, err
	}
	err = s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.ExecContext(tx.ctx(ctx), fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkPages))
		return err
	})
	if err != nil {
		return 0, wrap(err, "shrink the database")
	}
	after, err := s.Size(ctx)
	return before.Bytes - after.Bytes, err
}

// TruncateLog empties SQLite's write-ahead log if it has grown and nobody reads from it: the writer does not wait.
func (s *Store) TruncateLog(ctx context.Context) error {
	size, err := s.Size(ctx)
	if err != nil || size.WAL < worthTruncating {
		return err
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return wrap(err, "truncate the log")
	}
	defer conn.Close()
	// Without a timeout it says busy instead of waiting for a reader; the next time then.
	_, err = conn.ExecContext(ctx, "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)")
	_, restored := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()))
	return wrap(errors.Join(err, restored), "truncate the log")
}

// Compact rewrites the SQLite file without free pages, in a form that can shrink later. It takes a while and as much
// room as the data, and nothing else can be written meanwhile. On PostgreSQL there is nothing to do.
func (s *Store) Compact(ctx context.Context) error {
	if !s.isSQLite() {
		return nil
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return wrap(err, "compact the database")
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
	return wrap(err, "compact the database")
}
