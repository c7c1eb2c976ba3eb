package db

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/fault"
)

// notCopied are the tables that say something about the database itself and nothing about what happened on it.
// Every other table of the schema is copied.
var notCopied = map[string]string{
	"executors": "the processes that work on the source",
	"changes":   "a list for those who watch the source; its transaction numbers mean nothing elsewhere",
}

// CopiedTable is what [Store.CopyTo] has copied of a table.
type CopiedTable struct {
	Name string
	Rows int64
}

// CopyTo copies everything that is stored into an empty, migrated database of either kind, in one transaction:
// the target has all of it or nothing. Afterwards every table is read back and compared. Runs that have not ended
// are pending at the target, so that the first process there takes them up. progress is called now and then.
//
// It refuses a source that a process works on, a target that holds anything, and two different schemas.
func (s *Store) CopyTo(ctx context.Context, target *Store, progress func(table string, rows int64)) (_ []CopiedTable, err error) {
	from, err := s.openSide(ctx, true)
	if err != nil {
		return nil, wrap(err, "open the source")
	}
	defer func() { err = errors.Join(err, from.close(ctx, false)) }()
	to, err := target.openSide(ctx, false)
	if err != nil {
		return nil, wrap(err, "open the target")
	}
	done := false
	defer func() { err = errors.Join(err, to.close(ctx, done && err == nil)) }()

	c := &copying{from: from, to: to, progress: progress}
	processes, err := s.executors(ctx)
	if err != nil {
		return nil, wrap(err, "look for processes on the source")
	}
	if n := len(processes.alive); n > 0 {
		return nil, fault.New(fault.Conflict, "The source is in use (penstock processes: %d). Stop them first: what they accept while it is copied would be missing at the target.", n)
	}
	if err := c.compareSchemas(ctx); err != nil {
		return nil, err
	}
	if err := c.copyAll(ctx); err != nil {
		return nil, wrap(err, "copy")
	}
	now, err := s.executors(ctx)
	if err != nil {
		return nil, wrap(err, "look for processes on the source")
	}
	if !slices.Equal(processes.all, now.all) {
		return nil, fault.New(fault.Conflict, "A penstock process was started on the source while it was copied. Nothing was kept at the target. Stop the process and copy again.")
	}
	done = true
	return c.copied, nil
}

// copying is one copy under way.
type copying struct {
	from, to side
	progress func(string, int64)
	tables   []table // parents before their children
	copied   []CopiedTable
}

// table is a table that both sides have, with the columns in one order.
type table struct {
	name    string
	columns []column
}

// column has the kind of its PostgreSQL type; between two SQLite files there are no kinds: values pass as they are.
type column struct {
	name string
	kind kind
}

type kind string

// side is one end of a copy: one transaction on one database. Values are nil, string, int64, float64, bool,
// []byte and time.Time, as the kind of their column says.
type side interface {
	schema(ctx context.Context) (tables map[string][]column, migrations []string, err error)
	parents(ctx context.Context) (map[string][]string, error)
	rows(ctx context.Context, t table) iter.Seq2[[]any, error]
	insert(ctx context.Context, t table, rows iter.Seq2[[]any, error]) error
	exec(ctx context.Context, statement string) error
	afterInsert(ctx context.Context, t table) error
	close(ctx context.Context, commit bool) error
}

// compareSchemas finds the tables to copy and checks that both sides have the same and that the target is empty.
func (c *copying) compareSchemas(ctx context.Context) error {
	source, applied, err := c.from.schema(ctx)
	if err != nil {
		return wrap(err, "read the schema of the source")
	}
	target, wanted, err := c.to.schema(ctx)
	if err != nil {
		return wrap(err, "read the schema of the target")
	}
	if len(applied) == 0 {
		return fault.New(fault.Invalid, "The source holds no penstock database.")
	}
	for _, m := range wanted {
		if !slices.Contains(applied, m) {
			return fault.New(fault.Conflict, "The schema of the source is older than this penstock (migration %s is missing). Bring it up to date first: penstock migrate.", m)
		}
	}
	parents, err := c.to.parents(ctx)
	if err != nil {
		return wrap(err, "read the foreign keys of the target")
	}
	names := slices.Sorted(maps.Keys(target))
	names = slices.DeleteFunc(names, func(name string) bool { return source[name] == nil }) // not ours
	for _, name := range names {
		for _, err := range c.to.rows(ctx, table{name, target[name]}) {
			if err == nil {
				err = fault.New(fault.Conflict, "The target is not empty: the table %s has rows. Copy to a new database.", name)
			}
			return err
		}
	}
	for _, name := range childrenLast(names, parents) {
		t, err := sameColumns(name, source[name], target[name])
		if err != nil {
			return err
		}
		if notCopied[name] == "" {
			c.tables = append(c.tables, t)
		}
	}
	return nil
}

func sameColumns(name string, source, target []column) (table, error) {
	t := table{name: name}
	if len(source) != len(target) {
		return t, fault.New(fault.Conflict, "The table %s has %d columns in the source and %d in the target.", name, len(source), len(target))
	}
	for i, column := range target { // both are sorted by name
		if source[i].name != column.name {
			return t, fault.New(fault.Conflict, "The table %s has the column %s in the source only.", name, source[i].name)
		}
		if column.kind == "" {
			column.kind = source[i].kind
		}
		t.columns = append(t.columns, column)
	}
	return t, nil
}

// childrenLast orders tables so that every one comes after those that it refers to.
func childrenLast(names []string, parents map[string][]string) []string {
	var ordered []string
	var add func(string)
	add = func(name string) {
		if slices.Contains(ordered, name) || !slices.Contains(names, name) {
			return
		}
		for _, parent := range parents[name] {
			if parent != name {
				add(parent)
			}
		}
		ordered = append(ordered, name)
	}
	for _, name := range names {
		add(name)
	}
	return ordered
}

func (c *copying) copyAll(ctx context.Context) error {
	sums := make([]sum, len(c.tables))
	for i, t := range c.tables {
		counted := func(yield func([]any, error) bool) {
			for row, err := range c.from.rows(ctx, t) {
				if err == nil {
					sums[i].add(row)
					if sums[i].rows%10_000 == 0 {
						c.progress(t.name, sums[i].rows)
					}
				}
				if !yield(row, err) {
					return
				}
			}
		}
		if err := c.to.insert(ctx, t, counted); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		if err := c.to.afterInsert(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		c.progress(t.name, sums[i].rows)
		c.copied = append(c.copied, CopiedTable{t.name, sums[i].rows})
	}
	for i, t := range c.tables {
		var got sum
		for row, err := range c.to.rows(ctx, t) {
			if err != nil {
				return fmt.Errorf("read table %s back: %w", t.name, err)
			}
			got.add(row)
		}
		if got != sums[i] {
			return fmt.Errorf("table %s: the target does not hold what the source does (%d rows of %d, or other values); nothing was kept", t.name, got.rows, sums[i].rows)
		}
	}
	// No process of the target works them: pending, they are found.
	if err := c.to.exec(ctx, "UPDATE runs SET status = 'pending' WHERE status = 'running'"); err != nil {
		return err
	}
	return c.to.exec(ctx, "DELETE FROM changes") // triggers have written it
}

// sum is of a table's rows in any order.
type sum struct {
	rows int64
	xor  [sha256.Size]byte
}

func (s *sum) add(row []any) {
	s.rows++
	h := sha256.New()
	for _, value := range row {
		if at, ok := value.(time.Time); ok {
			value = at.UTC().Format(sqliteTime)
		}
		fmt.Fprintf(h, "%T %#v,", value, value)
	}
	for i, b := range h.Sum(nil) {
		s.xor[i] ^= b
	}
}

// executors are the ids of the processes on the database, in order, and those that are alive.
type executorList struct{ all, alive []string }

func (s *Store) executors(ctx context.Context) (l executorList, err error) {
	if s.isSQLite() { // the lock of the file is ours
		return l, nil
	}
	err = s.InTx(ctx, func(tx *Tx) error {
		var rows []struct {
			ID   string
			Dead bool
		}
		// The lock of a dead process is free, and is given back with the transaction.
		const query = "SELECT id, pg_try_advisory_xact_lock(hashtextextended(id, 2)) AS dead FROM executors ORDER BY id"
		if err := tx.idb.NewRaw(query).Scan(tx.ctx(ctx), &rows); err != nil {
			return err
		}
		for _, r := range rows {
			l.all = append(l.all, r.ID)
			if !r.Dead {
				l.alive = append(l.alive, r.ID)
			}
		}
		return nil
	})
	if isUndefinedTable(err) { // compareSchemas says it better
		err = nil
	}
	return l, err
}

// quoted is a list of column names as SQL.
func quoted(columns []column, each func(column, string) string) string {
	var parts []string
	for _, c := range columns {
		parts = append(parts, each(c, `"`+strings.ReplaceAll(c.name, `"`, `""`)+`"`))
	}
	return strings.Join(parts, ", ")
}
