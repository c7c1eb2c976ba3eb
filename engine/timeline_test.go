package engine_test

import (
	"strings"
	"testing"
)

func TestTimelines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		s.routed("all", `{"match": "true"}`)
		first := s.decisions(body(alert{"A", "one", "firing", "info", "web"}))[0]
		s.wait(first.Considered[0].RunID)
		second := s.decisions(body(alert{"B", "two", "firing", "info", "web"}))[0]
		s.wait(second.Considered[0].RunID)
		s.decisions(body(alert{"A", "one", "firing", "info", "web"})) // a repeat
		if _, err := s.NoteIncident(t.Context(), first.IncidentID, "a note", "ann"); err != nil {
			t.Fatal(err)
		}
		end := s.decisions(body(alert{"A", "one", "resolved", "info", "web"}))[0]
		s.wait(end.Considered[0].RunID)
		all, err := s.Timelines(t.Context(), []string{first.IncidentID, second.IncidentID, "none"})
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{
			first.IncidentID:  "run_ended run_started decision alert_resolved action run_ended run_started decision alert_fired: 2 changes started pipelines; 1 repeat changed nothing.",
			second.IncidentID: "run_ended run_started decision alert_fired: 1 change started a pipeline.",
			"none":            ": No decision about it is kept.",
		} {
			var kinds []string
			for _, e := range all[id].Entries {
				kinds = append(kinds, string(e.Kind))
			}
			if got := strings.Join(kinds, " ") + ": " + all[id].Answer; got != want || all[id].Cut {
				t.Errorf("got  %s (cut %v)\nwant %s", got, all[id].Cut, want)
			}
		}
	})
}
