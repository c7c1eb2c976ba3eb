package graph

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/db"
	"penstock/engine"
)

const followRuns = `subscription($f: PipelineRunFilter, $a: String) { runsChanged(filter: $f, after: $a) { cursor at resyncRequired id runId status run { definition { name } } } }`

// changed is an event of runsChanged or incidentsChanged.
type changed struct {
	Cursor         string
	ResyncRequired bool
	ID             string
	RunID          string
	Status         string
	Run            *struct{ Definition struct{ Name string } }
	Incident       *struct{ Title, Status string }
}

func changedIn(t *testing.T, payload []byte) changed {
	t.Helper()
	var p struct {
		Data   struct{ RunsChanged, IncidentsChanged *changed }
		Errors []any
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.Errors != nil {
		t.Fatalf("%s (%v)", payload, err)
	}
	if p.Data.IncidentsChanged != nil {
		return *p.Data.IncidentsChanged
	}
	return *p.Data.RunsChanged
}

func TestRunsChanged(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.define("one", `[{"id":"a","type":"echo"}]`)
	s.define("other", `[{"id":"a","type":"echo"}]`)
	var list struct {
		Runs struct{ ChangesCursor string }
	}
	if err := json.Unmarshal(s.query("read", `{ runs { nodes { id } changesCursor } }`, nil).Data, &list); err != nil {
		t.Fatal(err)
	}
	other, run := s.begin("other"), s.begin("one")
	s.finish(other)
	s.finish(run)

	vars := map[string]any{"f": map[string]any{"definition": "one"}, "a": list.Runs.ChangesCursor}
	check := func(ev changed) bool {
		t.Helper()
		if ev.RunID != run || ev.ID != runNode.id(run) || ev.Run.Definition.Name != "one" || ev.ResyncRequired {
			t.Errorf("%+v", ev)
		}
		return ev.Status == "COMPLETED"
	}
	var end string
	t.Run("over a socket, from the cursor of the list", func(t *testing.T) {
		c := s.connect("read")
		c.subscribe("1", followRuns, vars)
		for {
			ev := changedIn(t, c.want("next", "1").Payload)
			if check(ev) {
				end = ev.Cursor
				return
			}
		}
	})
	variables := string(encode(vars))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run("as events by "+method, func(t *testing.T) {
			next, stop := s.events(method, followRuns, variables)
			defer stop()
			for {
				ev, ok := next()
				if !ok {
					t.Fatal("ended")
				}
				if check(changedIn(t, []byte(ev.data))) {
					return
				}
			}
		})
	}
	t.Run("live, without a cursor and after the last one", func(t *testing.T) {
		c := s.connect("read")
		c.subscribe("now", followRuns, map[string]any{"f": map[string]any{"status": []string{"CANCELLED"}}})
		c.subscribe("after", followRuns, map[string]any{"a": end})
		s.define("waits", `[{"id":"g","type":"gate"}]`)
		// What happens before the server has read the subscription may be missed without a cursor: do it until it is seen.
		seen := map[string]bool{}
		for len(seen) < 2 {
			id := s.begin("waits")
			if _, err := s.engine.Cancel(t.Context(), id, "", "test"); err != nil {
				t.Fatal(err)
			}
			for !seen["after "+id] {
				m, err := c.receive()
				if err != nil {
					t.Fatal(err)
				}
				if ev := changedIn(t, m.Payload); ev.Status == "CANCELLED" {
					seen[m.ID] = true
					seen["after "+id] = seen["after "+id] || m.ID == "after" && ev.RunID == id
				}
			}
		}
	})
	t.Run("a cursor that is none is an error", func(t *testing.T) {
		c := s.connect("read")
		for _, cursor := range []string{"", "w.", "w.bm9wZQ", list.Runs.ChangesCursor[2:]} {
			c.subscribe("1", followRuns, map[string]any{"a": cursor})
			if m := c.want("error", "1"); !strings.Contains(string(m.Payload), codeBadUserInput) {
				t.Errorf("%s: %s", cursor, m.Payload)
			}
		}
	})
	t.Run("a cursor that is too old asks for a new start", func(t *testing.T) {
		if _, err := s.store.ForgetChanges(t.Context(), time.Now().Add(time.Hour), 10_000); err != nil {
			t.Fatal(err)
		}
		c := s.connect("read")
		c.subscribe("1", followRuns, vars)
		ev := changedIn(t, c.want("next", "1").Payload)
		if !ev.ResyncRequired || ev.RunID != "" || ev.Status != "" || ev.Run != nil {
			t.Errorf("%+v", ev)
		}
		c.want("complete", "1")
		c.subscribe("2", followRuns, map[string]any{"a": ev.Cursor})
		next := s.begin("one")
		if ev := changedIn(t, c.want("next", "2").Payload); ev.RunID != next {
			t.Errorf("%+v", ev)
		}
	})
}

func TestIncidentsChanged(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect("operate")
	p, err := s.store.LastChange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.subscribe("1", `subscription($f: IncidentFilter, $a: String) { incidentsChanged(filter: $f, after: $a) { cursor id status incident { title status } } }`,
		map[string]any{"a": changesCursor(p), "f": map[string]any{"host": "db1"}})
	incident := s.seed().Replace("$incident")
	if ev := changedIn(t, c.want("next", "1").Payload); ev.ID != incidentNode.id(incident) || ev.Status != "OPEN" || ev.Incident.Title != "DiskFull on db1" {
		t.Errorf("%+v", ev)
	}
	s.query("operate", `mutation($id: ID!) { acknowledgeIncident(input: {id: $id}) { userErrors { message } } }`, map[string]any{"id": incident})
	if ev := changedIn(t, c.want("next", "1").Payload); ev.Status != "ACKNOWLEDGED" || ev.Incident.Status != "ACKNOWLEDGED" {
		t.Errorf("%+v", ev)
	}
}

// TestFollowChanges checks what a real engine is too quick or too healthy for.
func TestFollowChanges(t *testing.T) {
	t.Parallel()
	runs := func(n int64, end error) iter.Seq2[engine.RecordChange, error] {
		return func(yield func(engine.RecordChange, error) bool) {
			for i := range n {
				if !yield(engine.RecordChange{At: db.Position{Seq: i + 1}, Run: &db.Run{ID: "r"}}, nil) {
					return
				}
			}
			yield(engine.RecordChange{At: db.Position{Seq: 1000}}, end)
		}
	}
	rest := func(events <-chan *RunUpdate) (n int, last *RunUpdate) {
		for ev := range events {
			if last = ev; !ev.ResyncRequired {
				n++
			}
		}
		return n, last
	}
	for name, c := range map[string]struct {
		changes iter.Seq2[engine.RecordChange, error]
		slow    time.Duration
		n       int
		cursor  int64
	}{
		"who leaves the queue full is told so":     {runs(10*eventQueue, nil), time.Minute, eventQueue, eventQueue},
		"a store that is away is no end":           {runs(3, errors.New("away")), 0, 3, 3},
		"what is gone goes on with what comes now": {runs(0, db.ErrChangesGone), 0, 0, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := followChanges(t.Context(), db.Position{}, c.changes, runChanges(db.RunFilter{}), time.Second)
				time.Sleep(c.slow)
				n, last := rest(events)
				if n != c.n || !last.ResyncRequired || last.Cursor != changesCursor(db.Position{Seq: c.cursor}) {
					t.Errorf("%d events, then %+v", n, last)
				}
			})
		})
	}
}
