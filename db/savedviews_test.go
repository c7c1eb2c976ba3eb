package db_test

import (
	"fmt"
	"testing"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func TestSavedViews(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		save := func(owner, list, name, query string) error {
			return s.SaveView(ctx, db.SavedView{Owner: owner, List: list, Name: name, Query: query, CreatedAt: at})
		}
		must(t, save("ada", "runs", "b", "status=failed"))
		must(t, save("ada", "runs", "a", "status=partial"))
		must(t, save("ada", "incidents", "a", "severity=critical"))
		must(t, save("bob", "runs", "a", "q=x"))
		must(t, save("ada", "runs", "b", "status=cancelled"))
		views, err := s.SavedViews(ctx, "ada", "runs")
		if err != nil || len(views) != 2 || views[0].Name != "a" || views[1].Query != "status=cancelled" {
			t.Fatalf("%+v, %v", views, err)
		}
		if err := s.DeleteView(ctx, "bob", views[0].ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's view was deleted: %v", err)
		}
		must(t, s.DeleteView(ctx, "ada", views[0].ID))
		for i := range 29 {
			must(t, save("ada", "runs", fmt.Sprint("view ", i), "q=1"))
		}
		if err := save("ada", "runs", "one more", "q=1"); !fault.Is(err, fault.Conflict) {
			t.Errorf("a view too many: %v", err)
		}
		must(t, save("ada", "runs", "b", "q=2"))
	})
}
