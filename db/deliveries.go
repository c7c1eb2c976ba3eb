package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// DeliveryFilter selects deliveries; the zero value is all.
type DeliveryFilter struct {
	ReplayOf   string
	Source     string
	Definition string
	Status     string
	TraceID    string
	Page
}

func (f DeliveryFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	equals(q, "replay_of", f.ReplayOf)
	equals(q, "source", f.Source)
	equals(q, "definition", f.Definition)
	equals(q, "status", f.Status)
	equals(q, "trace_id", f.TraceID)
	return q
}

// Delivery returns a delivery with its body.
func (s *Store) Delivery(ctx context.Context, id string) (*Delivery, error) {
	d := new(Delivery)
	if err := s.read.NewSelect().Model(d).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read delivery", "There is no delivery %s.", id)
	}
	return d, nil
}

// DeliveriesByID returns deliveries by their ids, without Body, Parsed and Intake.
func (s *Store) DeliveriesByID(ctx context.Context, ids []string) (map[string]*Delivery, error) {
	var ds []Delivery
	err := s.read.NewSelect().Model(&ds).ExcludeColumn("body", "parsed", "intake").Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return byID(ds, func(d *Delivery) string { return d.ID }), wrap(err, "read deliveries")
}

// Deliveries lists deliveries, the newest first. Body, Parsed and Intake are left out: they can be large.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) (Connection[Delivery], error) {
	var ds []Delivery
	q := f.apply(s.read.NewSelect().Model(&ds).ExcludeColumn("body", "parsed", "intake"))
	return list(ctx, q, &ds, f.Page, "received_at", func(d *Delivery) (time.Time, string) { return d.ReceivedAt, d.ID })
}

// CountDeliveries counts what [Store.Deliveries] lists on all pages.
func (s *Store) CountDeliveries(ctx context.Context, f DeliveryFilter) (int, error) {
	return count[Delivery](ctx, f.apply(s.read.NewSelect().Model((*Delivery)(nil))), f.Page, "received_at")
}

// PendingIntakes returns the ids of accepted deliveries that no definition is named for and whose intake was not
// finished, received before olderThan, the oldest first.
func (s *Store) PendingIntakes(ctx context.Context, olderThan time.Time, limit int) ([]string, error) {
	var ids []string
	err := s.read.NewSelect().Model((*Delivery)(nil)).Column("id").Where("intake_at IS NULL").Where("status = 'accepted'").
		Where("definition = ''").Where("received_at < ?", olderThan).Order("received_at", "id").Limit(int64(limit)).Scan(ctx, &ids)
	return ids, wrap(err, "read pending intakes")
}
