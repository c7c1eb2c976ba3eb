package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	lockSuffix    = ".lock"
	sqliteReaders = 4
	busyTimeout   = 2 * time.Second
)

// openSQLite opens two handles: one connection that writes, whose queue replaces busy waiting, and some that only read.
func (s *Store) openSQLite(ctx context.Context, path string) error {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return errors.New("a SQLite database needs a file: write sqlite:<path>")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockFile(path + lockSuffix); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	file.Close()

	uri := "file:" + (&url.URL{Path: path}).EscapedPath()
	both := fmt.Sprintf("&_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=temp_store(2)", busyTimeout.Milliseconds())
	writer, err := openSQLitePool(uri + "?_txlock=immediate&_auto_vacuum=incremental&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-32768)" + both)
	if err != nil {
		return err
	}
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	s.write = bun.NewDB(writer, sqliteDialect{sqlitedialect.New()})
	s.read = s.write
	if err := writer.PingContext(ctx); err != nil { // creates the WAL, which a reader cannot
		return fmt.Errorf("%s: %w", path, err)
	}
	reader, err := openSQLitePool(uri + "?mode=ro&_pragma=query_only(1)&_pragma=cache_size(-8192)" + both)
	if err != nil {
		return err
	}
	reader.SetMaxOpenConns(sqliteReaders)
	reader.SetMaxIdleConns(sqliteReaders)
	s.read = bun.NewDB(reader, sqliteDialect{sqlitedialect.New()})
	return nil
}

// lockFile takes the lock that keeps a second process off the file; the operating system frees it with the process.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		path := strings.TrimSuffix(name, lockSuffix)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder := make([]byte, 20)
		n, _ := f.Read(holder) // empty for a moment after the other process started
		return nil, fmt.Errorf("%s is in use by another penstock process (pid %s): stop it first, or use PostgreSQL to run several processes",
			path, strings.TrimSpace(string(holder[:n])))
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
