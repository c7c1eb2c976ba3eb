package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/db/seal"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/alerts/alertmanager"
	"penstock/drivers/notify"
	"penstock/engine"
)

// TestAnIntakeIsTwoRoundTrips counts what an acceptance and an intake send to PostgreSQL, however many deliveries share it.
func TestAnIntakeIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	var sent dbtest.Counter
	store := dbtest.Open(t, db.Options{URL: dbtest.Postgres(t), OnQuery: sent.OnQuery})
	sealer, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(t.Context(), engine.Options{ // not run: nothing else asks the store
		Store: store, Hub: engine.NewHub(), Sealer: sealer, Types: newScript().types(), Sources: drivers.NewRegistry(alertmanager.Kind()),
		Notify: drivers.NewRegistry[notify.Driver](), AI: drivers.NewRegistry[ai.Provider](),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{Engine: e, t: t, store: store}
	s.define(engine.DefaultDefinition, `[{"id":"a","type":"step"}]`)
	host := 0
	next := func(n int, status string) (bodies [][]byte) {
		for range n {
			host++
			bodies = append(bodies, body(alert{name: "A", host: fmt.Sprint(host), status: status}))
		}
		return bodies
	}
	take := func(bodies [][]byte) (accept, in int) {
		t.Helper()
		var takeIn func() error
		accept = sent.During(func() { takeIn, err = e.Take(t.Context(), "alertmanager", bodies...) })
		if err == nil {
			in = sent.During(func() { err = takeIn() })
		}
		if err != nil {
			t.Fatal(err)
		}
		return accept, in
	}
	take(next(1, "firing")) // reads the definitions, which are then known for a while
	for _, n := range []int{1, 20} {
		if accept, in := take(next(n, "firing")); accept != n || in != 2 {
			t.Errorf("%d deliveries, accepted one by one: %d statements, taken in together: %d; want %d and 2", n, accept, in, n)
		}
		again := host
		host -= n
		if _, in := take(next(n, "firing")); in != 2 {
			t.Errorf("the same %d again: %d statements, want 2", n, in)
		}
		host = again - n
		if _, in := take(next(n, "resolved")); in != 3 { // who has worked the incidents that end
			t.Errorf("the end of %d: %d statements, want 3", n, in)
		}
	}
	runs, err := store.CountRuns(t.Context(), db.RunFilter{})
	if want := 1 + 2*21; err != nil || runs != want { // again is no news
		t.Errorf("%d runs, %v; want %d", runs, err, want)
	}
}

// TestARunGoesByIndexes explains every statement of runs, from the delivery to what was told, on SQLite: it has no
// statistics, so it plans for a million rows as for none.
func TestARunGoesByIndexes(t *testing.T) {
	t.Parallel()
	small := []string{"c", "k", "ch", "pd", "sch", "src", "executors"} // lists of VALUES, and what people configure
	var mu sync.Mutex
	seen := map[string]bool{}
	hub := engine.NewHub()
	store := dbtest.Open(t, db.Options{URL: dbtest.SQLite(t), OnCommit: hub.Publish, OnQuery: func(query string) {
		mu.Lock()
		defer mu.Unlock()
		seen[query] = true
	}})
	s := telling(t, store, hub, newPost(), nil, "ops")
	s.define(engine.DefaultDefinition, `[{"id":"hear","type":"ingest","next":"tell"},{"id":"tell","type":"page","config":{"channel":"ops"}}]`)
	mu.Lock()
	clear(seen)
	mu.Unlock()
	a := alert{name: "A", host: "h"}
	for _, status := range []string{"firing", "firing", "resolved"} {
		a.status = status
		for _, d := range s.decisions(body(a)) {
			for _, c := range d.Considered {
				if c.RunID != "" {
					s.wait(c.RunID)
				}
			}
		}
	}
	for range 2 { // the second finds the first
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: engine.DefaultDefinition, IdempotencyKey: "once", Payload: body(a)})
		if err != nil {
			t.Fatal(err)
		}
		s.wait(run.ID)
	}
	mu.Lock()
	queries := slices.Collect(maps.Keys(seen))
	mu.Unlock()
	if len(queries) < 20 {
		t.Fatalf("%d statements were seen", len(queries))
	}
	for _, query := range queries {
		for _, step := range explain(t, store, query) {
			if table, scans := strings.CutPrefix(step, "SCAN "); scans {
				table, _, _ = strings.Cut(table, " ")
				if !strings.Contains(step, "CONSTANT ROW") && !strings.Contains(step, "VALUES CLAUSE") && !slices.Contains(small, table) {
					t.Errorf("%s\n%s", step, query)
				}
			}
			if strings.Contains(query, "idempotency_key") && strings.Contains(step, "runs_definition") {
				t.Errorf("%s: all runs of the definition are looked at\n%s", step, query)
			}
		}
	}
}

// explain is the plan of a statement, step by step.
func explain(t *testing.T, store *db.Store, query string) (steps []string) {
	t.Helper()
	switch word, _, _ := strings.Cut(query, " "); word {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
	default:
		return nil
	}
	rows, err := store.SQLiteDB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
	if err != nil {
		t.Fatalf("%v: %s", err, query)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
