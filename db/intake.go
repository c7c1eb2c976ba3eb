package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// IntakeKeys name what deliveries are about.
type IntakeKeys struct {
	Deliveries   []string
	Groups       []string // of incidents, at least one
	Sources      []string // of alerts, as the fingerprints
	Fingerprints []string
	Starts       []time.Time // of the occurrences that the deliveries tell of
}

// IntakeState is what deliveries meet.
type IntakeState struct {
	Outcomes  map[string]json.RawMessage // of the deliveries that there are; empty for one that has not been taken in
	Incidents []Incident                 // of the groups, those that are not closed
	Firing    []Alert                    // of these incidents; ID, IncidentID and Severity only
	// Alerts are what an occurrence (source, fingerprint, starts_at) is compared with: of each fingerprint the firing
	// alerts, the one that began last, and those that began at one of the given times.
	Alerts []Alert
}

// IntakeChanges are what deliveries bring about. Records that are there are replaced, except decisions and runs.
type IntakeChanges struct {
	Outcomes  map[string]json.RawMessage // of the intakes, by delivery id
	Incidents []Incident
	Alerts    []Alert // after their incidents
	Decisions []Decision
	Runs      []Run
	At        time.Time
}

// TakeIn gives fn what the deliveries meet and stores what it returns. Until then no other process takes in one
// of these deliveries, changes one of these incidents or creates one of their groups. fn may read more by the
// transaction. PostgreSQL is asked twice: to lock and read, to write and commit.
func (s *Store) TakeIn(ctx context.Context, keys IntakeKeys, fn func(*Tx, *IntakeState) (IntakeChanges, error)) error {
	whole := s.InTx
	if !s.isSQLite() {
		whole = s.inTwoTexts
	}
	return whole(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		state, err := tx.meet(ctx, keys)
		if err != nil {
			return wrap(err, "read what deliveries meet")
		}
		changes, err := fn(tx, state)
		if err != nil {
			return err
		}
		return taken(tx.exec(ctx, changes.queries(tx)...), "take deliveries in", "The alert or its incident was stored by another process at the same moment. Try again.")
	})
}

// meet locks and reads, the deliveries and then the groups in order, so that two intakes never wait for each other.
func (tx *Tx) meet(ctx context.Context, keys IntakeKeys) (*IntakeState, error) {
	st := &IntakeState{Outcomes: map[string]json.RawMessage{}}
	var deliveries []Delivery
	queries := []schema.QueryAppender{
		tx.forUpdate(tx.idb.NewSelect().Model(&deliveries).Column("id", "intake").Where("id IN (?)", bun.List(keys.Deliveries)).Order("id")),
	}
	if !tx.store.isSQLite() { // an incident that is not there cannot be locked
		queries = append(queries, tx.idb.NewRaw("SELECT pg_advisory_xact_lock(hashtextextended(k, 1)) FROM "+
			"(SELECT DISTINCT k FROM unnest(ARRAY[?]::text[]) AS k ORDER BY k) AS keys", bun.List(keys.Groups)))
	}
	open := func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("group_key IN (?)", bun.List(keys.Groups)).Where("status <> ?", IncidentClosed)
	}
	newest := tx.idb.NewSelect().TableExpr("alerts AS n").ColumnExpr("MAX(n.starts_at)").
		Where("n.source = al.source").Where("n.fingerprint = al.fingerprint")
	queries = append(queries,
		tx.forUpdate(open(tx.idb.NewSelect().Model(&st.Incidents)).Order("group_key")),
		tx.idb.NewSelect().Model(&st.Firing).Column("id", "incident_id", "severity").Where("al.status = 'firing'").
			Where("incident_id IN (?)", open(tx.idb.NewSelect().Model((*Incident)(nil)).Column("id"))),
		tx.idb.NewSelect().Model(&st.Alerts).Where("source IN (?)", bun.List(keys.Sources)).Where("fingerprint IN (?)", bun.List(keys.Fingerprints)).
			Where("(al.status = 'firing' OR al.starts_at = (?) OR al.starts_at IN (?))", newest, bun.List(keys.Starts)).
			Order("source", "fingerprint", "starts_at"),
	)
	if err := tx.scan(ctx, queries...); err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		st.Outcomes[d.ID] = d.Intake
	}
	return st, nil
}

// finishedIntake is the part of a delivery that its intake sets.
type finishedIntake struct {
	bun.BaseModel `bun:"table:deliveries"`

	ID       string    `bun:"id,pk"`
	Intake   string    `bun:"intake,type:text"` // as json it would not be kept byte for byte
	IntakeAt time.Time `bun:"intake_at,type:timestamptz"`
}

func (c *IntakeChanges) queries(tx *Tx) (queries []schema.QueryAppender) {
	if len(c.Incidents) > 0 {
		queries = append(queries, tx.idb.NewInsert().Model(&c.Incidents).On("CONFLICT (id) DO UPDATE"))
	}
	if len(c.Alerts) > 0 {
		queries = append(queries, tx.idb.NewInsert().Model(&c.Alerts).On("CONFLICT (id) DO UPDATE"))
	}
	if len(c.Runs) > 0 {
		queries = append(queries, tx.idb.NewInsert().Model(&c.Runs))
	}
	if len(c.Decisions) > 0 {
		queries = append(queries, tx.idb.NewInsert().Model(&c.Decisions))
	}
	if len(c.Outcomes) > 0 {
		intake := bun.Safe("c.intake")
		if !tx.store.isSQLite() { // where the column is text
			intake += "::json"
		}
		var finished []finishedIntake
		for id, outcome := range c.Outcomes {
			finished = append(finished, finishedIntake{ID: id, Intake: string(outcome), IntakeAt: c.At})
		}
		queries = append(queries, tx.idb.NewUpdate().Model((*Delivery)(nil)).With("c", tx.idb.NewValues(&finished)).TableExpr("c").
			Set("intake = ?", intake).Set("intake_at = c.intake_at").Where("dl.id = c.id"))
	}
	return queries
}
