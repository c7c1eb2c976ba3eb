package db_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func newIncident(key string) db.Incident {
	return db.Incident{
		ID: uuid.Must(uuid.NewV7()).String(), GroupKey: key, Title: "Disk full on " + key, Status: db.IncidentOpen, Severity: db.SeverityWarning,
		AlertName: "DiskFull", Host: key, Source: "alertmanager", Occurrence: 1, Revision: 1, StartedAt: at, CreatedAt: at, UpdatedAt: at,
	}
}

func newAlert(fingerprint string, startsAt time.Time, status, incidentID string) db.Alert {
	return db.Alert{
		ID: uuid.Must(uuid.NewV7()).String(), Source: "alertmanager", Fingerprint: fingerprint, StartsAt: startsAt, Name: "DiskFull", Host: "db1",
		Status: status, Severity: db.SeverityWarning, SeverityText: "warn", Labels: map[string]string{"a": "it's"}, Annotations: map[string]string{},
		IncidentID: incidentID, DeliveryID: "delivery", CreatedAt: startsAt, UpdatedAt: startsAt,
	}
}

func TestIntake(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		d := newDelivery()
		must(t, s.Accept(ctx, db.Acceptance{Delivery: d}))
		if pending := value(s.PendingIntakes(ctx, at.Add(time.Second), 10))(t); len(pending) != 1 || pending[0] != d.ID {
			t.Errorf("pending intakes: %v", pending)
		}
		inc := newIncident("db1")
		old := newAlert("f1", at.Add(-time.Hour), "resolved", inc.ID)
		last := newAlert("f1", at, "resolved", inc.ID)
		firing := newAlert("f2", at.Add(-time.Hour), "firing", inc.ID)
		newest := newAlert("f2", at, "resolved", inc.ID)
		run := newRun()
		keys := db.IntakeKeys{
			Deliveries: []string{d.ID, "none"}, Groups: []string{"web", "db1", "db1"}, Sources: []string{"alertmanager"},
			Fingerprints: []string{"f1", "f2", "f3"}, Starts: []time.Time{at.Add(-time.Hour)},
		}
		must(t, s.TakeIn(ctx, keys, func(_ *db.Tx, met *db.IntakeState) (db.IntakeChanges, error) {
			if outcome, known := met.Outcomes[d.ID]; !known || len(outcome) != 0 || len(met.Outcomes) != 1 {
				t.Errorf("deliveries are %v", met.Outcomes)
			}
			if len(met.Incidents)+len(met.Alerts)+len(met.Firing) != 0 {
				t.Errorf("in an empty store there is %+v", met)
			}
			return db.IntakeChanges{
				Incidents: []db.Incident{inc}, Alerts: []db.Alert{old, last, firing, newest}, Runs: []db.Run{run},
				Outcomes: map[string]json.RawMessage{d.ID: json.RawMessage(`{"b": 1,"a":2}`)}, At: at,
			}, nil
		}))
		value(s.Run(ctx, run.ID))(t)
		if got := value(s.Delivery(ctx, d.ID))(t); string(got.Intake) != `{"b": 1,"a":2}` || got.IntakeAt != at || string(got.Body) != string(d.Body) {
			t.Errorf("delivery is %+v", got)
		}
		if pending := value(s.PendingIntakes(ctx, at.Add(time.Second), 10))(t); len(pending) != 0 {
			t.Errorf("pending intakes after the intake: %v", pending)
		}

		last.Status, last.Repeats, last.Labels = "firing", 3, map[string]string{"b": "2"}
		must(t, s.TakeIn(ctx, keys, func(_ *db.Tx, met *db.IntakeState) (db.IntakeChanges, error) {
			if string(met.Outcomes[d.ID]) != `{"b": 1,"a":2}` {
				t.Errorf("the delivery was taken in as %s", met.Outcomes[d.ID])
			}
			got := ""
			for _, a := range met.Alerts {
				got += fmt.Sprintf("%s %s %v;", a.Fingerprint, a.Status, a.StartsAt.Equal(at))
			}
			if want := "f1 resolved false;f1 resolved true;f2 firing false;f2 resolved true;"; got != want {
				t.Errorf("alerts: %s, want %s", got, want)
			}
			if !reflect.DeepEqual(met.Incidents, []db.Incident{inc}) {
				t.Errorf("incidents: %+v, want %+v", met.Incidents, inc)
			}
			if f := met.Firing; len(f) != 1 || f[0].ID != firing.ID || f[0].IncidentID != inc.ID || f[0].Severity != firing.Severity {
				t.Errorf("firing alerts: %+v", f)
			}
			changed := met.Incidents[0]
			changed.Severity, changed.Revision = db.SeverityCritical, 2
			return db.IntakeChanges{Incidents: []db.Incident{changed}, Alerts: []db.Alert{last}}, nil
		}))
		met(t, s, db.IntakeKeys{Groups: []string{"web"}, Sources: []string{"grafana"}, Fingerprints: []string{"f1"}}, 0, 0, 0)
		met(t, s, db.IntakeKeys{Groups: []string{"db1"}, Sources: []string{"grafana", "alertmanager"}, Fingerprints: []string{"f1"}}, 1, 1, 2)
		if got := value(s.Alert(ctx, last.ID))(t); got.Status != "firing" || got.Repeats != 3 || got.Labels["b"] != "2" || got.StartsAt != at {
			t.Errorf("alert is %+v", got)
		}
		if n := len(value(s.AlertsByIncident(ctx, []string{inc.ID, "none"}))(t)[inc.ID]); n != 4 {
			t.Errorf("%d alerts of the incident, want 4", n)
		}
		for name, c := range map[string]db.IntakeChanges{
			"the same occurrence with another id": {Alerts: []db.Alert{newAlert("f1", at, "firing", "")}},
			"a second incident of a group":        {Incidents: []db.Incident{newIncident("db1")}},
		} {
			other := newIncident("other")
			c.Incidents = append(c.Incidents, other)
			wantFault(t, name, s.TakeIn(ctx, keys, func(*db.Tx, *db.IntakeState) (db.IntakeChanges, error) { return c, nil }), fault.Conflict)
			_, err := s.Incident(ctx, other.ID)
			wantFault(t, name+", what came with it", err, fault.NotFound)
		}
		refused := fault.New(fault.Invalid, "no")
		err := s.TakeIn(ctx, keys, func(*db.Tx, *db.IntakeState) (db.IntakeChanges, error) {
			return db.IntakeChanges{Incidents: []db.Incident{newIncident("other")}}, refused
		})
		wantFault(t, "what fn refuses", err, fault.Invalid)
		met(t, s, db.IntakeKeys{Groups: []string{"other"}}, 0, 0, 0) // and nothing is locked
		run.ID, run.IdempotencyKey = "second", "key"
		third := run
		third.ID = "third"
		err = s.InTx(ctx, func(tx *db.Tx) error {
			must(t, tx.AddRuns(ctx, nil))
			return tx.AddRuns(ctx, []db.Run{run, third})
		})
		if !errors.Is(err, db.ErrDuplicate) {
			t.Errorf("two runs with one key: %v, want ErrDuplicate", err)
		}
	})
}

// met tells how much intakes of these keys meet.
func met(t *testing.T, s *db.Store, keys db.IntakeKeys, incidents, alerts, firing int) {
	t.Helper()
	must(t, s.TakeIn(t.Context(), keys, func(_ *db.Tx, met *db.IntakeState) (none db.IntakeChanges, err error) {
		if len(met.Incidents) != incidents || len(met.Alerts) != alerts || len(met.Firing) != firing {
			t.Errorf("%+v: met %d incidents, %d alerts, %d that fire; want %d, %d, %d", keys, len(met.Incidents), len(met.Alerts), len(met.Firing), incidents, alerts, firing)
		}
		return none, nil
	}))
}

func TestIntakesOfOneGroupMakeOneIncident(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				keys := db.IntakeKeys{Groups: []string{"db1", "web"}}
				if err := s.TakeIn(t.Context(), keys, func(_ *db.Tx, met *db.IntakeState) (db.IntakeChanges, error) {
					found := met.Incidents
					if len(found) == 0 {
						found = []db.Incident{newIncident("web"), newIncident("db1")}
					}
					for i := range found {
						found[i].AlertCount++
					}
					return db.IntakeChanges{Incidents: found}, nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		found := value(s.Incidents(t.Context(), db.IncidentFilter{}))(t).Items
		if len(found) != 2 || found[0].AlertCount != 12 || found[1].AlertCount != 12 {
			t.Errorf("incidents are %+v", found)
		}
	})
}

func TestUpdateIncident(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		inc := newIncident("db1")
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{inc}})
		updated := value(s.UpdateIncident(ctx, inc.ID, func(i *db.Incident) (*db.IncidentAction, error) {
			i.Status, i.AcknowledgedAt, i.AcknowledgedBy = db.IncidentAcknowledged, at, "ann"
			return &db.IncidentAction{Kind: db.ActionAcknowledged, Actor: "ann", CreatedAt: at}, nil
		}))(t)
		stored := value(s.Incident(ctx, inc.ID))(t)
		if updated.Status != db.IncidentAcknowledged || stored.AcknowledgedBy != "ann" || stored.AcknowledgedAt != at || !stored.ClosedAt.IsZero() {
			t.Errorf("updated %+v, stored %+v", updated, stored)
		}
		_, err := s.UpdateIncident(ctx, inc.ID, func(i *db.Incident) (*db.IncidentAction, error) {
			i.Status = db.IncidentClosed
			return &db.IncidentAction{Kind: db.ActionClosed, CreatedAt: at}, fault.New(fault.Conflict, "no")
		})
		wantFault(t, "a refused change", err, fault.Conflict)
		if got := value(s.Incident(ctx, inc.ID))(t); got.Status != db.IncidentAcknowledged {
			t.Errorf("a refused change was stored: %+v", got)
		}
		_, err = s.UpdateIncident(ctx, "none", func(*db.Incident) (*db.IncidentAction, error) { return nil, nil })
		wantFault(t, "an unknown incident", err, fault.NotFound)

		value(s.UpdateIncident(ctx, inc.ID, func(i *db.Incident) (*db.IncidentAction, error) {
			i.Status = db.IncidentClosed
			return nil, nil
		}))(t)
		actions := value(s.IncidentActionsByIncident(ctx, []string{inc.ID, "none"}))(t)
		if len(actions) != 1 || len(actions[inc.ID]) != 1 || actions[inc.ID][0].Actor != "ann" || actions[inc.ID][0].CreatedAt != at {
			t.Errorf("actions are %+v, want the one of the change that was stored", actions)
		}
		met(t, s, db.IntakeKeys{Groups: []string{"db1"}}, 0, 0, 0) // it is closed
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{newIncident("db1")}})
	})
}

func TestIncidentsAndAlertsAreFiltered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		inc, other := newIncident("db1"), newIncident("web")
		other.Status, other.Severity, other.AlertName, other.Title, other.CreatedAt = db.IncidentResolved, db.SeverityCritical, "Down", "Web is down", at.Add(time.Hour)
		alert, second := newAlert("f1", at, "firing", inc.ID), newAlert("f2", at, "resolved", other.ID)
		second.Source, second.Severity, second.Name, second.Host, second.Summary = "grafana", db.SeverityInfo, "Down", "web", "no answer"
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: []db.Incident{inc, other}, Alerts: []db.Alert{alert, second}})
		for name, f := range map[string]db.IncidentFilter{
			"status": {Status: []db.IncidentStatus{db.IncidentOpen, db.IncidentAcknowledged}}, "severity": {Severity: db.SeverityWarning},
			"host": {Host: "db1"}, "alert name": {AlertName: "DiskFull"}, "search": {Search: "disk"},
		} {
			found := value(s.Incidents(ctx, f))(t).Items
			if n := value(s.CountIncidents(ctx, f))(t); len(found) != 1 || found[0].ID != inc.ID || n != 1 {
				t.Errorf("incidents by %s: %d, %+v", name, n, found)
			}
			if !f.Matches(&inc) || f.Matches(&other) {
				t.Errorf("incidents by %s: matches %v, and another %v", name, f.Matches(&inc), f.Matches(&other))
			}
		}
		for name, f := range map[string]db.AlertFilter{
			"status": {Status: "firing"}, "severity": {Severity: db.SeverityWarning}, "incident": {IncidentID: inc.ID},
			"source": {Source: "alertmanager"}, "search": {Search: "DB1"},
		} {
			found := value(s.Alerts(ctx, f))(t).Items
			if n := value(s.CountAlerts(ctx, f))(t); len(found) != 1 || found[0].ID != alert.ID || n != 1 {
				t.Errorf("alerts by %s: %d, %+v", name, n, found)
			}
		}
		if all := value(s.Incidents(ctx, db.IncidentFilter{}))(t).Items; len(all) != 2 || all[0].ID != other.ID {
			t.Errorf("all incidents, the newest first: %+v", all)
		}
		if m := value(s.IncidentsByID(ctx, []string{inc.ID, "none"}))(t); len(m) != 1 || m[inc.ID].Host != "db1" {
			t.Errorf("incidents by id: %v", m)
		}
		d := newDelivery()
		must(t, s.Accept(ctx, db.Acceptance{Delivery: d}))
		for name, f := range map[string]db.DeliveryFilter{
			"all": {}, "source": {Source: "alertmanager"}, "status": {Status: "accepted"}, "trace": {TraceID: "trace"},
		} {
			found := value(s.Deliveries(ctx, f))(t).Items
			if len(found) != 1 || found[0].ID != d.ID || found[0].Body != nil {
				t.Errorf("deliveries by %s: %+v", name, found)
			}
		}
		if found := value(s.Deliveries(ctx, db.DeliveryFilter{Definition: "demo"}))(t).Items; len(found) != 0 {
			t.Errorf("deliveries for a definition: %+v", found)
		}
	})
}

func TestUrgentIncidents(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		var all []db.Incident
		for i, severity := range []db.Severity{db.SeverityInfo, db.SeverityCritical, db.SeverityWarning, db.SeverityCritical, db.SeverityCritical} {
			inc := newIncident(fmt.Sprint("db", i))
			inc.Severity, inc.CreatedAt = severity, at.Add(-time.Duration(i)*time.Hour)
			all = append(all, inc)
		}
		all[4].Status = db.IncidentAcknowledged
		dbtest.TakeIn(t, s, db.IntakeChanges{Incidents: all})
		for limit, want := range map[int][]int{1: {3}, 3: {3, 1, 2}, 9: {3, 1, 2, 0}} {
			var got []int
			for _, inc := range value(s.UrgentIncidents(ctx, db.IncidentOpen, limit))(t) {
				got = append(got, slices.IndexFunc(all, func(i db.Incident) bool { return i.ID == inc.ID }))
			}
			if !slices.Equal(got, want) {
				t.Errorf("the %d most urgent: %v, want %v", limit, got, want)
			}
		}
		counts := value(s.CountIncidentsBySeverity(ctx, db.IncidentOpen))(t)
		if want := map[db.Severity]int{db.SeverityCritical: 2, db.SeverityWarning: 1, db.SeverityInfo: 1}; !maps.Equal(counts, want) {
			t.Errorf("counted %v", counts)
		}
	})
}
