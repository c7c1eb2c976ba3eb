package engine_test

import (
	"fmt"
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
	alert := func(n int, status string) (bodies [][]byte) {
		for range n {
			host++
			bodies = append(bodies, fmt.Appendf(nil, `{"version":"4","status":"%s","alerts":[{"status":"%s","labels":{"alertname":"A","instance":"%d"},`+
				`"startsAt":"2026-11-22T03:04:05Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"%d"}]}`, status, status, host, host))
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
	take(alert(1, "firing")) // reads the definitions, which are then known for a while
	for _, n := range []int{1, 20} {
		if accept, in := take(alert(n, "firing")); accept != n || in != 2 {
			t.Errorf("%d deliveries, accepted one by one: %d statements, taken in together: %d; want %d and 2", n, accept, in, n)
		}
		again := host
		host -= n
		if _, in := take(alert(n, "firing")); in != 2 {
			t.Errorf("the same %d again: %d statements, want 2", n, in)
		}
		host = again - n
		if _, in := take(alert(n, "resolved")); in != 3 { // who has worked the incidents that end
			t.Errorf("the end of %d: %d statements, want 3", n, in)
		}
	}
	runs, err := store.CountRuns(t.Context(), db.RunFilter{})
	if want := 1 + 2*21; err != nil || runs != want { // again is no news
		t.Errorf("%d runs, %v; want %d", runs, err, want)
	}
}
