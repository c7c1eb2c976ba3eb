package engine_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
)

// checker counts heartbeats as an outside checker does.
func checker(t *testing.T) (beats *atomic.Int64, beating func(*engine.Options)) {
	beats = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			beats.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	return beats, func(o *engine.Options) {
		o.HTTP, o.Heartbeat = server.Client(), engine.Heartbeat{URL: server.URL + "/ping", Every: time.Millisecond}
	}
}

// stops waits until the engine has said twice that it does not work, and sees that no heartbeat was sent meanwhile.
func stops(t *testing.T, s *stack, beats *atomic.Int64) {
	t.Helper()
	withheld := func() int64 { return s.Stats().Heartbeats["withheld"] }
	first := withheld()
	eventually(t, "the heartbeat is withheld", func() bool { return withheld() > first })
	before := beats.Load()
	eventually(t, "it is withheld again", func() bool { return withheld() > first+1 })
	if n := beats.Load(); n > before+1 { // one may have been on its way
		t.Errorf("%d heartbeats while the engine did not work", n-before)
	}
}

func goesOn(t *testing.T, beats *atomic.Int64) {
	t.Helper()
	before := beats.Load()
	eventually(t, "heartbeats", func() bool { return beats.Load() > before+1 })
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		beats, beating := checker(t)
		sc, release := newScript(), make(chan struct{})
		sc.on("hang", func(ctx context.Context, _ engine.Input) (engine.Output, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return engine.Output{}, ctx.Err()
		})
		s := start(t, store, hub, sc, beating, func(o *engine.Options) { o.Workers = 1 })
		goesOn(t, beats)
		if s.Stats().LastBeat.IsZero() {
			t.Error("the last heartbeat has no time")
		}
		s.define("hang", `[{"id":"hang","type":"step"}]`)
		run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "hang"})
		if err != nil {
			t.Fatal(err)
		}
		stops(t, s, beats) // the only worker does not come back
		close(release)
		s.wait(run.ID)
		goesOn(t, beats)
	})
}

func TestNoHeartbeatWithoutTheStore(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		store := dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish})
		beats, beating := checker(t)
		s := start(t, store, hub, newScript(), beating)
		for _, table := range []string{"stage_executions", "alerts"} {
			goesOn(t, beats)
			unlock := lock(t, store, url, table)
			stops(t, s, beats) // nothing can be written there
			unlock()
		}
		goesOn(t, beats)
	})
}

// lock keeps writers of a table out, on SQLite of all tables.
func lock(t *testing.T, store *db.Store, url, table string) (unlock func()) {
	t.Helper()
	if strings.HasPrefix(url, "postgres") {
		other, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE "+table+" IN SHARE MODE"); err != nil {
			t.Fatal(err)
		}
		return func() { _ = other.Close(context.Background()) }
	}
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- store.InTx(context.Background(), func(*db.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	return func() {
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAHeartbeatThatIsRefused(t *testing.T) {
	t.Parallel()
	hub := engine.NewHub()
	store := dbtest.Open(t, db.Options{URL: dbtest.SQLite(t), OnCommit: hub.Publish})
	_, beating := checker(t)
	s := start(t, store, hub, newScript(), beating, func(o *engine.Options) {
		o.HTTP = &http.Client{Transport: refusing{}}
	})
	eventually(t, "it has failed", func() bool { return s.Stats().Heartbeats["failed"] > 0 })
	if !s.Stats().LastBeat.IsZero() {
		t.Error("a refused heartbeat counts as sent")
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Body: http.NoBody}, nil
}
