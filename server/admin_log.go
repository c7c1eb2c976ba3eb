package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"penstock/db"
	"penstock/engine"
	"penstock/views"
)

// runLog turns a run's events into the lines of its log. The same events always make the same lines
// with the same ids, so a page and a stream that goes on after it fit together.
type runLog struct {
	entries []views.LogEntry
	said    string            // why the newest stage failed
	texts   map[string]string // id of the line that a stage's streamed text goes to, by node and attempt
}

// add returns the line that ev makes, or (isNew false) the text to append to a line that is there.
func (l *runLog) add(ev *db.RunEvent) (entry views.LogEntry, isNew bool) {
	key := fmt.Sprintf("%s/%d", ev.NodeID, ev.Attempt)
	entry = views.LogEntry{ID: "log-" + strconv.FormatInt(ev.Sequence, 10), At: ev.At, From: ev.NodeID, Text: ev.Text}
	switch ev.Kind {
	case engine.EventText:
		if id, ok := l.texts[key]; ok {
			entry.ID = id
			return entry, false
		}
		if l.texts == nil {
			l.texts = map[string]string{}
		}
		l.texts[key] = entry.ID
		return entry, true
	case engine.EventRun, engine.EventStage:
		entry.Text = strings.ToUpper(ev.Status[:min(1, len(ev.Status))]) + ev.Status[min(1, len(ev.Status)):]
		if ev.Attempt > 0 && ev.Status != string(db.StageSkipped) {
			entry.Text += fmt.Sprintf(" (attempt %d)", ev.Attempt)
		}
		// A run ends with the words of the stage that failed it; the line above has said them.
		if ev.Text != "" && (ev.Kind == engine.EventStage || l.said == "" || !strings.Contains(ev.Text, l.said)) {
			entry.Text += ": " + ev.Text
		}
		if ev.Kind == engine.EventStage && ev.Status == string(db.StageFailed) {
			l.said = ev.Text
		}
		switch ev.Status {
		case string(db.RunCompleted), string(db.StageSucceeded):
			entry.Tone = views.ToneGood
		case string(db.RunFailed):
			entry.Tone = views.ToneBad
		case string(db.RunPartial), string(db.StageRetrying):
			entry.Tone = views.ToneWarn
		}
	}
	delete(l.texts, key) // what is streamed from here on is another text, as that of the fallback
	return entry, true
}

const eventsPerRead = 1000

// readLog adds the run's events up to a sequence (0: all there are) and returns the newest one's.
func (s *Server) readLog(ctx context.Context, runID string, upTo int64, into *runLog) (cursor int64, err error) {
	for {
		events, err := s.store.Events(ctx, runID, cursor, eventsPerRead)
		if err != nil {
			return 0, err
		}
		for _, ev := range events {
			if upTo > 0 && ev.Sequence > upTo {
				return cursor, nil
			}
			cursor = ev.Sequence
			entry, isNew := into.add(ev)
			if isNew {
				into.entries = append(into.entries, entry)
				continue
			}
			for i := len(into.entries) - 1; i >= 0; i-- {
				if into.entries[i].ID == entry.ID {
					into.entries[i].Text += entry.Text
					break
				}
			}
		}
		if len(events) < eventsPerRead {
			return cursor, nil
		}
	}
}

// replayLog brings the log to where a stream goes on.
func (s *Server) replayLog(ctx context.Context, runID string, after int64, into *runLog) error {
	if after == 0 {
		return nil
	}
	_, err := s.readLog(ctx, runID, after, into)
	return err
}
