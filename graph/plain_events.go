package graph

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// moreKey is of a *bool in the context of an operation: whether another event follows at once.
type moreKey struct{}

// plainEvents writes the events of a run as gqlgen would: there can be a thousand subscribers to each. It is nil where a
// run or stage is selected, which is read when the event is sent.
func plainEvents(ctx context.Context, events <-chan RunEvent) func(context.Context) graphql.Marshaler {
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
				return nil
			}
		}
		objects[implementors[0]] = object // the name of the type comes first
	}
	start := `{"` + field.Alias + `":`
	more, _ := ctx.Value(moreKey{}).(*bool)
	return func(ctx context.Context) graphql.Marshaler {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-events:
			if !open {
				return nil
			}
			if more != nil {
				*more = len(events) > 0
			}
			return graphql.WriterFunc(func(w io.Writer) {
				b := append(make([]byte, 0, 256), start...)
				_, _ = w.Write(append(objects[event.typeName()].append(b, &event), '}'))
			})
		}
	}
}

// eventFields are the fields of the types of RunEvent that need no more than the event. Validation has seen to it that
// the type has the field.
var eventFields = map[string]func([]byte, *RunEvent) []byte{
	"__typename": func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).typeName()) },
	"cursor":     func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).step().Cursor) },
	"sequence":   func(b []byte, e *RunEvent) []byte { return strconv.AppendInt(b, (*e).step().Sequence, 10) },
	"at":         func(b []byte, e *RunEvent) []byte { return appendDateTime(b, (*e).step().At) },
	"runId":      func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).step().RunID) },
	"status": func(b []byte, e *RunEvent) []byte {
		switch e := (*e).(type) {
		case *RunStatusChanged:
			return appendText(b, strings.ToUpper(e.Status))
		case *RunFinished:
			return appendText(b, strings.ToUpper(e.Status))
		default:
			return appendText(b, strings.ToUpper(e.(*StageStatusChanged).Status))
		}
	},
	"nodeId": func(b []byte, e *RunEvent) []byte {
		if e, ok := (*e).(*StageOutput); ok {
			return appendText(b, e.NodeID)
		}
		return appendText(b, (*e).(*StageStatusChanged).NodeID)
	},
	"attempt": func(b []byte, e *RunEvent) []byte {
		if e, ok := (*e).(*StageOutput); ok {
			return strconv.AppendInt(b, int64(e.Attempt), 10)
		}
		return strconv.AppendInt(b, int64((*e).(*StageStatusChanged).Attempt), 10)
	},
	"message": func(b []byte, e *RunEvent) []byte {
		if text := (*e).(*StageStatusChanged).Message; text != nil {
			return appendText(b, *text)
		}
		return append(b, "null"...)
	},
	"kind":  func(b []byte, e *RunEvent) []byte { return appendText(b, string((*e).(*StageOutput).Kind)) },
	"text":  func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).(*StageOutput).Text) },
	"after": func(b []byte, e *RunEvent) []byte { return appendText(b, (*e).(*ResyncRequired).After) },
}
