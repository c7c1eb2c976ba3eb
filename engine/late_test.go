package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
)

func TestLateRuns(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		e, err := engine.New(t.Context(), engine.Options{Store: store, Hub: hub, Types: newScript().types()}) // nobody works
		if err != nil {
			t.Fatal(err)
		}
		add := func(age time.Duration, started bool) string {
			run := db.Run{
				ID: uuid.Must(uuid.NewV7()).String(), TraceID: "t", Status: db.RunPending, Source: "test", Environment: "production", Trigger: db.TriggerAPI,
				DefinitionID: "d", DefinitionName: "demo", VersionID: "v", DefinitionVersion: 1, CreatedAt: time.Now().UTC().Add(-age),
			}
			if err := store.Accept(t.Context(), db.Acceptance{Runs: []db.Run{run}}); err != nil {
				t.Fatal(err)
			}
			if started {
				if _, err := store.StartRun(t.Context(), run.ID); err != nil {
					t.Fatal(err)
				}
			}
			return run.ID
		}
		pending, working := add(2*time.Minute, false), add(11*time.Minute, true)
		add(30*time.Second, false)
		add(9*time.Minute, true)
		late, err := e.LateRuns(t.Context(), 5)
		if err != nil || len(late) != 2 || late[0].ID != pending || late[1].ID != working {
			t.Fatalf("late: %+v, %v", late, err)
		}
		if late[0].WaitingFor != "a process that starts it" || late[1].WaitingFor != "its next node to start" || late[1].WaitingSince.IsZero() {
			t.Errorf("they wait for %q and %q", late[0].WaitingFor, late[1].WaitingFor)
		}
	})
}

func TestReachesPeople(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), func(o *engine.Options) {
			o.Types = append(o.Types, engine.NodeType{
				Type:  definition.Type{Name: "notify", Title: "Notify", Schema: json.RawMessage(`{"type":"object"}`)},
				Build: func(json.RawMessage) (engine.Node, error) { return newScript(), nil },
			})
		})
		reaches := func() bool {
			t.Helper()
			ok, err := s.ReachesPeople(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		channel := func(active bool) {
			t.Helper()
			if _, _, err := s.SaveChannel(t.Context(), engine.ChannelInput{Name: "pd", Driver: "pagerduty", Config: json.RawMessage(`{"routing_key":"0123456789abcdef0123456789abcdef"}`), IsActive: &active}); err != nil {
				t.Fatal(err)
			}
		}
		channel(true)
		if reaches() {
			t.Error("a channel that nothing names reaches people")
		}
		s.define("tells", `[{"id":"tell","type":"notify","config":{"channel":"pd"}}]`)
		if !reaches() {
			t.Error("a channel that is named does not reach people")
		}
		channel(false)
		if reaches() {
			t.Error("an inactive channel reaches people")
		}
	})
}
