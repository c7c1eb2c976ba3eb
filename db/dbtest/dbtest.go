// Package dbtest gives tests a real store: each test runs on SQLite and on PostgreSQL, in a database of its own.
// PENSTOCK_TEST_POSTGRES names the server; without it tests fail, because a test that skips proves nothing.
package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"penstock/db"
)

const serverVariable = "PENSTOCK_TEST_POSTGRES"

// Each runs test on both databases, each migrated and empty.
func Each(t *testing.T, test func(t *testing.T, s *db.Store)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, Open(t, db.Options{URL: url})) })
}

// EachURL runs test with the URL of an empty database of each kind, for tests that start the binary or open the
// store with options of their own.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, newURL := range map[string]func(testing.TB) string{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newURL(t))
		})
	}
}

// URLs returns the URLs of two empty databases, the SQLite one first.
func URLs(t testing.TB) []string {
	t.Helper()
	return []string{SQLite(t), Postgres(t)}
}

// Open opens and migrates the store and closes it at the end of the test.
func Open(t testing.TB, o db.Options) *db.Store {
	t.Helper()
	if o.PoolSize == 0 {
		o.PoolSize = 8 // tests run side by side on one server
	}
	s, err := db.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TakeIn stores what an intake would.
func TakeIn(t testing.TB, s *db.Store, c db.IntakeChanges) {
	t.Helper()
	err := s.TakeIn(t.Context(), db.IntakeKeys{}, func(*db.Tx, *db.IntakeState) (db.IntakeChanges, error) { return c, nil })
	if err != nil {
		t.Fatal(err)
	}
}

// Counter counts statements: give its OnQuery to db.Options.
type Counter struct{ n atomic.Int64 }

// OnQuery counts one.
func (c *Counter) OnQuery(string) { c.n.Add(1) }

// During returns how many statements were sent while fn ran. Nothing else may use the store meanwhile.
func (c *Counter) During(fn func()) int {
	before := c.n.Load()
	fn()
	return int(c.n.Load() - before)
}

// SQLite returns the URL of a file that does not exist yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "penstock.db")
}

// Postgres creates a database on the test server, dropped at the end of the test. It is a database and not a
// schema because locks and notifications belong to the database.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(serverVariable)
	if server == "" {
		t.Fatalf("%s is not set: run the tests with\n\n\tgo tool -modfile=tools.mod task test\n\nwhich starts a PostgreSQL for them, or set it to the URL of a server where databases may be created", serverVariable)
	}
	name := "penstock_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// admin runs a statement on the server itself. It uses no context of the test: that has ended at the clean-up.
func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err == nil {
		_, err = conn.Exec(ctx, statement)
		conn.Close(ctx)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", serverVariable, err))
	}
}
