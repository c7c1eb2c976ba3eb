package graph

import (
	"context"
	"io"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"penstock/db"
)

// plain replaces runs, stages and events of runs by what writes them as gqlgen would, in a tenth of the time, where nothing else is
// selected of them than fields of the record: a page has far more of these than of others, and nobody who may see the
// record may not see one of them. What selects more is left to gqlgen, and so is what could not be read.
func plain(ctx context.Context, result any) any {
	op, selected := graphql.GetOperationContext(ctx), graphql.GetFieldContext(ctx).Field.Selections
	switch v := result.(type) {
	case []*db.StageExecution:
		return plainStages(op, selected).list(v)
	case []*db.Run:
		if object, ok := plainRuns(ctx, op, selected, v); ok {
			return object.list(v)
		}
	case *db.Run: // of an edge
		if object, ok := plainRuns(ctx, op, selected, []*db.Run{v}); ok {
			return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(object.append(nil, v)) })
		}
	case <-chan RunEvent:
		plainEvents(ctx, v)
	}
	return result
}

// plainField is a field that shows columns of its record.
type plainField[T any] struct {
	columns []string
	append  func(b []byte, record *T) []byte
}

// plainObject is what is selected of a record.
type plainObject[T any] []struct {
	key    string // `"alias":`, as a name needs no escaping
	append func(b []byte, record *T) []byte
}

func (o plainObject[T]) append(b []byte, record *T) []byte {
	b = append(b, '{')
	for i, member := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = member.append(append(b, member.key...), record)
	}
	return append(b, '}')
}

func (o plainObject[T]) list(records []*T) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		b := []byte{'['}
		for i, record := range records {
			if i > 0 {
				b = append(b, ',')
			}
			b = o.append(b, record)
			_, _ = w.Write(b)
			b = b[:0]
		}
		_, _ = w.Write(append(b, ']'))
	})
}

func plainStages(op *graphql.OperationContext, selected ast.SelectionSet) plainObject[db.StageExecution] {
	fields := graphql.CollectFields(op, selected, stageExecutionImplementors)
	object := make(plainObject[db.StageExecution], len(fields))
	for i, f := range fields {
		object[i].key, object[i].append = `"`+f.Alias+`":`, stageFields[f.Name].append // a test asks for all of them
	}
	return object
}

// plainRuns is false where more than fields of the record and of stages are selected, or the stages cannot be read.
func plainRuns(ctx context.Context, op *graphql.OperationContext, selected ast.SelectionSet, runs []*db.Run) (plainObject[db.Run], bool) {
	fields := graphql.CollectFields(op, selected, pipelineRunImplementors)
	object := make(plainObject[db.Run], len(fields))
	for i, f := range fields {
		known, ok := runFields[f.Name]
		if !ok && f.Name != "stages" || slices.Contains(runs, nil) {
			return nil, false
		}
		object[i].key, object[i].append = `"`+f.Alias+`":`, known.append
	}
	for i, f := range fields {
		if f.Name != "stages" {
			continue
		}
		byRun, stage := make(map[*db.Run][]db.StageExecution, len(runs)), plainStages(op, f.Selections)
		for _, run := range runs {
			var err error
			if byRun[run], err = stagesOf(ctx, op, f.Selections, run); err != nil {
				return nil, false
			}
		}
		object[i].append = func(b []byte, run *db.Run) []byte {
			b = append(b, '[')
			for i := range byRun[run] {
				if i > 0 {
					b = append(b, ',')
				}
				b = stage.append(b, &byRun[run][i])
			}
			return append(b, ']')
		}
	}
	return object, true
}

// stagesOf loads the stages of a run, without outputs if nobody asks for them.
func stagesOf(ctx context.Context, op *graphql.OperationContext, selected ast.SelectionSet, run *db.Run) ([]db.StageExecution, error) {
	load := loadersOf(ctx).summaries.load
	for _, f := range graphql.CollectFields(op, selected, stageExecutionImplementors) {
		if f.Name == "output" {
			load = loadersOf(ctx).stages.load
		}
	}
	return load(ctx, run.ID)
}

// runColumns are the columns that the runs of a connection must have; nil for all of them, where they are not plain.
func runColumns(ctx context.Context) []string {
	op, columns := graphql.GetOperationContext(ctx), []string{}
	add := func(selected ast.SelectionSet) bool {
		for _, f := range graphql.CollectFields(op, selected, pipelineRunImplementors) {
			known, ok := runFields[f.Name]
			if !ok && f.Name != "stages" {
				return false
			}
			columns = append(columns, known.columns...)
		}
		return true
	}
	for _, f := range graphql.CollectFieldsCtx(ctx, pipelineRunConnectionImplementors) {
		switch f.Name {
		case "nodes":
			if !add(f.Selections) {
				return nil
			}
		case "edges":
			for _, f := range graphql.CollectFields(op, f.Selections, pipelineRunEdgeImplementors) {
				if f.Name == "node" && !add(f.Selections) {
					return nil
				}
			}
		}
	}
	return columns
}
