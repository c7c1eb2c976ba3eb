package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

// TestStatements counts the SQL statements of lists with everything below them: as many for a full page as
// for a short one, through nodes as through edges.
func TestStatements(t *testing.T) {
	t.Parallel()
	s := start(t, func(l *Limits) { l.Complexity, l.Budget, l.Fields = 1_000_000, 10_000_000, 100_000 })
	fill(t, s, 100)
	s.stopEngine()
	lists := map[string]string{
		"runs": `runs(first: N) { totalCount changesCursor ITEMS(runId status result definition { name versions(first: 2) { ITEMS(number) } }
			incident { title } stages { nodeId status output } parentRun { runId } childRuns(first: 2) { totalCount ITEMS(runId) }) }`,
		"definitions": `pipelineDefinitions(first: N) { totalCount ITEMS(name versions(first: 3) { totalCount ITEMS(number) }
			runs(first: 3) { totalCount changesCursor pageInfo { hasNextPage } ITEMS(runId stages { nodeId } incident { title }) }) }`,
		"incidents": `incidents(first: N) { totalCount ITEMS(title actions { kind } alerts(first: 3) { totalCount ITEMS(name incident { title }) }
			runs(first: 3) { totalCount ITEMS(runId definition { name } stages { nodeId }) } decisions(first: 3) { totalCount ITEMS(outcome) }
			notifications(first: 3) { totalCount ITEMS(title) }
			timeline { kind at alert { name incident { title } } decision { outcome considered { definition } } run { status definition { name } stages { nodeId } } notification { title attempts { number } } action { kind } }) }`,
	}
	write := func(list string, n int, edges bool) string {
		list = strings.ReplaceAll(list, "first: N", fmt.Sprintf("first: %d", n))
		for strings.Contains(list, "ITEMS(") {
			at := strings.LastIndex(list, "ITEMS(") // the innermost
			depth, end := 0, 0
			for end = at + len("ITEMS("); ; end++ {
				if list[end] == '(' {
					depth++
				} else if list[end] == ')' {
					if depth == 0 {
						break
					}
					depth--
				}
			}
			items, open, shut := list[at+len("ITEMS("):end], "nodes { ", " }"
			if edges {
				open, shut = "edges { node { ", " } }"
			}
			list = list[:at] + open + items + shut + list[end+1:]
		}
		return "{" + list + "}"
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			var want int64
			for _, edges := range []bool{false, true} {
				for _, n := range []int{2, 100} {
					before := s.statements.Load()
					r := s.query("read", write(list, n, edges), nil)
					if len(r.Errors) > 0 {
						t.Fatalf("%.500s", r.Body)
					}
					got := s.statements.Load() - before
					if want == 0 {
						want = got
					}
					if got != want || got > 20 {
						t.Errorf("%d items (edges: %v): %d statements, want %d", n, edges, got, want)
					}
				}
			}
		})
	}

	t.Run("a list below a record is the same whether it is read alone or with others", func(t *testing.T) {
		var all, one struct {
			PipelineDefinitions struct {
				Nodes []struct {
					Name string
					Runs json.RawMessage
				}
			}
			PipelineDefinition struct{ Runs json.RawMessage }
		}
		const runs = `runs(first: 2) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { runId } } }`
		decode := func(r result, into any) {
			t.Helper()
			if err := json.Unmarshal(r.Data, into); err != nil {
				t.Fatal(err)
			}
		}
		decode(s.query("read", `{ pipelineDefinitions(first: 10) { nodes { name `+runs+` } } }`, nil), &all)
		def := all.PipelineDefinitions.Nodes[3]
		decode(s.query("read", `{ pipelineDefinition(name: "`+def.Name+`") { `+runs+` } }`, nil), &one)
		if len(def.Runs) == 0 || string(def.Runs) != string(one.PipelineDefinition.Runs) || !strings.Contains(string(def.Runs), `"hasNextPage":true`) {
			t.Errorf("with others %s, alone %s", def.Runs, one.PipelineDefinition.Runs)
		}
	})
}

// fill stores n definitions of two versions and three runs each, and n incidents with an alert, an action, a
// decision and those runs.
func fill(t testing.TB, s *stack, n int) {
	t.Helper()
	ctx := t.Context()
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		def := s.define(fmt.Sprintf("d%03d", i), `[{"id":"a","type":"echo"}]`)
		s.define(def.Name, `[{"id":"b","type":"echo"}]`)
		at = at.Add(time.Minute)
		inc := db.Incident{
			ID: fmt.Sprintf("inc-%03d", i), GroupKey: fmt.Sprint(i), Title: "t", Status: db.IncidentOpen, Severity: db.SeverityInfo,
			Occurrence: 1, Revision: 1, StartedAt: at, CreatedAt: at, UpdatedAt: at,
		}
		alert := db.Alert{
			ID: "alert-" + inc.ID, Source: "test", Fingerprint: inc.ID, StartsAt: at, Name: "n", Status: "firing", Severity: db.SeverityInfo,
			IncidentID: inc.ID, CreatedAt: at, UpdatedAt: at,
		}
		dbtest.TakeIn(t, s.store, db.IntakeChanges{Incidents: []db.Incident{inc}, Alerts: []db.Alert{alert}})
		_, err := s.engine.NoteIncident(ctx, inc.ID, "a note", "test")
		var runs []db.Run
		for k := range 3 {
			run := db.Run{
				ID: fmt.Sprintf("run-%03d-%d", i, k), TraceID: "t", Status: db.RunCompleted, Source: "test", Environment: "test", Trigger: db.TriggerAPI,
				DefinitionID: def.ID, DefinitionName: def.Name, VersionID: "v", DefinitionVersion: 1, IncidentID: inc.ID, Epoch: 1,
				CreatedAt: at.Add(time.Duration(k) * time.Second),
			}
			if k > 0 {
				run.ParentRunID = runs[0].ID
			}
			runs = append(runs, run)
		}
		if err == nil {
			err = s.store.Accept(ctx, db.Acceptance{Runs: runs})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
