package db

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

func TestLift(t *testing.T) {
	t.Parallel()
	const id = "0190a7c4-7f5e-7cc3-98c4-dc0c0c07398f"
	for query, want := range map[string]string{
		`INSERT INTO "r" AS "x" ("id", "n", "b", "t", "j") VALUES ('it''s', -12, X'00ff', NULL, TRUE), ('', 3, X'', 'VALUES (1)', FALSE) ON CONFLICT (id) WHERE id <> 'x' DO UPDATE SET "n" = 5`:
		/**/ `INSERT INTO "r" AS "x" ("id", "n", "b", "t", "j") VALUES (?, -?, ?, ?, ?), (?, ?, ?, ?, ?) ON CONFLICT (id) WHERE id <> 'x' DO UPDATE SET "n" = 5 [it's 12 [0 255] <nil> 1  3 [] VALUES (1) 0]`,
		`WITH "c" ("id", "at") AS (VALUES ('a', NULL)) UPDATE "r" SET "at" = NULL WHERE r.status = 'done' AND c.id = '` + id + `'`:
		/**/ `WITH "c" ("id", "at") AS (VALUES (?, ?)) UPDATE "r" SET "at" = NULL WHERE r.status = 'done' AND c.id = ? [a <nil> ` + id + `]`,
		`SELECT "it's" FROM "r" WHERE id IN ('` + id + `') AND NOT b IS NULL AND status = 'firing' ORDER BY 1 LIMIT 20`:
		/**/ `SELECT "it's" FROM "r" WHERE id IN (?) AND NOT b IS NULL AND status = 'firing' ORDER BY 1 LIMIT 20 [` + id + `]`,
		`INSERT INTO "r" ("n") VALUES (1.5), (strftime('%Y', 'now'))`:  `INSERT INTO "r" ("n") VALUES (1.5), (strftime(?, ?)) [%Y now]`,
		`CREATE TRIGGER t BEGIN INSERT INTO r (t) VALUES ('run'); END`: `CREATE TRIGGER t BEGIN INSERT INTO r (t) VALUES ('run'); END []`,
		`BEGIN IMMEDIATE`: `BEGIN IMMEDIATE []`,
	} {
		shape, args := lift(query)
		var values []any
		for _, a := range args {
			values = append(values, a.Value)
		}
		if got := fmt.Sprint(shape, " ", values); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", query, got, want)
		}
	}
}

// TestKeptStatements does with one connection what the store does not do on purpose.
func TestKeptStatements(t *testing.T) {
	t.Parallel()
	pool, err := openSQLitePool("file:" + filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	do := func(query string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE n (v TEXT UNIQUE, w BLOB) STRICT")
	for i := range 2 * keptStatements {
		do(fmt.Sprintf("INSERT INTO n (v, w) VALUES ('%d', X'')", i))
	}
	values := func(query string) (all []string) {
		t.Helper()
		rows, err := conn.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			if all = append(all, v); len(all) == 1 { // the same statement, while its rows are open; then more than are kept
				if err := conn.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
					t.Fatal(err)
				}
				for i := range keptStatements {
					do(fmt.Sprintf("INSERT OR IGNORE INTO n (v, w) VALUES ('0', X'') /* %d */", i))
				}
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	const twice = "SELECT v FROM n WHERE w = X'' AND v IN ('0', '1') AND v <> '0190a7c4-7f5e-7cc3-98c4-dc0c0c07398f' ORDER BY v"
	for range 2 {
		if got := values(twice); !slices.Equal(got, []string{"0", "1"}) {
			t.Errorf("read %q", got)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "INSERT INTO n (v) VALUES ('1')"); err == nil {
		t.Error("a value that is unique was stored twice")
	}
	do("INSERT INTO n (v) VALUES ('new')")
	do("ALTER TABLE n ADD COLUMN x TEXT") // what is kept is read again
	do("INSERT INTO n (v) VALUES ('newer')")
}
