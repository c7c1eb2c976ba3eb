package graph

import "time"

// RunEvent is a step of a run's progress, one of the types below.
type RunEvent interface {
	step() progress
	typeName() string
}

// progress is what all of them have.
type progress struct {
	Cursor   string
	Sequence int64
	At       time.Time
	RunID    string
}

func (p progress) step() progress { return p }

// RunStatusChanged: see the schema. The run is read when the event is sent.
type RunStatusChanged struct {
	progress
	Status string
}

func (RunStatusChanged) typeName() string { return "RunStatusChanged" }

// StageStatusChanged: see the schema. The stage is read when the event is sent.
type StageStatusChanged struct {
	progress
	NodeID  string
	Attempt int
	Status  string
	Message *string
}

func (StageStatusChanged) typeName() string { return "StageStatusChanged" }

// StageOutput: see the schema.
type StageOutput struct {
	progress
	NodeID  string
	Attempt int
	Kind    StageOutputKind
	Text    string
}

func (StageOutput) typeName() string { return "StageOutput" }

// RunFinished: see the schema. The run is read when the event is sent.
type RunFinished struct {
	progress
	Status string
}

func (RunFinished) typeName() string { return "RunFinished" }

// ResyncRequired: see the schema.
type ResyncRequired struct {
	progress
	After string
}

func (ResyncRequired) typeName() string { return "ResyncRequired" }
