package server

import (
	"testing"

	"penstock/db"
	"penstock/engine"
)

func TestLogKeepsTextsApart(t *testing.T) {
	t.Parallel()
	var log runLog
	var lines []string
	for i, ev := range []db.RunEvent{
		{Kind: engine.EventText, Text: "The disk "}, {Kind: engine.EventText, Text: "fills."}, {Kind: engine.EventLog, Text: "Asking local instead."},
		{Kind: engine.EventText, Text: "A disk "}, {Kind: engine.EventText, Text: "is full."},
	} {
		ev.Sequence, ev.NodeID, ev.Attempt = int64(i+1), "think", 1
		if entry, isNew := log.add(&ev); isNew {
			lines = append(lines, entry.ID)
		} else if entry.ID != lines[len(lines)-1] {
			t.Errorf("%q goes to the line %s, not to the newest", ev.Text, entry.ID)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines, want what was streamed before and after apart: %v", len(lines), lines)
	}
}
