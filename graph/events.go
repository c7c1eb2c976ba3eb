package graph

import "time"

// RunEvent is a step of a run's progress, one of the types below.
type RunEvent interface{ isRunEvent() }

// progress is what all of them have.
type progress struct {
	Cursor   string
	Sequence int64
	At       time.Time
	RunID    string
}

func (progress) isRunEvent() {}

// RunStatusChanged: see the schema. The run is read when the event is sent.
type RunStatusChanged struct {
	progress
	Status string
}

// StageStatusChanged: see the schema. The stage is read when the event is sent.
type StageStatusChanged struct {
	progress
	NodeID  string
	Attempt int
	Status  string
	Message *string
}

// StageOutput: see the schema.
type StageOutput struct {
	progress
	NodeID  string
	Attempt int
	Kind    StageOutputKind
	Text    string
}

// RunFinished: see the schema. The run is read when the event is sent.
type RunFinished struct {
	progress
	Status string
}

// ResyncRequired: see the schema.
type ResyncRequired struct {
	progress
	After string
}
