package db

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// IncidentFilter selects incidents; the zero value is all.
type IncidentFilter struct {
	IDs       []string         // any of them
	Status    []IncidentStatus // any of them
	Severity  Severity
	Host      string
	AlertName string
	Search    string // in title, host, alert name and summary
	Page
}

func (f IncidentFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if len(f.Status) > 0 {
		q.Where("inc.status IN (?)", bun.List(f.Status))
	}
	if len(f.IDs) > 0 {
		q.Where("inc.id IN (?)", bun.List(f.IDs))
	}
	equals(q, "severity", f.Severity)
	equals(q, "host", f.Host)
	equals(q, "alert_name", f.AlertName)
	contains(q, f.Search, "title", "host", "alert_name", "summary")
	return q
}

// indexed applies what an index finds in the order of the list.
func (f IncidentFilter) indexed(q *bun.SelectQuery) {
	switch {
	case f.Host != "":
		equals(q, "host", f.Host)
	case len(f.Status) == 1:
		equals(q, "status", f.Status[0])
		equals(q, "severity", f.Severity)
	}
}

// Matches reports whether [Store.Incidents] would list the incident.
func (f IncidentFilter) Matches(i *Incident) bool {
	return (len(f.Status) == 0 || slices.Contains(f.Status, i.Status)) &&
		same(f.Severity, i.Severity) && same(f.Host, i.Host) && same(f.AlertName, i.AlertName) &&
		holds(f.Search, i.Title, i.Host, i.AlertName, i.Summary)
}

// Incident returns an incident by its id.
func (s *Store) Incident(ctx context.Context, id string) (*Incident, error) {
	inc := new(Incident)
	if err := s.read.NewSelect().Model(inc).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read incident", "There is no incident %s.", id)
	}
	return inc, nil
}

// IncidentsByID returns incidents by their ids.
func (s *Store) IncidentsByID(ctx context.Context, ids []string) (map[string]*Incident, error) {
	var incs []Incident
	err := s.read.NewSelect().Model(&incs).Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return byID(incs, func(i *Incident) string { return i.ID }), wrap(err, "read incidents")
}

// Incidents lists incidents, the newest first.
func (s *Store) Incidents(ctx context.Context, f IncidentFilter) (Connection[Incident], error) {
	key := func(i *Incident) (time.Time, string) { return i.CreatedAt, i.ID }
	if len(f.Status) > 1 && f.Within == 0 {
		return merged(f.Status, f.Page, func(status IncidentStatus) (Connection[Incident], error) {
			f.Status = []IncidentStatus{status}
			return s.Incidents(ctx, f)
		}, key)
	}
	var incs []Incident
	q := f.apply(s.read.NewSelect().Model(&incs))
	f.narrow = f.indexed
	return list(ctx, q, &incs, f.Page, "created_at", key)
}

// UrgentIncidents returns incidents of a status, the most severe first, of these the oldest.
func (s *Store) UrgentIncidents(ctx context.Context, status IncidentStatus, limit int) ([]Incident, error) {
	var urgent []Incident
	for _, severity := range []Severity{SeverityCritical, SeverityError, SeverityWarning, SeverityInfo} { // each ends at its limit in the index
		var incs []Incident
		err := s.read.NewSelect().Model(&incs).Where("status = ?", status).Where("severity = ?", severity).
			Order("created_at", "id").Limit(int64(limit - len(urgent))).Scan(ctx)
		if err != nil {
			return nil, wrap(err, "list urgent incidents")
		}
		if urgent = append(urgent, incs...); len(urgent) == limit {
			break
		}
	}
	return urgent, nil
}

// CountIncidentsBySeverity counts the incidents of a status.
func (s *Store) CountIncidentsBySeverity(ctx context.Context, status IncidentStatus) (map[Severity]int, error) {
	var rows []struct {
		Severity Severity
		N        int
	}
	err := s.read.NewSelect().Model((*Incident)(nil)).Column("severity").ColumnExpr("count(*) AS n").
		Where("status = ?", status).Group("severity").Scan(ctx, &rows)
	counts := make(map[Severity]int, len(rows))
	for _, r := range rows {
		counts[r.Severity] = r.N
	}
	return counts, wrap(err, "count incidents by severity")
}

// CountIncidents counts what [Store.Incidents] lists on all pages.
func (s *Store) CountIncidents(ctx context.Context, f IncidentFilter) (int, error) {
	f.narrow = f.indexed
	return count[Incident](ctx, f.apply(s.read.NewSelect().Model((*Incident)(nil))), f.Page, "created_at")
}

// UpdateIncident reads an incident, lets fn change it, and stores it with the action that fn returns, if any, in
// one transaction.
func (s *Store) UpdateIncident(ctx context.Context, id string, fn func(*Incident) (*IncidentAction, error)) (*Incident, error) {
	inc := new(Incident)
	err := s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		if err := tx.forUpdate(tx.idb.NewSelect().Model(inc).Where("id = ?", id)).Scan(ctx); err != nil {
			return found(err, "read incident", "There is no incident %s.", id)
		}
		action, err := fn(inc)
		if err != nil {
			return err
		}
		if _, err := tx.idb.NewUpdate().Model(inc).WherePK().Exec(ctx); err != nil {
			return taken(err, "update incident", "Another incident of the same problem is not closed.")
		}
		if action == nil {
			return nil
		}
		action.ID, action.IncidentID = newID(), inc.ID
		_, err = tx.idb.NewInsert().Model(action).Exec(ctx)
		return wrap(err, "add incident action")
	})
	if err != nil {
		return nil, err
	}
	return inc, nil
}

// IncidentActionsByIncident returns what people did to several incidents, each the oldest first.
func (s *Store) IncidentActionsByIncident(ctx context.Context, incidentIDs []string) (map[string][]IncidentAction, error) {
	var actions []IncidentAction
	err := s.read.NewSelect().Model(&actions).Where("incident_id IN (?)", bun.List(incidentIDs)).
		Order("incident_id", "created_at", "id").Scan(ctx)
	m := make(map[string][]IncidentAction, len(incidentIDs))
	for _, a := range actions {
		m[a.IncidentID] = append(m[a.IncidentID], a)
	}
	return m, wrap(err, "read incident actions")
}
