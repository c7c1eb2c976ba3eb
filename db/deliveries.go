package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"
)

// DeliveryFilter selects deliveries; the zero value is all.
type DeliveryFilter struct {
	Source     string
	Definition string
	Status     string
	TraceID    string
	Page
}

func (f DeliveryFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
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

// Deliveries lists deliveries, the newest first. Body, Parsed and Intake are left out: they can be large.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) (Connection[Delivery], error) {
	var ds []Delivery
	q := f.apply(s.read.NewSelect().Model(&ds).ExcludeColumn("body", "parsed", "intake"))
	return list(ctx, q, &ds, f.Page, "received_at", func(d *Delivery) (time.Time, string) { return d.ReceivedAt, d.ID })
}

// PendingIntakes returns the ids of accepted deliveries that no definition is named for and whose intake was not
// finished, received before olderThan, the oldest first.
func (s *Store) PendingIntakes(ctx context.Context, olderThan time.Time, limit int) ([]string, error) {
	var ids []string
	err := s.read.NewSelect().Model((*Delivery)(nil)).Column("id").Where("intake_at IS NULL").Where("status = 'accepted'").
		Where("definition = ''").Where("received_at < ?", olderThan).Order("received_at", "id").Limit(int64(limit)).Scan(ctx, &ids)
	return ids, wrap(err, "read pending intakes")
}

// LockDelivery returns a delivery; on PostgreSQL no other transaction gets it before this one ends.
func (tx *Tx) LockDelivery(ctx context.Context, id string) (*Delivery, error) {
	d := new(Delivery)
	if err := tx.forUpdate(tx.idb.NewSelect().Model(d).Where("id = ?", id)).Scan(tx.ctx(ctx)); err != nil {
		return nil, found(err, "lock delivery", "There is no delivery %s.", id)
	}
	return d, nil
}

// FinishIntake stores the outcome of a delivery's intake.
func (tx *Tx) FinishIntake(ctx context.Context, deliveryID string, outcome json.RawMessage, now time.Time) error {
	_, err := tx.idb.NewUpdate().Model(&Delivery{ID: deliveryID, Intake: outcome, IntakeAt: now}).
		Column("intake", "intake_at").WherePK().Exec(tx.ctx(ctx))
	return wrap(err, "finish intake")
}
