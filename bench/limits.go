package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// postgresVariable names a server on which databases may be created.
const postgresVariable = "PENSTOCK_TEST_POSTGRES"

// database returns the URL of an empty database.
func (b *bench) database(ctx context.Context) (databaseURL string, drop func() error, err error) {
	if b.store == sqlite {
		return "sqlite:" + filepath.Join(b.dir, "penstock.db"), func() error { return nil }, nil
	}
	server := os.Getenv(postgresVariable)
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, errors.New(postgresVariable + " is not a URL")
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", postgresVariable, err)
	}
	name := "penstock_bench_" + strconv.Itoa(os.Getpid())
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, errors.Join(fmt.Errorf("%s: %w", postgresVariable, err), admin.Close())
	}
	u.Path = "/" + name
	return u.String(), func() error {
		_, err := admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)")
		return errors.Join(err, admin.Close())
	}, nil
}

// commitRate is how many single rows a second the same database makes durable: SQLite with the one
// writer that it can have, PostgreSQL with sixteen.
func (b *bench) commitRate(ctx context.Context, databaseURL string) (float64, error) {
	driver, source, writers := "pgx", databaseURL, 16
	if b.store == sqlite {
		driver, writers = "sqlite", 1
		source = "file:" + filepath.Join(b.dir, "commits.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(writers)
	db.SetMaxIdleConns(writers)
	if _, err := db.ExecContext(ctx, "CREATE TABLE bench_commits (k BIGINT PRIMARY KEY, v TEXT NOT NULL)"); err != nil {
		return 0, err
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO bench_commits (k, v) VALUES ($1, 'a row of about the size of an event, which is little')")
	if err != nil {
		return 0, err
	}
	defer func() { _ = insert.Close() }()
	var key atomic.Int64
	failures := make(chan error, writers)
	begin := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for time.Since(begin) < b.commits {
				if _, err := insert.ExecContext(ctx, key.Add(1)); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	wg.Wait()
	seconds := time.Since(begin).Seconds()
	close(failures)
	if err := <-failures; err != nil {
		return 0, err
	}
	_, err = db.ExecContext(ctx, "DROP TABLE bench_commits")
	return float64(key.Load()) / seconds, err
}
