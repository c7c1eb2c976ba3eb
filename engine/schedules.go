package engine

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine/cron"
	"penstock/engine/definition"
)

// schedulesAt reads the schedules of a configuration as they begin now.
func schedulesAt(config json.RawMessage, now time.Time) ([]db.Schedule, error) {
	entries, err := definition.Schedules(config)
	if err != nil {
		return nil, err
	}
	rows := make([]db.Schedule, len(entries))
	same := map[string]int{}
	for i, s := range entries {
		times, err := s.Times()
		if err != nil {
			return nil, err
		}
		entry := strings.Join(strings.Fields(s.Cron), " ") + " " + s.TimeZone
		if same[entry]++; same[entry] > 1 {
			entry += " " + strconv.Itoa(same[entry])
		}
		rows[i] = db.Schedule{
			Entry: entry, Position: i, Cron: s.Cron, TimeZone: s.TimeZone, Overlap: db.Overlap(s.Overlap), CatchUp: db.CatchUp(s.CatchUp),
			CatchUpWindowSeconds: *s.CatchUpWindowSeconds, Environment: s.Environment, HandledUntil: now, NextTick: times.Next(now),
		}
		if s.Payload != nil {
			if rows[i].Payload, err = json.Marshal(s.Payload); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

func timesOf(s db.Schedule) (*cron.Schedule, error) {
	return definition.Schedule{Cron: s.Cron, TimeZone: s.TimeZone}.Times()
}

// NextTimes are the next times of a schedule after now; none while its definition is not active.
func NextTimes(s db.Schedule, now time.Time, n int) ([]time.Time, error) {
	times, err := timesOf(s)
	if err != nil || s.NextTick.IsZero() {
		return []time.Time{}, err
	}
	return times.Upcoming(now, n), nil
}

// NewScheduleState is the schedule as it stands now.
func NewScheduleState(s db.Schedule, now time.Time) (ScheduleState, error) {
	zone, err := cron.Zone(s.TimeZone)
	if err != nil {
		return ScheduleState{}, err
	}
	next, err := NextTimes(s, now, 5)
	return ScheduleState{
		Definition: s.DefinitionName, IsActive: !s.NextTick.IsZero(), Cron: s.Cron, TimeZone: s.TimeZone,
		Overlap: s.Overlap, CatchUp: s.CatchUp, CatchUpWindowSeconds: s.CatchUpWindowSeconds, Environment: s.Environment, Payload: s.Payload,
		LastTick: momentIn(s.LastTick, zone), LastRunID: text(s.LastRunID), QueuedTick: momentIn(s.QueuedTick, zone),
		Skipped: s.Skipped, SkippedTick: momentIn(s.SkippedTick, zone), SkipReason: s.SkipReason, Next: next,
	}, err
}

func momentIn(t time.Time, zone *time.Location) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.In(zone))
}
