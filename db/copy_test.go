package db_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	t.Run("takes every table and column there and back exactly", func(t *testing.T) {
		t.Parallel()
		urls := []string{dbtest.Postgres(t), dbtest.SQLite(t), dbtest.SQLite(t), dbtest.Postgres(t), dbtest.Postgres(t)}
		filled := fill(t, urls[0])
		for i := range urls[1:] {
			copied := copyBetween(t, urls[i], urls[i+1])
			names := []string{"changes", "executors"} // what they say is not true of another database
			for _, table := range copied {
				names = append(names, table.Name)
				if table.Rows != rowsPerTable {
					t.Errorf("copy %d: %d rows of %s, not %d", i, table.Rows, table.Name, rowsPerTable)
				}
			}
			if slices.Sort(names); !slices.Equal(names, filled) {
				t.Errorf("copy %d: the tables are\n%s, of\n%s", i, names, filled)
			}
		}
		before, after := dump(t, urls[0]), dump(t, urls[len(urls)-1])
		for table := range maps.Keys(before) {
			want := before[table]
			if table == "runs" {
				want = strings.ReplaceAll(want, ",running,", ",pending,") // nobody works it at the target
			}
			if want != after[table] {
				t.Errorf("%s: before\n%s\nafter\n%s", table, want, after[table])
			}
		}
	})

	t.Run("refuses a target that holds anything", func(t *testing.T) {
		t.Parallel()
		for _, urls := range [][2]string{{dbtest.Postgres(t), dbtest.SQLite(t)}, {dbtest.SQLite(t), dbtest.Postgres(t)}} {
			source, target := dbtest.Open(t, db.Options{URL: urls[0]}), dbtest.Open(t, db.Options{URL: urls[1]})
			value(target.SetMetaOnce(t.Context(), "starter", "done"))(t)
			refused(t, source, target, "not empty: the table meta")
		}
	})

	t.Run("refuses a source that a process works on", func(t *testing.T) {
		t.Parallel()
		source, target := dbtest.Open(t, db.Options{URL: dbtest.Postgres(t)}), dbtest.Open(t, db.Options{URL: dbtest.SQLite(t)})
		process := value(source.OpenExecutor(t.Context(), "one"))(t)
		refused(t, source, target, "in use (penstock processes: 1)")
		process.Close()
		value(source.CopyTo(t.Context(), target, quietly))(t)
	})

	t.Run("refuses a source of an older schema", func(t *testing.T) {
		t.Parallel()
		for _, urls := range [][2]string{{dbtest.Postgres(t), dbtest.SQLite(t)}, {dbtest.SQLite(t), dbtest.Postgres(t)}} {
			source, target := dbtest.Open(t, db.Options{URL: urls[0]}), dbtest.Open(t, db.Options{URL: urls[1]})
			value(openURL(t, urls[0]).ExecContext(t.Context(), "DELETE FROM bun_migrations WHERE name = (SELECT max(name) FROM bun_migrations)"))(t)
			refused(t, source, target, "penstock migrate")
		}
	})

	t.Run("keeps nothing when it fails half-way", func(t *testing.T) {
		t.Parallel()
		for _, urls := range [][2]string{{dbtest.Postgres(t), dbtest.SQLite(t)}, {dbtest.SQLite(t), dbtest.Postgres(t)}} {
			source, target := dbtest.Open(t, db.Options{URL: urls[0]}), dbtest.Open(t, db.Options{URL: urls[1]})
			value(source.SetMetaOnce(t.Context(), "starter", "done"))(t)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := source.CopyTo(ctx, target, func(table string, _ int64) {
				if table == "meta" {
					cancel()
				}
			})
			if err == nil {
				t.Fatal("the copy was cancelled and says nothing")
			}
			if _, err := target.Meta(t.Context(), "starter"); !fault.Is(err, fault.NotFound) {
				t.Errorf("meta after a copy that failed: %v, want that it is not there", err)
			}
			value(source.CopyTo(t.Context(), target, quietly))(t)
		}
	})
}

func quietly(string, int64) {}

func refused(t *testing.T, source, target *db.Store, words string) {
	t.Helper()
	if _, err := source.CopyTo(t.Context(), target, quietly); err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("copy: %v, want to read %q", err, words)
	}
}

func copyBetween(t *testing.T, from, to string) []db.CopiedTable {
	t.Helper()
	source, target := dbtest.Open(t, db.Options{URL: from}), dbtest.Open(t, db.Options{URL: to})
	copied := value(source.CopyTo(t.Context(), target, quietly))(t)
	must(t, source.Close())
	must(t, target.Close())
	return copied
}

const rowsPerTable = 3

// fill gives every table of an empty database three rows, with something in every column, and nothing in every
// column that may be empty. It returns the tables.
func fill(t *testing.T, url string) []string {
	t.Helper()
	dbtest.Open(t, db.Options{URL: url})
	conn := openURL(t, url)
	left := strings.Fields(one(t, conn, `SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class
		WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'bun%'`))
	tables := slices.Clone(left)
	for tries := 0; len(left) > 0; tries++ {
		table := left[0]
		left = left[1:]
		if err := fillTable(t, conn, table); err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			left = append(left, table) // it refers to one that comes later
		}
	}
	return tables
}

var oneOf = regexp.MustCompile(`\(\(?(\w+) = ANY \(ARRAY\['([^']*)'`)

func fillTable(t *testing.T, conn *sql.DB, table string) error {
	t.Helper()
	allowed := map[string]string{}
	checks := one(t, conn, "SELECT COALESCE(string_agg(pg_get_constraintdef(oid), ' '), '') FROM pg_constraint WHERE contype = 'c' AND conrelid = '"+table+"'::regclass")
	for _, match := range oneOf.FindAllStringSubmatch(checks, -1) {
		allowed[match[1]] = match[2]
	}
	if table == "runs" {
		allowed["status"] = "running"
	}
	rows := value(conn.QueryContext(t.Context(), "SELECT column_name, data_type, is_nullable = 'YES', is_identity = 'YES' FROM information_schema.columns WHERE table_name = $1 AND table_schema = current_schema()", table))(t)
	defer rows.Close()
	var names []string
	values := make([][]string, rowsPerTable)
	for rows.Next() {
		var name, kind string
		var nullable, identity bool
		must(t, rows.Scan(&name, &kind, &nullable, &identity))
		if identity {
			continue
		}
		names = append(names, name)
		for n := range rowsPerTable {
			literal := map[string]string{
				"text":                     fmt.Sprintf("'ü 漢 ''\" \\ %d'", n+1),
				"integer":                  fmt.Sprint(n + 1),
				"bigint":                   fmt.Sprint(int64(n+1) << 40),
				"boolean":                  fmt.Sprint(n%2 == 0),
				"timestamp with time zone": fmt.Sprintf("'2026-03-29 0%d:30:00.12345%d+02'", n+1, n),
				"json":                     fmt.Sprintf(`'{"b" : [1.50, %d], "a":"\u0000 ü \ud83d\ude00", "a": null}'`, n),
				"bytea":                    fmt.Sprintf(`'\x00ff0%d27'`, n),
			}[kind]
			switch {
			case allowed[name] != "":
				literal = "'" + allowed[name] + "'"
			case nullable && n == 1:
				literal = "NULL"
			case literal == "":
				t.Fatalf("%s.%s has the type %s: teach this test to fill it", table, name, kind)
			}
			values[n] = append(values[n], literal)
		}
	}
	must(t, rows.Err())
	var all []string
	for _, row := range values {
		all = append(all, "("+strings.Join(row, ", ")+")")
	}
	_, err := conn.ExecContext(t.Context(), "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES "+strings.Join(all, ", "))
	return err
}

// dump is every table of a PostgreSQL database as text, but for those that say nothing of what happened.
func dump(t *testing.T, url string) map[string]string {
	t.Helper()
	conn := openURL(t, url)
	all := map[string]string{}
	for table := range strings.FieldsSeq(one(t, conn, `SELECT string_agg(relname, ' ') FROM pg_class
		WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'bun%' AND relname NOT IN ('changes', 'executors')`)) {
		all[table] = one(t, conn, fmt.Sprintf("SELECT string_agg(%[1]s::text, E'\n' ORDER BY %[1]s::text) FROM %[1]s", table))
	}
	return all
}

func one(t *testing.T, conn *sql.DB, query string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var text string
	must(t, conn.QueryRowContext(ctx, query).Scan(&text))
	return text
}
