package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"penstock/auth"
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
	r := s.query("read", `query($skip: Boolean!) { run(runId: "run-000-0") { stages { ...all ... on StageExecution { no: id @skip(if: $skip) } ... on Node { global: id } } } }
		fragment all on StageExecution { `+fields+` }`, map[string]any{"skip": true})
	if err := json.Unmarshal(r.Data, &list); err != nil || len(list.Run.Stages) != len(stages) {
		t.Fatalf("%v: %s", err, r.Body)
	}
	for i, got := range list.Run.Stages {
		one := s.query("read", fmt.Sprintf(`{ node(id: %q) { ... on StageExecution { %s } ... on Node { global: id } } }`, stageNode.id(stageKey(&stages[i])), fields), nil)
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

// TestPlainRuns compares runs that are written past gqlgen with what it makes of them once more is selected than plain fields.
func TestPlainRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	fill(t, s, 2)
	at := time.Date(2026, 11, 2, 0, 0, 0, 123_456_000, time.UTC)
	run := db.Run{
		ID: "run-text", TraceID: "a \"quoted\"\n\x01 trace", Status: db.RunFailed, Source: "<ä>", Environment: "te\\st", Trigger: db.TriggerSchedule,
		DefinitionID: "gone", DefinitionName: "gone", VersionID: "v", DefinitionVersion: 3, RerunOfRunID: "run-000-0", RerunFrom: "b", Epoch: 1,
		Error: "it \"broke\"", CreatedBy: "ann", ScheduledAt: at, CreatedAt: at, StartedAt: at, FinishedAt: at.Add(1500 * time.Millisecond),
	}
	if err := s.store.Accept(t.Context(), db.Acceptance{Runs: []db.Run{run}}); err != nil {
		t.Fatal(err)
	}
	stages := []db.StageExecution{{RunID: run.ID, NodeID: "a", Attempt: 1, NodeType: "echo", Status: db.StageFailed, Errors: []string{"e"}, Output: json.RawMessage("[1]"), StartedAt: at}}
	stages[0].FinishedAt = at
	if err := s.store.WriteRun(db.RunWrite{RunID: run.ID, Epoch: 1, Stages: stages}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fields := "__typename again: status few: stages { nodeId } stages { nodeId output } ...f ...g ... on Node { global: id }"
	for name := range runFields {
		fields += " " + name
	}
	fragments := ` fragment f on PipelineRun { no: id @skip(if: $skip) traceId stages { attempt } } fragment g on Node { yes: id @include(if: $skip) }`
	for _, list := range []string{
		"runs { nodes { FIELDS } }", "runs { edges { cursor node { FIELDS } } }", "runs { nodes { FIELDS } edges { node { error } } }",
		`run(runId: "run-text") { FIELDS }`, `node(id: "` + runNode.id(run.ID) + `") { id ... on PipelineRun { FIELDS } }`,
	} {
		ask := func(fields string) string {
			query := "query($skip: Boolean!) {" + strings.ReplaceAll(list, "FIELDS", fields) + "}" + fragments
			return string(s.query("read", query, map[string]any{"skip": true}).Data)
		}
		got, want := ask(fields), strings.ReplaceAll(ask(fields+" delivery { id }"), `,"delivery":null`, "")
		if got != want || !strings.Contains(got, `"error":"it \"broke\""`) || !strings.Contains(got, `"few":[{"nodeId":"a"}]`) {
			t.Errorf("%s\ngot  %s\nwant %s", list, got, want)
		}
	}

	t.Run("nothing selected, nothing found", func(t *testing.T) {
		r := s.query("read", `{ runs(first: 1) { nodes { error @skip(if: true) } pageInfo { hasNextPage } } run(runId: "none") { runId } }`, nil)
		if want := `{"runs":{"nodes":[{}],"pageInfo":{"hasNextPage":true}},"run":null}`; string(r.Data) != want {
			t.Errorf("%s", r.Body)
		}
	})
	t.Run("stages that cannot be read are an error of each run", func(t *testing.T) {
		resolver := &Resolver{store: s.store, engine: s.engine}
		h := newHandler(NewExecutableSchema(Config{Resolvers: resolver}), Options{}, func(ctx context.Context) context.Context {
			return context.WithValue(ctx, loadersKey{}, &lazyLoaders{make: func(ctx context.Context) *loaders {
				l := resolver.newLoaders(ctx)
				l.summaries = newRelation(func(context.Context, []string) (map[string][]db.StageExecution, error) {
					return nil, errors.New("the store is away")
				})
				return l
			}})
		})
		op, refused := h.prepare(auth.With(graphql.StartOperationTrace(t.Context()), auth.Principal{Kind: auth.KindToken, ID: "read", Scopes: callers["read"]}), &request{RawParams: graphql.RawParams{Query: "{ runs { nodes { runId stages { nodeId } } } }"}})
		if refused != nil {
			t.Fatal(refused.Errors)
		}
		next, stop := h.run(op)
		defer stop()
		r := next()
		if string(r.Data) != `{"runs":null}` || len(r.Errors) != h.limits.Errors || codeOf(r.Errors[0]) != codeInternal || !strings.HasSuffix(r.Errors[0].Path.String(), ".stages") {
			t.Errorf("%s %v", r.Data, r.Errors)
		}
	})
	t.Run("no field has a row of its own in the matrix", func(t *testing.T) {
		for name := range runFields {
			if _, guarded := auth.Matrix()["PipelineRun."+name]; guarded {
				t.Error("PipelineRun." + name)
			}
		}
		for name := range stageFields {
			if _, guarded := auth.Matrix()["StageExecution."+name]; guarded {
				t.Error("StageExecution." + name)
			}
		}
		if _, guarded := auth.Matrix()["PipelineRun.stages"]; guarded {
			t.Error("PipelineRun.stages")
		}
	})
}

// craftedEvents are subscribed to instead of those of a run.
type craftedEvents struct {
	*Resolver
	list []RunEvent
}

func (c craftedEvents) Subscription() SubscriptionResolver { return c }

func (c craftedEvents) RunProgress(context.Context, string, *string) (<-chan RunEvent, error) {
	out := make(chan RunEvent, len(c.list))
	for _, event := range c.list {
		out <- event
	}
	close(out)
	return out, nil
}

func (craftedEvents) RunsChanged(context.Context, *PipelineRunFilter, *string) (<-chan *RunUpdate, error) {
	return nil, nil
}

func (craftedEvents) IncidentsChanged(context.Context, *IncidentFilter, *string) (<-chan *IncidentUpdate, error) {
	return nil, nil
}

// TestPlainEvents compares events that are written past gqlgen with what it makes of them once a run is selected too.
func TestPlainEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	record := func(kind, node string, attempt int, status, text string) *db.RunEvent {
		return &db.RunEvent{RunID: "no run", Sequence: 7, At: time.Date(2026, 11, 2, 0, 0, 0, 123_456_789, time.UTC), Kind: kind, NodeID: node, Attempt: attempt, Status: status, Text: text}
	}
	list := []RunEvent{
		eventOf(record("run", "", 0, "running", "")), eventOf(record("stage", "a", 2, "failed", "it \"broke\"\n")), eventOf(record("stage", "ä", 1, "succeeded", "")),
		eventOf(record("text", "a", 1, "", "<\x01>")), eventOf(record("log", "a", 1, "", "line")),
		RunFinished{progress{record("run", "", 0, "completed", "")}}, ResyncRequired{progressAt("no run", 7, time.Unix(0, 0))},
	}
	fields := "__typename again: sequence no: at @skip(if: true)"
	types := schemaOf().PossibleTypes["RunEvent"]
	for _, def := range types {
		fields += " ... on " + def.Name + " {"
		for _, f := range def.Fields {
			if f.Name != "run" && f.Name != "stage" {
				fields += " " + f.Name
			}
		}
		fields += " }"
	}
	resolver := craftedEvents{&Resolver{store: s.store, engine: s.engine}, list}
	h := newHandler(NewExecutableSchema(Config{Resolvers: resolver}), Options{}, resolver.withLoaders)
	follow := func(fields string) (answers []string) {
		ctx := auth.With(graphql.StartOperationTrace(t.Context()), auth.Principal{Kind: auth.KindToken, ID: "read", Scopes: callers["read"]})
		query := `subscription { p: runProgress(runId: "r") { ` + fields + " } }"
		op, refused := h.prepare(ctx, &request{RawParams: graphql.RawParams{Query: query}})
		if refused != nil {
			t.Fatal(refused.Errors)
		}
		next, stop := h.run(op)
		defer stop()
		for r := next(); r != nil; r = next() {
			answers = append(answers, string(r.Data)+r.Errors.Error())
		}
		return answers
	}
	got, want := follow(fields), follow(fields+" ... on RunStatusChanged { run { id } }")
	if len(types) != 5 || len(got) != len(list) || len(want) != len(list) {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	for i := range list {
		if want := strings.Replace(want[i], `,"run":null`, "", 1); got[i] != want {
			t.Errorf("got  %s\nwant %s", got[i], want)
		}
	}
}
