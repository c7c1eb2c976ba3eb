package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// AlertFilter selects alerts; the zero value is all.
type AlertFilter struct {
	Status     string
	Severity   Severity
	IncidentID string
	Source     string
	Search     string // in name, host and summary
	Page
}

func (f AlertFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	equals(q, "status", f.Status)
	equals(q, "severity", f.Severity)
	equals(q, "incident_id", f.IncidentID)
	equals(q, "source", f.Source)
	contains(q, f.Search, "name", "host", "summary")
	return q
}

// indexed applies what an index finds in the order of the list.
func (f AlertFilter) indexed(q *bun.SelectQuery) {
	switch {
	case f.IncidentID != "":
		equals(q, "incident_id", f.IncidentID)
	case f.Status == "firing":
		equals(q, "status", f.Status)
	}
}

// Alert returns an alert by its id.
func (s *Store) Alert(ctx context.Context, id string) (*Alert, error) {
	a := new(Alert)
	if err := s.read.NewSelect().Model(a).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read alert", "There is no alert %s.", id)
	}
	return a, nil
}

// Alerts lists alerts, the newest first.
func (s *Store) Alerts(ctx context.Context, f AlertFilter) (Connection[Alert], error) {
	var as []Alert
	q := f.apply(s.read.NewSelect().Model(&as))
	f.narrow = f.indexed
	return list(ctx, q, &as, f.Page, "created_at", func(a *Alert) (time.Time, string) { return a.CreatedAt, a.ID })
}

// CountAlerts counts what [Store.Alerts] lists on all pages.
func (s *Store) CountAlerts(ctx context.Context, f AlertFilter) (int, error) {
	f.narrow = f.indexed
	return count[Alert](ctx, f.apply(s.read.NewSelect().Model((*Alert)(nil))), f.Page, "created_at")
}

// AlertsByIncident returns the alerts of several incidents, each the newest first.
func (s *Store) AlertsByIncident(ctx context.Context, incidentIDs []string) (map[string][]Alert, error) {
	var alerts []Alert
	err := s.read.NewSelect().Model(&alerts).Where("incident_id IN (?)", bun.List(incidentIDs)).Order("incident_id", "created_at DESC", "id DESC").Scan(ctx)
	m := make(map[string][]Alert, len(incidentIDs))
	for _, a := range alerts {
		m[a.IncidentID] = append(m[a.IncidentID], a)
	}
	return m, wrap(err, "read alerts of incidents")
}

// FiringByFingerprint returns the firing alerts of a source by their fingerprints, each the latest first.
func (s *Store) FiringByFingerprint(ctx context.Context, source string, fingerprints []string) (map[string][]Alert, error) {
	var alerts []Alert
	err := s.read.NewSelect().Model(&alerts).Where("source = ?", source).Where("status = 'firing'").
		Where("fingerprint IN (?)", bun.List(fingerprints)).Order("starts_at DESC").Scan(ctx)
	m := make(map[string][]Alert, len(fingerprints))
	for _, a := range alerts {
		m[a.Fingerprint] = append(m[a.Fingerprint], a)
	}
	return m, wrap(err, "read firing alerts")
}
