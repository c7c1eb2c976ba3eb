package db

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

const (
	postgresOldest = 15
	connectTimeout = 3 * time.Second
)

// openPostgres opens two pools: one for bun, whose statements carry their arguments and are never worth
// preparing, and one for the engine, whose statements are.
func (s *Store) openPostgres(ctx context.Context, url string, poolSize int) error {
	pool, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err // pgx masks the password
	}
	pool.MaxConns = int32(max(poolSize/2, 1))
	pool.AfterConnect = afterConnect
	setUp(pool.ConnConfig)
	s.config = pool.ConnConfig.Copy()

	own := pool.ConnConfig.Copy()
	own.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	own.RuntimeParams["lock_timeout"] = "2000" // a locked table is answered, not waited for
	own.RuntimeParams["statement_timeout"] = "30000"
	own.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	ownDB := stdlib.OpenDB(*own, stdlib.OptionAfterConnect(afterConnect))
	ownDB.SetMaxOpenConns(max(poolSize-poolSize/2, 2))
	ownDB.SetMaxIdleConns(max(poolSize-poolSize/2, 2))
	ownDB.SetConnMaxIdleTime(5 * time.Minute)
	s.write = bun.NewDB(ownDB, postgresDialect{pgdialect.New()})
	s.read = s.write

	var version int
	if err := s.read.NewRaw("SELECT current_setting('server_version_num')::int").Scan(ctx, &version); err != nil {
		return err
	}
	if version/10000 < postgresOldest {
		return fmt.Errorf("the server is PostgreSQL %d, at least %d is needed", version/10000, postgresOldest)
	}
	s.pool, err = pgxpool.NewWithConfig(ctx, pool)
	return err
}

func setUp(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	// A dead host is noticed within seconds, whether or not bytes are under way.
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	c.DialFunc = dialer.DialContext
	set := func(name, value string) {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	set("application_name", "penstock")
	set("synchronous_commit", "on") // an answer means durable
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["standard_conforming_strings"] = "on" // bun's quoting relies on it
	c.RuntimeParams["client_encoding"] = "UTF8"
}

// afterConnect makes times come back in UTC instead of the zone of the machine.
func afterConnect(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	return nil
}

// WithAdvisoryLock runs fn while no other process on the same database runs a function under the same name.
// On SQLite there is no other process.
func (s *Store) WithAdvisoryLock(ctx context.Context, name string, fn func() error) error {
	if s.isSQLite() {
		return fn()
	}
	// A connection of its own: closing it frees the lock, whatever happened to fn.
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return wrap(err, "lock "+name)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Asked again and again rather than waited for: a statement that waits holds a snapshot, and CREATE INDEX
	// CONCURRENTLY in fn, on the other side, would wait for that snapshot to end.
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for {
		var locked bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", name).Scan(&locked); err != nil {
			return wrap(err, "lock "+name)
		}
		if locked {
			return fn()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return wrap(context.Cause(ctx), "lock "+name)
		}
	}
}
