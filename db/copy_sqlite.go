package db

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"
	"time"
)

const sqliteTime = "2006-01-02 15:04:05.000000"

// openSide begins the transaction of a copy. What it reads is one state of the database.
func (s *Store) openSide(ctx context.Context, reads bool) (side, error) {
	if !s.isSQLite() {
		return s.openPostgresSide(ctx, reads)
	}
	pool, begin := s.write.DB, "BEGIN IMMEDIATE"
	if reads {
		pool, begin = s.read.DB, "BEGIN"
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &sqliteSide{conn}, nil
}

type sqliteSide struct{ conn *sql.Conn }

func (s *sqliteSide) schema(ctx context.Context) (map[string][]column, []string, error) {
	tables := map[string][]column{}
	err := s.query(ctx, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND m.name NOT LIKE 'bun\_%' ESCAPE '\' ORDER BY 1, 2`,
		func(table, name string) { tables[table] = append(tables[table], column{name: name}) })
	if err != nil {
		return nil, nil, err
	}
	var migrations []string
	err = s.query(ctx, `SELECT name, '' FROM pragma_table_list WHERE name = '`+migrationTable+`'`, func(name, _ string) { migrations = []string{name} })
	if err != nil || migrations == nil {
		return tables, nil, err
	}
	migrations = nil
	err = s.query(ctx, "SELECT name, '' FROM "+migrationTable, func(name, _ string) { migrations = append(migrations, name) })
	return tables, migrations, err
}

func (s *sqliteSide) parents(ctx context.Context) (map[string][]string, error) {
	parents := map[string][]string{}
	err := s.query(ctx, `SELECT m.name, f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`,
		func(child, parent string) { parents[child] = append(parents[child], parent) })
	return parents, err
}

func (s *sqliteSide) query(ctx context.Context, query string, row func(a, b string)) error {
	rows, err := s.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		row(a, b)
	}
	return rows.Err()
}

func (s *sqliteSide) rows(ctx context.Context, t table) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		rows, err := s.conn.QueryContext(ctx, "SELECT "+quoted(t.columns, func(_ column, name string) string { return name })+` FROM "`+t.name+`"`)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err = rows.Scan(into...); err != nil {
				break
			}
			for i, c := range t.columns {
				if values[i], err = fromSQLite(values[i], c.kind); err != nil {
					err = fmt.Errorf("column %s: %w", c.name, err)
					break
				}
			}
			if err != nil || !yield(values, nil) {
				break
			}
		}
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// fromSQLite reads a value as what it is on PostgreSQL.
func fromSQLite(value any, k kind) (any, error) {
	switch v := value.(type) {
	case int64:
		if k == kindBool {
			return v != 0, nil
		}
	case string:
		if k == kindTime {
			return time.Parse(sqliteTime, v)
		}
	}
	return value, nil
}

func (s *sqliteSide) insert(ctx context.Context, t table, rows iter.Seq2[[]any, error]) error {
	holes := strings.TrimSuffix(strings.Repeat("?, ", len(t.columns)), ", ")
	insert, err := s.conn.PrepareContext(ctx, `INSERT INTO "`+t.name+`" (`+quoted(t.columns, func(_ column, name string) string { return name })+") VALUES ("+holes+")")
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	values := make([]any, len(t.columns))
	for row, err := range rows {
		if err != nil {
			return err
		}
		for i, value := range row {
			if at, ok := value.(time.Time); ok {
				value = at.UTC().Format(sqliteTime)
			}
			values[i] = value
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSide) afterInsert(context.Context, table) error { return nil } // AUTOINCREMENT has seen the numbers

func (s *sqliteSide) exec(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

func (s *sqliteSide) close(ctx context.Context, commit bool) error {
	defer s.conn.Close()
	ctx = context.WithoutCancel(ctx)
	if !commit {
		return s.exec(ctx, "ROLLBACK")
	}
	// The connection flushes its log at the checkpoint, not at the commit.
	if err := s.exec(ctx, "COMMIT"); err != nil {
		_ = s.exec(ctx, "ROLLBACK")
		return err
	}
	return s.exec(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
}
