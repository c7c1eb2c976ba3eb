package db

import (
	"context"
	"errors"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"penstock/fault"
)

// Acceptance is a delivery with the runs that it named. Either may be missing.
type Acceptance struct {
	Delivery *Delivery
	Runs     []Run
}

// Accept stores a delivery and its runs; nil means that they are on disk. Several callers share a commit.
// A run whose idempotency key is taken refuses the whole acceptance with [ErrDuplicate].
// When the database does not answer within two seconds the outcome is unknown: fault.Unavailable.
func (s *Store) Accept(ctx context.Context, a Acceptance) error {
	soon, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	err := s.accepts.do(soon, &task{accept: &a})
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		s.unwell.Store(true) // until something is written: the next Ping tries
	}
	if isUnique(err) {
		err = errors.Join(ErrDuplicate, err)
	}
	if errors.Is(err, ErrDuplicate) {
		return fault.Wrap(err, fault.Conflict, "A run with this idempotency key exists.")
	}
	return wrap(err, "accept")
}

// writeAcceptances writes the deliveries and runs of several acceptances. Those with a taken key are left out, and
// so is what an earlier attempt has committed, or is committing still.
func (tx *Tx) writeAcceptances(ts []*task) error {
	if err := tx.refuseDuplicates(ts); err != nil {
		return err
	}
	var deliveries []*Delivery
	var runs []*Run
	for _, t := range ts {
		if t.err != nil {
			continue
		}
		if t.accept.Delivery != nil {
			deliveries = append(deliveries, t.accept.Delivery)
		}
		for i := range t.accept.Runs {
			runs = append(runs, &t.accept.Runs[i])
		}
	}
	var queries []schema.QueryAppender
	if len(deliveries) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&deliveries).On("CONFLICT (id) DO NOTHING"))
	}
	if len(runs) > 0 {
		queries = append(queries, tx.store.write.NewInsert().Model(&runs).On("CONFLICT (id) DO NOTHING"))
	}
	return tx.exec(tx.base, queries...)
}

// refuseDuplicates marks the tasks with a key that is stored or comes twice, so that the rest need not be
// tried one by one. A key that another process takes at the same moment is caught by the unique index.
func (tx *Tx) refuseDuplicates(ts []*task) error {
	type key struct{ DefinitionID, IdempotencyKey string }
	var keys []key
	for _, t := range ts {
		for _, r := range t.accept.Runs {
			if r.IdempotencyKey != "" {
				keys = append(keys, key{r.DefinitionID, r.IdempotencyKey})
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	type taken struct {
		bun.BaseModel  `bun:"table:runs"`
		DefinitionID   string `bun:"definition_id,type:text"`
		IdempotencyKey string `bun:"idempotency_key,type:text"`
	}
	wanted := make([]taken, len(keys))
	for i, k := range keys {
		wanted[i] = taken{DefinitionID: k.DefinitionID, IdempotencyKey: k.IdempotencyKey}
	}
	// A join: (a, b) IN (VALUES …) would make SQLite look at all runs of the definition.
	var stored []Run
	if err := tx.idb.NewSelect().Model(&stored).Column("r.id", "r.definition_id", "r.idempotency_key").With("k", tx.idb.NewValues(&wanted)).
		Join("JOIN k ON k.definition_id = r.definition_id AND k.idempotency_key = r.idempotency_key").Scan(tx.base); err != nil {
		return err
	}
	seen := map[key]string{} // the run that has it
	for _, r := range stored {
		seen[key{r.DefinitionID, r.IdempotencyKey}] = r.ID
	}
	for _, t := range ts {
		t.err = nil
		for _, r := range t.accept.Runs {
			if has := seen[key{r.DefinitionID, r.IdempotencyKey}]; r.IdempotencyKey != "" && has != "" && has != r.ID {
				t.err = ErrDuplicate
			}
		}
		if t.err == nil {
			for _, r := range t.accept.Runs {
				seen[key{r.DefinitionID, r.IdempotencyKey}] = r.ID
			}
		}
	}
	return nil
}
