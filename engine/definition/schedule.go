package definition

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"penstock/engine/cron"
)

// DefaultCatchUpWindow is how old a time may be to be caught up with.
const DefaultCatchUpWindow = 24 * time.Hour

// Schedule starts a run at the times of a cron expression.
type Schedule struct {
	Cron                 string                     `json:"cron" jsonschema:"title=Cron,format=cron,minLength=1,maxLength=255,description=Five fields: minute\\, hour\\, day of the month\\, month\\, day of the week; or @hourly\\, @daily\\, @weekly\\, @monthly\\, @yearly."`
	TimeZone             string                     `json:"time_zone,omitempty" jsonschema:"title=Time zone,format=time-zone,maxLength=64,default=UTC,description=IANA name such as Europe/Berlin. Times of day that summer time skips come right after the gap\\, those that come twice run once; a schedule with * as its hour follows real time."`
	Overlap              string                     `json:"overlap,omitempty" jsonschema:"title=While the last run is still going,enum=skip,enum=queue,enum=cancel,default=skip,description=skip leaves the new one out and says so; queue starts it when the last has ended (at most one waits); cancel ends the last and starts the new one."`
	CatchUp              string                     `json:"catch_up,omitempty" jsonschema:"title=After an outage,enum=none,enum=one,enum=all,default=one,description=Times that passed more than 15 seconds ago without a run: none are left out\\, or one run stands for all of them\\, or all get theirs\\, one after another."`
	CatchUpWindowSeconds *int                       `json:"catch_up_window_seconds,omitempty" jsonschema:"title=How old a time may be to be caught up with\\, in seconds,minimum=60,maximum=2592000,default=86400"`
	Payload              map[string]json.RawMessage `json:"payload,omitempty" jsonschema:"title=Payload,description=Object that the run is given; the engine adds schedule with cron\\, time_zone and tick."`
	Environment          string                     `json:"environment,omitempty" jsonschema:"title=Environment,maxLength=255,default=production,description=Environment of the runs."`
}

// Schedules returns the schedules of a stored document, with what they do not say filled in.
func Schedules(config json.RawMessage) ([]Schedule, error) {
	var doc struct{ Triggers Triggers }
	if err := json.Unmarshal(config, &doc); err != nil {
		return nil, fmt.Errorf("read schedules: %w", err)
	}
	for i := range doc.Triggers.Schedule {
		s := &doc.Triggers.Schedule[i]
		s.TimeZone, s.Environment = cmp.Or(s.TimeZone, "UTC"), cmp.Or(s.Environment, "production")
		s.Overlap, s.CatchUp = cmp.Or(s.Overlap, "skip"), cmp.Or(s.CatchUp, "one")
		if s.CatchUpWindowSeconds == nil {
			s.CatchUpWindowSeconds = new(int(DefaultCatchUpWindow / time.Second))
		}
	}
	return doc.Triggers.Schedule, nil
}

// Times are when the schedule comes round. The error is for a schedule that validation has refused.
func (s Schedule) Times() (*cron.Schedule, error) {
	zone, err := cron.Zone(s.TimeZone)
	if err != nil {
		return nil, err
	}
	return cron.Parse(s.Cron, zone)
}

func (v *validation) schedules() {
	if v.doc.Triggers == nil {
		return
	}
	for i, s := range v.doc.Triggers.Schedule {
		if v.full() {
			return
		}
		path := fmt.Sprintf("/triggers/schedule/%d", i)
		zone, err := cron.Zone(s.TimeZone)
		if err != nil {
			v.report(Issue{Path: path + "/time_zone", Code: CodeUnknownZone, Message: fmt.Sprintf(
				"There is no time zone %q. Write an IANA name such as \"Europe/Berlin\", or leave it out for UTC.", s.TimeZone)})
			zone = time.UTC
		}
		if _, err := cron.Parse(s.Cron, zone); s.Cron != "" && err != nil {
			v.report(Issue{Path: path + "/cron", Code: CodeBadCron, Message: fmt.Sprintf("The cron expression %q cannot be used: %v", s.Cron, err)})
		}
		if _, taken := s.Payload["schedule"]; taken {
			v.report(Issue{Path: path + "/payload/schedule", Code: CodeBadValue,
				Message: "The payload's key \"schedule\" is filled by the engine. Use another name."})
		}
	}
}
