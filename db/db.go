package db

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"golang.org/x/sync/singleflight"
)

// Options of [Open]. Only URL is required.
type Options struct {
	URL      string             // "sqlite:<path>" or "postgres://…"
	Log      *slog.Logger       // nil: discard
	OnQuery  func(query string) // sees every statement that is sent; for tests that count them
	OnCommit func([]RunEvent)   // after the commit of events, in order, from the writer; must not block
	PoolSize int                // connections to PostgreSQL, default 32; half of them are [Store.Pool]
}

// Store is the open database. It is safe for concurrent use.
type Store struct {
	log      *slog.Logger
	onCommit func([]RunEvent)
	hook     *queryHook
	read     *bun.DB
	write    *bun.DB // the same as read on PostgreSQL

	lock *os.File // SQLite only

	pool   *pgxpool.Pool   // PostgreSQL only
	config *pgx.ConnConfig // PostgreSQL only: for connections outside the pools, without time limits

	runs    *writer // run writes and cancellations; on SQLite everything
	accepts *writer
	starts  *writer

	commitWrites, commitSeconds *Histogram

	tries    singleflight.Group
	unwell   atomic.Bool // the newest write failed because the database could not work
	failed   chan struct{}
	failOnce sync.Once
	stop     context.CancelFunc
	writers  sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Open opens the database and checks that this binary can work with it. It does not migrate: see [Store.Migrate].
// A SQLite file, its directory and its lock are created when missing; a second process on the same file is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PoolSize <= 0 {
		o.PoolSize = 32
	}
	s := &Store{log: o.Log, onCommit: o.OnCommit, failed: make(chan struct{})}
	s.commitWrites, s.commitSeconds = newCommitHistograms()
	scheme, rest, _ := strings.Cut(o.URL, ":")
	var err error
	switch scheme {
	case "sqlite":
		err = s.openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	case "postgres", "postgresql":
		err = s.openPostgres(ctx, o.URL, o.PoolSize)
	default: // the URL may hold a password: keep it out of the message
		err = fmt.Errorf("unknown scheme %q: write sqlite:<path> or postgres://…", scheme)
	}
	if err == nil {
		s.hook = &queryHook{log: o.Log, onQuery: o.OnQuery}
		s.read, s.write = s.read.WithQueryHook(s.hook), s.write.WithQueryHook(s.hook)
		err = s.checkSchema(ctx, s.read)
	}
	if err != nil {
		_ = s.closeHandles() // the first error is the one to report
		return nil, fmt.Errorf("open database: %w", err)
	}
	s.startWriters()
	return s, nil
}

func (s *Store) startWriters() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	start := func() *writer {
		w := newWriter(s)
		s.writers.Go(func() { w.run(ctx) })
		return w
	}
	s.runs = start()
	s.accepts, s.starts = s.runs, s.runs
	if !s.isSQLite() {
		s.accepts, s.starts = start(), start()
	}
}

// Close commits what is queued, if the database answers, and closes all connections. Closing again does nothing.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		s.writers.Wait()
		s.closeErr = s.closeHandles()
	})
	return s.closeErr
}

func (s *Store) closeHandles() error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.read != nil && s.read.DB != s.write.DB {
		keep(s.read.Close())
	}
	if s.write != nil {
		keep(s.write.Close())
	}
	if s.lock != nil {
		keep(s.lock.Close())
	}
	return first
}

// Dialect is "sqlite" or "postgres".
func (s *Store) Dialect() string {
	if s.isSQLite() {
		return "sqlite"
	}
	return "postgres"
}

func (s *Store) isSQLite() bool { return s.lock != nil }

// SQLiteDB is the only connection that writes to the SQLite file, nil on PostgreSQL. Who holds it for long stops all writes.
func (s *Store) SQLiteDB() *sql.DB {
	if s.isSQLite() {
		return s.write.DB
	}
	return nil
}

// Pool is the part of the PostgreSQL connections that is not used by the Store itself, nil on SQLite.
// It caches prepared statements, which bun's statements with their arguments inside would only flush.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Failed is closed when the disk has refused to make a commit durable. What it holds is unknown from then on,
// so every later write is refused; the process should end and read the file anew.
func (s *Store) Failed() <-chan struct{} { return s.failed }

func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.log.Error("the disk refused to make a commit durable: no more writes until restart", "error", err)
		close(s.failed)
	})
}

func (s *Store) hasFailed() error {
	select {
	case <-s.failed:
		return errFsync
	default:
		return nil
	}
}

const accessWrite = 2 // W_OK of access(2)

// Ping tells whether the store can do its work: it reads and, when the newest write failed or the SQLite
// file can no longer be opened for writing, tries a write.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.hasFailed(); err != nil {
		return wrap(err, "ping")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var one int
	if err := s.read.NewSelect().ColumnExpr("1").Scan(ctx, &one); err != nil {
		return wrap(err, "ping")
	}
	writable := true
	if s.isSQLite() {
		// Opening and closing the file here would drop the locks that SQLite has on it: POSIX takes all of the
		// process's. The next sqlite3 shell would then delete the log at its end, with what was committed.
		writable = syscall.Access(s.file(), accessWrite) == nil
	}
	if writable && !s.unwell.Load() {
		return nil
	}
	return s.TryWrite(ctx)
}

// queryHook shows statements to tests and logs the slow ones, without their text: it holds the arguments.
type queryHook struct {
	log     *slog.Logger
	onQuery func(string)
}

const slowQuery = 500 * time.Millisecond

func (h *queryHook) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if h.onQuery != nil {
		h.onQuery(e.Query)
	}
	return ctx
}

func (h *queryHook) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if took := time.Since(e.StartTime); took > slowQuery {
		var table string
		if m, ok := e.Model.(bun.TableModel); ok {
			table = m.Table().Name
		}
		h.log.Warn("slow query", "operation", e.Operation(), "table", table, "took", took)
	}
}
