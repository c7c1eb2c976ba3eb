package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// DecisionFilter selects decisions; the zero value is all.
type DecisionFilter struct {
	DeliveryID string
	IncidentID string
	Outcome    DecisionOutcome
	Page
}

func (f DecisionFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	equals(q, "delivery_id", f.DeliveryID)
	equals(q, "incident_id", f.IncidentID)
	equals(q, "outcome", f.Outcome)
	return q
}

// Decision returns a decision by its id.
func (s *Store) Decision(ctx context.Context, id string) (*Decision, error) {
	d := new(Decision)
	if err := s.read.NewSelect().Model(d).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read decision", "There is no decision %s.", id)
	}
	return d, nil
}

// Decisions lists decisions, the newest first.
func (s *Store) Decisions(ctx context.Context, f DecisionFilter) (Connection[Decision], error) {
	var ds []Decision
	return list(ctx, f.apply(s.read.NewSelect().Model(&ds)), &ds, f.Page, "created_at", func(d *Decision) (time.Time, string) { return d.CreatedAt, d.ID })
}

// CountDecisions counts what [Store.Decisions] lists on all pages.
func (s *Store) CountDecisions(ctx context.Context, f DecisionFilter) (int, error) {
	n, err := f.apply(s.read.NewSelect().Model((*Decision)(nil))).Count(ctx)
	return int(n), wrap(err, "count decisions")
}

// DecisionsByDelivery returns the decisions of several deliveries, each in the order they were made.
func (s *Store) DecisionsByDelivery(ctx context.Context, deliveryIDs []string) (map[string][]Decision, error) {
	var ds []Decision
	err := s.read.NewSelect().Model(&ds).Where("delivery_id IN (?)", bun.List(deliveryIDs)).Order("delivery_id", "created_at", "id").Scan(ctx)
	m := make(map[string][]Decision, len(deliveryIDs))
	for _, d := range ds {
		m[d.DeliveryID] = append(m[d.DeliveryID], d)
	}
	return m, wrap(err, "read decisions")
}

// ActiveDefinition is a definition that may be run, with the id of its newest version.
type ActiveDefinition struct {
	PipelineDefinition `bun:",extend"`
	VersionID          string `bun:"version_id,scanonly"`
}

// ActiveDefinitions returns all definitions that may be run, by name, without their configurations.
func (s *Store) ActiveDefinitions(ctx context.Context) ([]ActiveDefinition, error) {
	var ds []ActiveDefinition
	err := s.read.NewSelect().Model(&ds).ExcludeColumn("config", "tags").ColumnExpr("pv.id AS version_id").
		Join("JOIN pipeline_definition_versions AS pv ON pv.definition_id = pd.id AND pv.number = pd.version").
		Where("pd.deleted_at IS NULL").Where("pd.is_active = ?", true).Order("pd.name").Scan(ctx)
	return ds, wrap(err, "read active definitions")
}
