package graph

import (
	"encoding/base64"
	"strconv"
	"time"

	"penstock/db"
	"penstock/engine"
)

// RunEvent is a step of a run's progress, one of the types below. There can be a thousand subscribers to each, so all of
// them are a pointer to the one record, and what is not in it is made when it is asked for.
type RunEvent interface {
	step() *db.RunEvent
	typeName() string
	Cursor() string
}

type progress struct{ *db.RunEvent }

func (p progress) step() *db.RunEvent { return p.RunEvent }

// Cursor is where a subscriber who has seen the event goes on.
func (p progress) Cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.RunID + ":" + strconv.FormatInt(p.Sequence, 10)))
}

func progressAt(runID string, seq int64, at time.Time) progress {
	return progress{&db.RunEvent{RunID: runID, Sequence: seq, At: at}}
}

// RunStatusChanged: see the schema. The run is read when the event is sent.
type RunStatusChanged struct{ progress }

func (RunStatusChanged) typeName() string { return "RunStatusChanged" }

// StageStatusChanged: see the schema. The stage is read when the event is sent.
type StageStatusChanged struct{ progress }

func (StageStatusChanged) typeName() string { return "StageStatusChanged" }

// Message is nil where there is nothing to say.
func (e StageStatusChanged) Message() *string { return orNull(e.Text) }

// StageOutput: see the schema.
type StageOutput struct{ progress }

func (StageOutput) typeName() string { return "StageOutput" }

// Kind is text or a line of the log.
func (e StageOutput) Kind() StageOutputKind {
	if e.RunEvent.Kind == engine.EventText {
		return StageOutputKindText
	}
	return StageOutputKindLog
}

// RunFinished: see the schema. The run is read when the event is sent.
type RunFinished struct{ progress }

func (RunFinished) typeName() string { return "RunFinished" }

// ResyncRequired: see the schema.
type ResyncRequired struct{ progress }

func (ResyncRequired) typeName() string { return "ResyncRequired" }

// After is the cursor to go on with.
func (e ResyncRequired) After() string { return e.Cursor() }

// eventOf is the event of a record. That a run has ended is for [follow] to say.
func eventOf(ev *db.RunEvent) RunEvent {
	switch ev.Kind {
	case engine.EventRun:
		return RunStatusChanged{progress{ev}}
	case engine.EventStage:
		return StageStatusChanged{progress{ev}}
	default:
		return StageOutput{progress{ev}}
	}
}
