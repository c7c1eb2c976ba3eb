package db

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// listsAtOnce is how many lists are read with one statement; SQLite takes 500.
const listsAtOnce = 200

// RunsByDefinition returns the first runs of several definitions, like [Store.Runs] for each.
func (s *Store) RunsByDefinition(ctx context.Context, ids []string, first int) (map[string]Connection[Run], error) {
	return s.runLists(ctx, "definition_id", ids, first, func(r *Run) string { return r.DefinitionID })
}

// RunsByIncident returns the first runs of several incidents, like [Store.Runs] for each.
func (s *Store) RunsByIncident(ctx context.Context, ids []string, first int) (map[string]Connection[Run], error) {
	return s.runLists(ctx, "incident_id", ids, first, func(r *Run) string { return r.IncidentID })
}

// RunsByParent returns the first child runs of several runs, like [Store.Runs] for each.
func (s *Store) RunsByParent(ctx context.Context, ids []string, first int) (map[string]Connection[Run], error) {
	return s.runLists(ctx, "parent_run_id", ids, first, func(r *Run) string { return r.ParentRunID })
}

func (s *Store) runLists(ctx context.Context, column string, ids []string, first int, parent func(*Run) string) (map[string]Connection[Run], error) {
	all := func() *bun.SelectQuery { return s.read.NewSelect().Model((*Run)(nil)).ExcludeColumn("payload") }
	return lists(ctx, s, all, column, ids, first, parent, func(r *Run) (time.Time, string) { return r.CreatedAt, r.ID })
}

// AlertListsByIncident returns the first alerts of several incidents, like [Store.Alerts] for each.
func (s *Store) AlertListsByIncident(ctx context.Context, ids []string, first int) (map[string]Connection[Alert], error) {
	all := func() *bun.SelectQuery { return s.read.NewSelect().Model((*Alert)(nil)) }
	return lists(ctx, s, all, "incident_id", ids, first, func(a *Alert) string { return a.IncidentID },
		func(a *Alert) (time.Time, string) { return a.CreatedAt, a.ID })
}

// DecisionsByIncident returns the first decisions of several incidents, like [Store.Decisions] for each.
func (s *Store) DecisionsByIncident(ctx context.Context, ids []string, first int) (map[string]Connection[Decision], error) {
	all := func() *bun.SelectQuery { return s.read.NewSelect().Model((*Decision)(nil)) }
	return lists(ctx, s, all, "incident_id", ids, first, func(d *Decision) string { return d.IncidentID },
		func(d *Decision) (time.Time, string) { return d.CreatedAt, d.ID })
}

// NotificationsByIncident returns the first messages about several incidents, like [Store.Notifications] for each.
func (s *Store) NotificationsByIncident(ctx context.Context, ids []string, first int) (map[string]Connection[NotificationMessage], error) {
	all := func() *bun.SelectQuery { return s.read.NewSelect().Model((*NotificationMessage)(nil)) }
	return lists(ctx, s, all, "incident_id", ids, first, func(m *NotificationMessage) string { return m.IncidentID },
		func(m *NotificationMessage) (time.Time, string) { return m.CreatedAt, m.ID })
}

// VersionsByDefinition returns the first versions of several definitions, like [Store.DefinitionVersions] for each.
func (s *Store) VersionsByDefinition(ctx context.Context, ids []string, first int) (map[string]Connection[PipelineDefinitionVersion], error) {
	all := func() *bun.SelectQuery { return s.read.NewSelect().Model((*PipelineDefinitionVersion)(nil)) }
	return lists(ctx, s, all, "definition_id", ids, first, func(v *PipelineDefinitionVersion) string { return v.DefinitionID },
		func(v *PipelineDefinitionVersion) (time.Time, string) { return v.CreatedAt, v.ID })
}

// lists reads the first items of the lists of several parents, each the newest first, with one statement. Every
// list is a query of its own in it, so that it stops at its limit by the index that a single list uses.
func lists[T any](ctx context.Context, s *Store, all func() *bun.SelectQuery, column string, parents []string, first int, parent func(*T) string, key func(*T) (time.Time, string)) (map[string]Connection[T], error) {
	byParent := make(map[string][]T, len(parents))
	for chunk := range slices.Chunk(parents, listsAtOnce) {
		var parts []string
		var queries []any
		for _, id := range chunk {
			parts = append(parts, "SELECT * FROM (?) AS l")
			queries = append(queries, all().Where("?TableAlias.? = ?", bun.Ident(column), id).
				OrderExpr("?TableAlias.created_at DESC, ?TableAlias.id DESC").Limit(int64(first+1)))
		}
		var items []T
		if err := s.read.NewRaw(strings.Join(parts, " UNION ALL "), queries...).Scan(ctx, &items); err != nil {
			return nil, wrap(err, "list")
		}
		for i := range items {
			id := parent(&items[i])
			byParent[id] = append(byParent[id], items[i])
		}
	}
	out := make(map[string]Connection[T], len(byParent))
	for id, items := range byParent {
		slices.SortFunc(items, func(a, b T) int { // a union need not keep the order
			at, x := key(&a)
			bt, y := key(&b)
			if c := bt.Compare(at); c != 0 {
				return c
			}
			return strings.Compare(y, x)
		})
		c := Connection[T]{Items: items[:min(first, len(items))], HasNext: len(items) > first}
		for i := range c.Items {
			c.Cursors = append(c.Cursors, cursorOf(key(&c.Items[i])))
		}
		out[id] = c
	}
	return out, nil
}

// countBy counts the records of a model for each of several parents.
func (s *Store) countBy(ctx context.Context, model any, column string, parents []string) (map[string]int, error) {
	var rows []struct {
		Parent string
		N      int
	}
	err := s.read.NewSelect().Model(model).ColumnExpr("? AS parent, count(*) AS n", bun.Ident(column)).
		Where("? IN (?)", bun.Ident(column), bun.List(parents)).GroupExpr("?", bun.Ident(column)).Scan(ctx, &rows)
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.Parent] = r.N
	}
	return counts, wrap(err, "count")
}

// CountRunsByDefinition counts the runs of several definitions.
func (s *Store) CountRunsByDefinition(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*Run)(nil), "definition_id", ids)
}

// CountRunsByIncident counts the runs of several incidents.
func (s *Store) CountRunsByIncident(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*Run)(nil), "incident_id", ids)
}

// CountRunsByParent counts the child runs of several runs.
func (s *Store) CountRunsByParent(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*Run)(nil), "parent_run_id", ids)
}

// CountAlertsByIncident counts the alerts of several incidents.
func (s *Store) CountAlertsByIncident(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*Alert)(nil), "incident_id", ids)
}

// CountDecisionsByIncident counts the decisions of several incidents.
func (s *Store) CountDecisionsByIncident(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*Decision)(nil), "incident_id", ids)
}

// CountNotificationsByIncident counts the messages about several incidents.
func (s *Store) CountNotificationsByIncident(ctx context.Context, ids []string) (map[string]int, error) {
	return s.countBy(ctx, (*NotificationMessage)(nil), "incident_id", ids)
}
