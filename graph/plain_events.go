package graph

import (
	"context"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"penstock/db"
)

// shortcut leads from the events of a run to the transport, past gqlgen: there can be a thousand subscribers to each.
type shortcut struct {
	next func(context.Context) *graphql.Response // nil: it leads nowhere. What it returns holds until the next call
	more bool                                    // another event follows at once
}

type shortcutKey struct{}

// plainEvents opens the shortcut for events of a run, except where a run or stage is selected, which is read when the event
// is sent. What it writes is what gqlgen would.
func plainEvents(ctx context.Context, events <-chan RunEvent) {
	op, field := graphql.GetOperationContext(ctx), graphql.GetFieldContext(ctx).Field
	objects := map[string]plainObject[RunEvent]{}
	for _, implementors := range [][]string{
		runStatusChangedImplementors, stageStatusChangedImplementors, stageOutputImplementors, runFinishedImplementors, resyncRequiredImplementors,
	} {
		fields := graphql.CollectFields(op, field.Selections, implementors)
		object := make(plainObject[RunEvent], len(fields))
		for i, f := range fields {
			object[i].key, object[i].append = `"`+f.Alias+`":`, eventFields[f.Name]
			if object[i].append == nil {
				return
			}
		}
		objects[implementors[0]] = object // the name of the type comes first
	}
	start := `{"` + field.Alias + `":`
	short, response := ctx.Value(shortcutKey{}).(*shortcut), new(graphql.Response)
	short.next = func(ctx context.Context) *graphql.Response {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-events:
			if !open {
				return nil
			}
			short.more = len(events) > 0
			*response = graphql.Response{Data: append(objects[event.typeName()].append(append(response.Data[:0], start...), &event), '}')}
			return response
		}
	}
}

// eventFields are the fields of the types of RunEvent that need no more than the event. Validation has seen to it that
// the type has the field.
var eventFields = map[string]func([]byte, *RunEvent) []byte{
	"__typename": func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).typeName()) },
	"cursor":     func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).Cursor()) },
	"after":      func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).Cursor()) },
	"sequence":   func(b []byte, e *RunEvent) []byte { return strconv.AppendInt(b, (*e).step().Sequence, 10) },
	"at":         func(b []byte, e *RunEvent) []byte { return appendDateTime(b, (*e).step().At) },
	"runId":      func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).step().RunID) },
	"status": func(b []byte, e *RunEvent) []byte {
		if _, ok := (*e).(StageStatusChanged); ok {
			return appendText(b, marshalNStageStatus2penstockᚋdbᚐStageStatus[db.StageStatus((*e).step().Status)])
		}
		return appendText(b, marshalNRunStatus2penstockᚋdbᚐRunStatus[db.RunStatus((*e).step().Status)])
	},
	"nodeId":  func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).step().NodeID) },
	"attempt": func(b []byte, e *RunEvent) []byte { return strconv.AppendInt(b, int64((*e).step().Attempt), 10) },
	"message": func(b []byte, e *RunEvent) []byte { return appendTextOrNull(b, (*e).step().Text) },
	"kind":    func(b []byte, e *RunEvent) []byte { return appendText(b, string((*e).(StageOutput).Kind())) },
	"text":    func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).step().Text) },
}
