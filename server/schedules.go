package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/cron"
	"penstock/views"
)

func (s *Server) scheduleRoutes() []route {
	return []route{{"GET /orchestration/schedules/", s.scheduleList}}
}

// ScheduleList is the answer of GET /orchestration/schedules/.
type ScheduleList struct {
	Schedules []engine.ScheduleState `json:"schedules"`
	Count     int                    `json:"count"`
}

// scheduleList answers with all schedules, or those of ?definition=.
func (s *Server) scheduleList(w http.ResponseWriter, r *http.Request) error {
	list, err := ReadSchedules(r.Context(), s.store, r.URL.Query().Get("definition"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

// ReadSchedules reads the schedules of a definition, or of all if name is empty, in the order of the names.
func ReadSchedules(ctx context.Context, store *db.Store, name string) (ScheduleList, error) {
	filter := db.ScheduleFilter{DefinitionName: name}
	var rows []db.Schedule
	for {
		page, err := store.Schedules(ctx, filter)
		if err != nil {
			return ScheduleList{}, err
		}
		rows = append(rows, page.Items...)
		if !page.HasNext {
			break
		}
		filter.After = page.Cursors[len(page.Cursors)-1]
	}
	if name != "" && len(rows) == 0 {
		if _, err := store.Definition(ctx, name); err != nil {
			return ScheduleList{}, err
		}
	}
	slices.SortFunc(rows, func(a, b db.Schedule) int {
		return cmp.Or(cmp.Compare(a.DefinitionName, b.DefinitionName), cmp.Compare(a.Position, b.Position))
	})
	states, err := scheduleStates(rows)
	return ScheduleList{states, len(states)}, err
}

// scheduleRows are the schedules of a definition as its page shows them.
func (s *Server) scheduleRows(ctx context.Context, definitionID string) ([]views.Schedule, error) {
	byDefinition, err := s.store.SchedulesByDefinition(ctx, []string{definitionID})
	if err != nil {
		return nil, err
	}
	var rows []views.Schedule
	for _, row := range byDefinition[definitionID] {
		zone, err := cron.Zone(row.TimeZone)
		if err != nil {
			return nil, err
		}
		next, err := engine.NextTimes(row, time.Now(), 5)
		if err != nil {
			return nil, err
		}
		rows = append(rows, views.Schedule{
			Cron: row.Cron, TimeZone: row.TimeZone, Overlap: string(row.Overlap), CatchUp: string(row.CatchUp), Next: next,
			Last: row.LastTick.In(zone), LastRunID: row.LastRunID, Queued: row.QueuedTick.In(zone),
			Skipped: row.Skipped, SkippedAt: row.SkippedTick.In(zone), SkipReason: row.SkipReason,
		})
	}
	return rows, nil
}

func scheduleStates(rows []db.Schedule) ([]engine.ScheduleState, error) {
	states := make([]engine.ScheduleState, len(rows))
	for i, row := range rows {
		var err error
		if states[i], err = engine.NewScheduleState(row, time.Now()); err != nil {
			return nil, err
		}
	}
	return states, nil
}
