package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// SavedView is the filters of a list under a name that one user gave them.
type SavedView struct {
	bun.BaseModel `bun:"table:saved_views,alias:sv"`

	ID        string    `bun:"id,pk"`
	Owner     string    `bun:"owner"` // name of the user
	List      string    `bun:"list"`  // incidents or runs
	Name      string    `bun:"name"`
	Query     string    `bun:"query"` // of the list's address
	CreatedAt time.Time `bun:"created_at"`
}

// mostViews is how many views of a list a user can keep.
const mostViews = 30

// SavedViews returns a user's views of a list by name.
func (s *Store) SavedViews(ctx context.Context, owner, list string) ([]SavedView, error) {
	var all []SavedView
	err := s.read.NewSelect().Model(&all).Where("owner = ?", owner).Where("list = ?", list).Order("name").Scan(ctx)
	return all, wrap(err, "read saved views")
}

// SaveView keeps a view; one of the same name has its filters from then on.
func (s *Store) SaveView(ctx context.Context, v SavedView) error {
	v.ID = newID()
	return s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		others, err := tx.idb.NewSelect().Model((*SavedView)(nil)).Where("owner = ?", v.Owner).Where("list = ?", v.List).Where("name <> ?", v.Name).Count(ctx)
		if err != nil {
			return wrap(err, "count saved views")
		}
		if others >= mostViews {
			return fault.New(fault.Conflict, "You have %d views of this list. Forget one first.", mostViews)
		}
		_, err = tx.idb.NewInsert().Model(&v).On("CONFLICT (owner, list, name) DO UPDATE").Set("query = EXCLUDED.query").Exec(ctx)
		return wrap(err, "save view")
	})
}

// DeleteView forgets a view of a user.
func (s *Store) DeleteView(ctx context.Context, owner, id string) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewDelete().Model((*SavedView)(nil)).Where("owner = ?", owner).Where("id = ?", id).Exec(tx.ctx(ctx))
		return affected(res, err, "delete saved view", "There is no view %s.", id)
	})
}
