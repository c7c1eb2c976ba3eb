package db_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

// holdVariable makes the test binary open a store, say so and wait: the other process of a test.
const holdVariable = "PENSTOCK_TEST_HOLD"

func TestMain(m *testing.M) {
	if url := os.Getenv(holdVariable); url != "" {
		s, err := db.Open(context.Background(), db.Options{URL: url})
		if err == nil {
			_, err = s.Migrate(context.Background())
		}
		if err == nil {
			err = s.Ping(context.Background())
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("open")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		_ = s.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold lets another process open the store, write and look whether it is well, until release is called.
func hold(t *testing.T, url string) (holder *exec.Cmd, release func()) {
	t.Helper()
	holder = exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), holdVariable+"="+url)
	stdin := value(holder.StdinPipe())(t)
	stdout := value(holder.StdoutPipe())(t)
	must(t, holder.Start())
	if line := value(bufio.NewReader(stdout).ReadString('\n'))(t); line != "open\n" {
		t.Fatalf("the other process says %q", line)
	}
	return holder, func() {
		stdin.Close()
		must(t, holder.Wait())
	}
}

// Without SQLite's lock on the file, whoever looks into it believes to be alone and deletes the log when he
// leaves; what the server commits from then on is lost with its process.
func TestPingKeepsTheLockOfTheFile(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	holder, release := hold(t, url)
	defer release()
	file := value(os.Open(strings.TrimPrefix(url, "sqlite:")))(t)
	defer file.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 0x40000002, Len: 510} // SQLite's range of shared locks
	must(t, syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock))
	if lock.Type != syscall.F_RDLCK || int(lock.Pid) != holder.Process.Pid {
		t.Errorf("the file is not locked by the process that uses it: %+v", lock)
	}
}

func TestOpenRefusesASecondProcess(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	holder, release := hold(t, url)
	_, err := db.Open(t.Context(), db.Options{URL: url})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by another penstock process (pid %d)", holder.Process.Pid)) {
		t.Errorf("a second process: %v, want a refusal that names pid %d", err, holder.Process.Pid)
	}
	release()
	must(t, value(db.Open(t.Context(), db.Options{URL: url}))(t).Close())
}

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("makes the directory and the file for the owner only", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "new dir?", "a#b%20.db")
		s := dbtest.Open(t, db.Options{URL: "sqlite:" + path})
		must(t, s.Ping(t.Context()))
		for name, want := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600} {
			if got := value(os.Stat(name))(t).Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", name, got, want)
			}
		}
	})
	for name, c := range map[string]struct{ url, want string }{
		"unknown scheme":          {"mysql://root:hunter2@host/db", `unknown scheme "mysql"`},
		"no path":                 {"sqlite:", "write sqlite:<path>"},
		"memory":                  {"sqlite::memory:", "write sqlite:<path>"},
		"not a database":          {"sqlite:" + notADatabase(t), "file is not a database"},
		"unreachable server":      {"postgres://someone:hunter2@127.0.0.1:1/db", "connection refused"},
		"unreadable postgres url": {"postgres://someone:hunter2@127.0.0.1:port/db", "cannot parse"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := db.Open(t.Context(), db.Options{URL: c.url})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func notADatabase(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "text.db")
	must(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600))
	return path
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		s := value(db.Open(t.Context(), db.Options{URL: url}))(t)
		defer s.Close()
		files := value(filepath.Glob(filepath.Join("migrations", s.Dialect(), "*.tx.up.sql")))(t)
		if n := value(s.Migrate(t.Context()))(t); n != len(files) {
			t.Errorf("an empty database took %d migrations, want %d", n, len(files))
		}
		if n := value(s.Migrate(t.Context()))(t); n != 0 {
			t.Errorf("the second time took %d migrations, want none", n)
		}
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{newRun()}}))
	})
}

func TestProcessesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	total := make(chan int, 4)
	for range cap(total) {
		go func() {
			s, err := db.Open(t.Context(), db.Options{URL: url, PoolSize: 2})
			if err != nil {
				t.Error(err)
				total <- 0
				return
			}
			defer s.Close()
			n, err := s.Migrate(t.Context())
			if err != nil {
				t.Error(err)
			}
			total <- n
		}()
	}
	applied := []int{<-total, <-total, <-total, <-total}
	slices.Sort(applied)
	if applied[2] != 0 || applied[3] == 0 {
		t.Errorf("4 processes applied %v migrations, want one that applied them all", applied)
	}
}

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		must(t, dbtest.Open(t, db.Options{URL: url}).Close())
		execRaw(t, url, "INSERT INTO bun_migrations (name, group_id) VALUES ('20991231000000', 2)")
		_, err := db.Open(t.Context(), db.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), "migrated by a newer penstock (migration 20991231000000") {
			t.Errorf("got %v, want a refusal that names the migration", err)
		}
	})
}

func TestBothSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	urls := dbtest.URLs(t)
	columns := func(url, query string) []string {
		must(t, dbtest.Open(t, db.Options{URL: url}).Close())
		raw := openURL(t, url)
		rows := value(raw.QueryContext(t.Context(), query))(t)
		defer rows.Close()
		var all []string
		for rows.Next() {
			var table, column string
			var null bool
			must(t, rows.Scan(&table, &column, &null))
			all = append(all, fmt.Sprintf("%s.%s null:%v", table, column, null))
		}
		must(t, rows.Err())
		return all
	}
	// In SQLite the columns of a primary key are not null without saying so.
	lite := columns(urls[0], `SELECT m.name, c.name, c."notnull" = 0 AND c.pk = 0 FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'bun_%' ORDER BY 1, 2`)
	postgres := columns(urls[1], `SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'bun_%' ORDER BY table_name COLLATE "C", column_name COLLATE "C"`)
	if len(lite) < 100 || !slices.Equal(lite, postgres) {
		for _, c := range lite {
			if !slices.Contains(postgres, c) {
				t.Errorf("only in SQLite: %s", c)
			}
		}
		for _, c := range postgres {
			if !slices.Contains(lite, c) {
				t.Errorf("only in PostgreSQL: %s", c)
			}
		}
		t.Errorf("%d columns in SQLite, %d in PostgreSQL", len(lite), len(postgres))
	}
}

func TestTimesComeBackInUTCWhateverTheZoneOfTheMachine(t *testing.T) {
	if os.Getenv("TZ") != "America/New_York" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), "TZ=America/New_York")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		r := newRun()
		r.CreatedAt = at.In(time.FixedZone("elsewhere", 5*3600))
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{r}}))
		for name, got := range map[string]*db.Run{"read": value(s.Run(t.Context(), r.ID))(t), "returned": value(s.StartRun(t.Context(), r.ID))(t)} {
			if got.CreatedAt != at {
				t.Errorf("%s: %v, want %v", name, got.CreatedAt, at)
			}
		}
	})
}

// openURL opens a database beside the store.
func openURL(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path
	}
	raw := value(sql.Open(driver, dsn))(t)
	t.Cleanup(func() { raw.Close() })
	return raw
}

func execRaw(t *testing.T, url, statement string) {
	t.Helper()
	value(openURL(t, url).ExecContext(t.Context(), statement))(t)
}
