package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/db"
)

// TestPlainStages compares the lists of stages, which are written past gqlgen, with what gqlgen makes of each stage alone.
func TestPlainStages(t *testing.T) {
	t.Parallel()
	s := start(t)
	fill(t, s, 1)
	at := time.Date(2026, 11, 1, 0, 0, 0, 123_456_789, time.UTC)
	stages := []db.StageExecution{
		{NodeID: "a", Attempt: 1, NodeType: "echo", Status: db.StageFailed, Errors: []string{"a \"quoted\"\n\x01 error", "<two>"}, StartedAt: at, FinishedAt: at.Add(1500 * time.Millisecond)},
		{NodeID: "b", Attempt: 1, NodeType: "echo", Position: 1, Status: db.StageSkipped, SkipReason: "skip ä", CopiedFrom: "run-000-1"},
		{NodeID: "c", Attempt: 2, NodeType: "echo", Position: 2, Status: db.StageSucceeded, Output: json.RawMessage("{\n \"n\": 12345678901234567890 }"), StartedAt: at, FinishedAt: at},
	}
	for i := range stages {
		stages[i].RunID = "run-000-0"
	}
	if err := s.store.WriteRun(db.RunWrite{RunID: "run-000-0", Epoch: 1, Stages: stages}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fields := "__typename again: nodeId"
	for _, f := range schemaOf().Types["StageExecution"].Fields {
		fields += " " + f.Name
	}
	var list struct {
		Run struct{ Stages []json.RawMessage }
	}
	r := s.query("read", `query($skip: Boolean!) { run(runId: "run-000-0") { stages { ...all ... on StageExecution { no: id @skip(if: $skip) } } } }
		fragment all on StageExecution { `+fields+` }`, map[string]any{"skip": true})
	if err := json.Unmarshal(r.Data, &list); err != nil || len(list.Run.Stages) != len(stages) {
		t.Fatalf("%v: %s", err, r.Body)
	}
	for i, got := range list.Run.Stages {
		one := s.query("read", fmt.Sprintf(`{ node(id: %q) { ... on StageExecution { %s } } }`, stageNode.id(stageKey(&stages[i])), fields), nil)
		if want := `{"node":` + string(got) + `}`; string(one.Data) != want || !strings.Contains(want, `"durationMs"`) {
			t.Errorf("in a list %s\nalone %s", want, one.Data)
		}
	}

	t.Run("none", func(t *testing.T) {
		if r := s.query("read", `{ run(runId: "run-000-1") { stages { id } } }`, nil); string(r.Data) != `{"run":{"stages":[]}}` {
			t.Errorf("%s", r.Body)
		}
	})
}
