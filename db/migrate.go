package db

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/migrate"
)

//go:embed migrations
var migrationFiles embed.FS

// migrationTable is the list of applied migrations, kept by bun.
const migrationTable = "bun_migrations"

func (s *Store) migrations() (*migrate.Migrations, error) {
	files, err := fs.Sub(migrationFiles, "migrations/"+s.Dialect())
	if err != nil {
		return nil, err
	}
	ms := migrate.NewMigrations()
	return ms, ms.Discover(files)
}

// Migrate brings the schema up to date and returns how many migrations that took. Processes that start
// together wait for each other. A database that is newer than this binary is refused.
func (s *Store) Migrate(ctx context.Context) (applied int, err error) {
	db := s.write
	if !s.isSQLite() { // without the time limits of the pool
		db = bun.NewDB(stdlib.OpenDB(*s.config), pgdialect.New())
		defer db.Close()
	}
	err = s.WithAdvisoryLock(ctx, "penstock schema", func() error {
		if err := s.checkSchema(ctx, db); err != nil {
			return err
		}
		ms, err := s.migrations()
		if err != nil {
			return err
		}
		migrator := migrate.NewMigrator(db, ms, migrate.WithTableName(migrationTable), migrate.WithMarkAppliedOnSuccess(true))
		if err := migrator.Init(ctx); err != nil {
			return err
		}
		group, err := migrator.Migrate(ctx)
		if group != nil {
			applied = len(group.Migrations)
		}
		return err
	})
	if err != nil {
		return applied, wrap(err, "migrate database")
	}
	return applied, nil
}

// checkSchema refuses a database that a newer binary has migrated.
func (s *Store) checkSchema(ctx context.Context, db *bun.DB) error {
	exists := "SELECT count(*) FROM sqlite_master WHERE name = ?"
	if !s.isSQLite() {
		exists = "SELECT count(*) FROM pg_tables WHERE tablename = ? AND schemaname = current_schema()"
	}
	var n int
	if err := db.NewRaw(exists, migrationTable).Scan(ctx, &n); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	ms, err := s.migrations()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, m := range ms.Sorted() {
		known[m.Name] = true
	}
	var applied []string
	if err := db.NewRaw("SELECT name FROM "+migrationTable+" ORDER BY name").Scan(ctx, &applied); err != nil {
		return err
	}
	for _, name := range applied {
		if !known[name] {
			return fmt.Errorf("the database was migrated by a newer penstock (migration %s is unknown to this one): start that version, or restore a backup from before", name)
		}
	}
	return nil
}
