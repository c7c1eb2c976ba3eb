package db_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
		must(t, s.InTx(ctx, func(tx *db.Tx) error {
			locked := value(tx.LockIntakes(ctx, []string{d.ID, "none"}))(t)
			if outcome, known := locked[d.ID]; !known || len(outcome) != 0 || len(locked) != 1 {
				t.Errorf("locked deliveries are %v", locked)
			}
			if none := value(tx.IncidentsByGroup(ctx, []string{"web", "db1", "db1"}))(t); len(none) != 0 {
				t.Errorf("incidents of an empty store: %v", none)
			}
			must(t, tx.SaveIncidents(ctx, []db.Incident{inc}))
			must(t, tx.SaveAlerts(ctx, []db.Alert{old, last, firing, newest}))
			must(t, tx.AddRuns(ctx, []db.Run{run}))
			must(t, tx.AddRuns(ctx, nil))
			return tx.FinishIntakes(ctx, map[string]json.RawMessage{d.ID: json.RawMessage(`{"alerts_created": 4}`)}, nil, nil, at)
		}))
		if got := value(s.Delivery(ctx, d.ID))(t); string(got.Intake) != `{"alerts_created": 4}` || got.IntakeAt != at || string(got.Body) != string(d.Body) {
			t.Errorf("delivery is %+v", got)
		}
		if pending := value(s.PendingIntakes(ctx, at.Add(time.Second), 10))(t); len(pending) != 0 {
			t.Errorf("pending intakes after the intake: %v", pending)
		}

		last.Status, last.Repeats, last.Labels = "firing", 3, map[string]string{"b": "2"}
		must(t, s.InTx(ctx, func(tx *db.Tx) error {
			got := ""
			for _, a := range value(tx.AlertsByKey(ctx, "alertmanager", []string{"f1", "f2", "f3"}, []time.Time{at.Add(-time.Hour)}))(t) {
				got += fmt.Sprintf("%s %s %v;", a.Fingerprint, a.Status, a.StartsAt.Equal(at))
			}
			if want := "f1 resolved false;f1 resolved true;f2 firing false;f2 resolved true;"; got != want {
				t.Errorf("alerts by key: %s, want %s", got, want)
			}
			if other := value(tx.AlertsByKey(ctx, "grafana", []string{"f1"}, nil))(t); len(other) != 0 {
				t.Errorf("alerts of another source: %v", other)
			}
			found := value(tx.IncidentsByGroup(ctx, []string{"db1"}))(t)
			if len(found) != 1 || found[0].ID != inc.ID {
				t.Errorf("incidents by group: %v", found)
			}
			found[0].Severity, found[0].Revision = db.SeverityCritical, 2
			must(t, tx.SaveIncidents(ctx, found))
			must(t, tx.SaveAlerts(ctx, []db.Alert{last}))
			if alerts := value(tx.FiringByIncident(ctx, []string{inc.ID}))(t)[inc.ID]; len(alerts) != 2 || alerts[0].ID != last.ID {
				t.Errorf("firing alerts: %+v", alerts)
			}
			return nil
		}))
		if got := value(s.Alert(ctx, last.ID))(t); got.Status != "firing" || got.Repeats != 3 || got.Labels["b"] != "2" || got.StartsAt != at {
			t.Errorf("alert is %+v", got)
		}
		if n := len(value(s.AlertsByIncident(ctx, []string{inc.ID, "none"}))(t)[inc.ID]); n != 4 {
			t.Errorf("%d alerts of the incident, want 4", n)
		}
		wantFault(t, "the same occurrence with another id", s.InTx(ctx, func(tx *db.Tx) error {
			return tx.SaveAlerts(ctx, []db.Alert{newAlert("f1", at, "firing", "")})
		}), fault.Conflict)
		wantFault(t, "a second incident of a group", s.InTx(ctx, func(tx *db.Tx) error {
			return tx.SaveIncidents(ctx, []db.Incident{newIncident("db1")})
		}), fault.Conflict)
		run.ID, run.IdempotencyKey = "second", "key"
		third := run
		third.ID = "third"
		err := s.InTx(ctx, func(tx *db.Tx) error { return tx.AddRuns(ctx, []db.Run{run, third}) })
		if !errors.Is(err, db.ErrDuplicate) {
			t.Errorf("two runs with one key: %v, want ErrDuplicate", err)
		}
	})
}

func TestIntakesOfOneGroupMakeOneIncident(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if err := s.InTx(t.Context(), func(tx *db.Tx) error {
					found, err := tx.IncidentsByGroup(t.Context(), []string{"db1", "web"})
					if err != nil {
						return err
					}
					if len(found) == 0 {
						found = []db.Incident{newIncident("web"), newIncident("db1")}
					}
					for i := range found {
						found[i].AlertCount++
					}
					return tx.SaveIncidents(t.Context(), found)
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
		must(t, s.InTx(ctx, func(tx *db.Tx) error { return tx.SaveIncidents(ctx, []db.Incident{inc}) }))
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
		must(t, s.InTx(ctx, func(tx *db.Tx) error {
			if open := value(tx.IncidentsByGroup(ctx, []string{"db1"}))(t); len(open) != 0 {
				t.Errorf("a closed incident is not found by its group: %v", open)
			}
			return tx.SaveIncidents(ctx, []db.Incident{newIncident("db1")})
		}))
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
		must(t, s.InTx(ctx, func(tx *db.Tx) error {
			must(t, tx.SaveIncidents(ctx, []db.Incident{inc, other}))
			return tx.SaveAlerts(ctx, []db.Alert{alert, second})
		}))
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
		must(t, s.InTx(ctx, func(tx *db.Tx) error { return tx.SaveIncidents(ctx, all) }))
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
