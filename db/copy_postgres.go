package db

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The kinds of columns, by their types on PostgreSQL.
const (
	kindText  kind = "text"
	kindInt   kind = "int"
	kindFloat kind = "float"
	kindBool  kind = "bool"
	kindTime  kind = "time"
	kindJSON  kind = "json"
	kindBytes kind = "bytes"
)

var kinds = map[string]kind{
	"text": kindText, "smallint": kindInt, "integer": kindInt, "bigint": kindInt, "double precision": kindFloat,
	"boolean": kindBool, "timestamp with time zone": kindTime, "json": kindJSON, "bytea": kindBytes,
}

type postgresSide struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

func (s *Store) openPostgresSide(ctx context.Context, reads bool) (side, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config) // without the time limits of the pools
	if err != nil {
		return nil, err
	}
	options := pgx.TxOptions{}
	if reads {
		options = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	}
	tx, err := conn.BeginTx(ctx, options)
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return &postgresSide{conn, tx}, nil
}

func (s *postgresSide) schema(ctx context.Context) (map[string][]column, []string, error) {
	tables := map[string][]column{}
	rows, err := s.tx.Query(ctx, `SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'bun\_%'
		ORDER BY c.relname, a.attname COLLATE "C"`)
	if err != nil {
		return nil, nil, err
	}
	var table, name, typ string
	_, err = pgx.ForEachRow(rows, []any{&table, &name, &typ}, func() error {
		k, known := kinds[typ]
		if !known {
			return fmt.Errorf("%s.%s has the type %s, which copy does not know", table, name, typ)
		}
		tables[table] = append(tables[table], column{name, k})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var exists bool
	if err := s.tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", migrationTable).Scan(&exists); err != nil || !exists {
		return tables, nil, err
	}
	if rows, err = s.tx.Query(ctx, "SELECT name FROM "+migrationTable); err != nil {
		return nil, nil, err
	}
	migrations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return tables, migrations, err
}

func (s *postgresSide) parents(ctx context.Context) (map[string][]string, error) {
	parents := map[string][]string{}
	rows, err := s.tx.Query(ctx, `SELECT c.relname, p.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
		WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace`)
	if err != nil {
		return nil, err
	}
	var child, parent string
	_, err = pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		parents[child] = append(parents[child], parent)
		return nil
	})
	return parents, err
}

func (s *postgresSide) rows(ctx context.Context, t table) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		names := quoted(t.columns, func(c column, name string) string {
			if c.kind == kindJSON {
				return name + "::text" // as it was written, not as it is understood
			}
			return name
		})
		rows, err := s.tx.Query(ctx, "SELECT "+names+" FROM "+pgx.Identifier{t.name}.Sanitize())
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			values, err := rows.Values()
			for i, v := range values {
				switch v := v.(type) {
				case int16:
					values[i] = int64(v)
				case int32:
					values[i] = int64(v)
				}
			}
			if !yield(values, err) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

func (s *postgresSide) insert(ctx context.Context, t table, rows iter.Seq2[[]any, error]) error {
	next, stop := iter.Pull2(rows)
	defer stop()
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	_, err := s.tx.CopyFrom(ctx, pgx.Identifier{t.name}, names, pgx.CopyFromFunc(func() ([]any, error) {
		row, err, _ := next()
		return row, err
	}))
	return err
}

// afterInsert lets the numbers that the database gives go on after those that were copied.
func (s *postgresSide) afterInsert(ctx context.Context, t table) error {
	for _, c := range t.columns {
		if c.kind != kindInt {
			continue
		}
		name, id := pgx.Identifier{t.name}.Sanitize(), pgx.Identifier{c.name}.Sanitize()
		var sequence *string
		if err := s.tx.QueryRow(ctx, "SELECT pg_get_serial_sequence($1, $2)", name, c.name).Scan(&sequence); err != nil {
			return err
		}
		if sequence == nil {
			continue
		}
		if err := s.exec(ctx, fmt.Sprintf("SELECT setval('%s', max(%s)) FROM %s", *sequence, id, name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *postgresSide) exec(ctx context.Context, statement string) error {
	_, err := s.tx.Exec(ctx, statement)
	return err
}

func (s *postgresSide) close(ctx context.Context, commit bool) (err error) {
	ctx = context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, s.conn.Close(ctx)) }()
	if !commit {
		return s.tx.Rollback(ctx)
	}
	return s.tx.Commit(ctx)
}

func isUndefinedTable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "42P01"
}
