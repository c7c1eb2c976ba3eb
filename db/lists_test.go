package db_test

import (
	"reflect"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

// TestListsOfManyParents compares lists that are read together with those that are read alone.
func TestListsOfManyParents(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var runs []db.Run
		parents := []string{"none"}
		for _, parent := range []string{"a", "b", "it's"} {
			parents = append(parents, parent)
			for i := range 5 {
				r := newRun()
				r.DefinitionID, r.IncidentID, r.ParentRunID, r.CreatedAt = parent, parent, parent, at.Add(time.Duration(i/2)*time.Second)
				runs = append(runs, r)
			}
		}
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: runs}))
		for name, c := range map[string]struct {
			together map[string]db.Connection[db.Run]
			counts   map[string]int
			alone    func(string) db.RunFilter
		}{
			"definitions": {value(s.RunsByDefinition(t.Context(), parents, 3))(t), value(s.CountRunsByDefinition(t.Context(), parents))(t),
				func(id string) db.RunFilter { return db.RunFilter{DefinitionID: id} }},
			"incidents": {value(s.RunsByIncident(t.Context(), parents, 3))(t), value(s.CountRunsByIncident(t.Context(), parents))(t),
				func(id string) db.RunFilter { return db.RunFilter{IncidentID: id} }},
			"runs": {value(s.RunsByParent(t.Context(), parents, 3))(t), value(s.CountRunsByParent(t.Context(), parents))(t),
				func(id string) db.RunFilter { return db.RunFilter{ParentRunID: id} }},
		} {
			for _, id := range parents {
				f := c.alone(id)
				f.Page = db.Page{First: 3}
				alone := value(s.Runs(t.Context(), f))(t)
				together := c.together[id]
				if len(together.Items) != len(alone.Items) || len(alone.Items) > 0 && !reflect.DeepEqual(together, alone) {
					t.Errorf("%s of %s: together %+v, alone %+v", name, id, together, alone)
				}
				if want := map[bool]int{true: 0, false: 5}[id == "none"]; c.counts[id] != want {
					t.Errorf("%s of %s: counted %d", name, id, c.counts[id])
				}
			}
		}
	})
}
