package engine_test

import (
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

// eventually asks again until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !yes(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

const oneAlert = `{"version":"4","groupKey":"k","status":"firing","receiver":"r","alerts":[{"status":"firing",
	"labels":{"alertname":"Disk","instance":"db1"},"startsAt":"2026-11-22T10:00:00Z","fingerprint":"f1"}]}`

func TestRetention(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), func(o *engine.Options) {
			o.Tidy, o.Retain = 20*time.Millisecond, engine.Retention{MaxRuns: 5}
		})
		s.define("one", `[{"id":"one","type":"step"}]`)
		var newest engine.RunResult
		for range 12 {
			newest = s.run("one")
		}
		eventually(t, "five runs are left", func() bool {
			n, err := store.CountRuns(t.Context(), db.RunFilter{})
			if err != nil || n < 5 {
				t.Fatalf("%d runs, %v", n, err)
			}
			return n == 5
		})
		if _, err := s.Result(t.Context(), newest.RunID); err != nil {
			t.Errorf("the newest run: %v", err)
		}
		if n := s.Stats().Expired["runs"]; n != 7 {
			t.Errorf("%d deleted runs were counted, want 7", n)
		}
	})
}

func TestARunWithoutItsBodyIsNotRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.define("bad", `[{"id":"ingest","type":"ingest","next":"bad"},{"id":"bad","type":"step"}]`)
		s.script.on("bad", failing(fault.New(fault.Unprocessable, "no")))
		accepted, err := s.Receive(t.Context(), engine.Inbound{Definition: "bad", Source: "alertmanager", Body: []byte(oneAlert)})
		if err != nil {
			t.Fatal(err)
		}
		s.wait(*accepted.RunID)
		for pass := s.store.Expire(db.Expiry{Bodies: time.Now().Add(time.Hour)}); ; {
			step, err := pass.Step(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			if step.Done {
				break
			}
		}
		if _, err := s.Retry(t.Context(), *accepted.RunID, "test"); err != nil {
			t.Fatal(err)
		}
		r := s.wait(*accepted.RunID)
		if r.Status != db.RunFailed || r.Error == nil || !strings.Contains(*r.Error, "no longer kept") {
			t.Errorf("the run is %s: %v", r.Status, r.Error)
		}
	})
}
