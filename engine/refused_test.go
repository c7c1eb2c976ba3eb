package engine_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
	"penstock/fault"
)

// TestRefusedWrite: what a database that works never takes of one run is that run's failure.
func TestRefusedWrite(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		store := dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish})
		driver, dsn, refuse := "pgx", url, `
			CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON stage_executions FOR EACH ROW
			WHEN (NEW.node_id = 'bad' AND NEW.status = 'succeeded') EXECUTE FUNCTION refuse()`
		if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
			driver, dsn, refuse = "sqlite", file, `
				CREATE TRIGGER refuse BEFORE INSERT ON stage_executions
				WHEN NEW.node_id = 'bad' AND NEW.status = 'succeeded' BEGIN SELECT RAISE(ABORT, 'refused'); END`
		}
		raw, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if _, err := raw.ExecContext(t.Context(), refuse); err != nil {
			t.Fatal(err)
		}
		s := start(t, store, hub, newScript())
		s.define("refused", `[{"id":"bad","type":"effect"},{"id":"after","type":"effect"}]`)
		s.define("good", `[{"id":"works","type":"effect"}]`)
		r := s.run("refused")
		if bad := r.NodeResults["bad"]; r.Status != db.RunFailed || !strings.Contains(*r.Error, "database") || bad.Status != db.StageFailed {
			t.Errorf("%s: %v, bad is %s", r.Status, r.Error, bad.Status)
		}
		if r := s.run("good"); r.Status != db.RunCompleted {
			t.Errorf("the next one is %s", r.Status)
		}
		eventually(t, "nothing is under way", func() bool { return s.Stats().Load == 0 })
	})
}

// TestBytesThatAreNoText: what a node says may be bytes that no database takes as text.
func TestBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		const bytes = "a\x00b\xffc"
		s.script.on("speaks", func(_ context.Context, in engine.Input) (engine.Output, error) {
			in.Log(bytes)
			in.Emit(bytes)
			return engine.Output{Data: map[string]any{bytes: bytes}, Errors: []string{bytes}}, nil
		})
		s.script.on("fails", func(context.Context, engine.Input) (engine.Output, error) {
			return engine.Output{}, fault.New(fault.Unprocessable, "%s", bytes)
		})
		s.define("bytes", `[{"id":"speaks","type":"effect"},{"id":"fails","type":"effect"}]`)
		r := s.run("bytes")
		if r.Status != db.RunFailed || r.NodeResults["speaks"].Status != db.StageSucceeded || !strings.Contains(*r.Error, "ab\uFFFDc") {
			t.Errorf("%s: %v, %+v", r.Status, *r.Error, r.NodeResults)
		}
	})
}
