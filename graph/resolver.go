package graph

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"penstock/auth"
	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/fault"
)

// Resolver answers the fields. Permissions were checked before it is called.
type Resolver struct {
	store    *db.Store
	engine   *engine.Engine
	accounts *auth.Service
	sources  *alerts.Registry
	notify   *notify.Registry
	ai       *ai.Registry
	limits   Limits
}

// caller is who sent the operation; the transports let nobody else in.
func caller(ctx context.Context) auth.Principal {
	p, _ := auth.From(ctx)
	return p
}

// orNil makes "there is none" null, as lookups answer.
func orNil[T any](record *T, err error) (*T, error) {
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return record, err
}

// lasted is the time from start to end, or until now, in milliseconds; nil before the start.
func lasted(start, end time.Time) *int64 {
	if start.IsZero() {
		return nil
	}
	if end.IsZero() {
		end = time.Now()
	}
	return new(max(0, end.Sub(start).Milliseconds()))
}

// selects says whether a field of what is being resolved, of one of these types, was asked for.
func selects(ctx context.Context, field string, types ...string) bool {
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, types), func(f graphql.CollectedField) bool { return f.Name == field })
}

// pointers is for lists: gqlgen passes records by reference.
func pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

func (r *Resolver) runs(ctx context.Context, f db.RunFilter, first *int32, after *string, last *int32, before *string, orderBy *Order) (*RunConnection, error) {
	var err error
	if f.Page, err = r.page(runList, first, after, last, before, orderBy); err != nil {
		return nil, err
	}
	cursor, err := listCursor(ctx)
	if err != nil {
		return nil, err
	}
	f.Columns = runColumns(ctx)
	if f.TraceID == "" && f.IncidentID == "" {
		r.search(&f.Page, f.Search, f.Source, f.Environment, string(f.Trigger), f.DefinitionName)
		if f.Version != 0 {
			f.Within = r.limits.Search
		}
	}
	c, err := r.store.Runs(ctx, f)
	out := connect(runList, f.Page, announceRuns(ctx, c), func(ctx context.Context) (int, error) { return r.store.CountRuns(ctx, f) })
	out.ChangesCursor = cursor
	return out, err
}

// runsBelow is a list of runs of one parent; of is the parent as a filter.
func (r *Resolver) runsBelow(ctx context.Context, p *pages[db.Run], parent string, of db.RunFilter, first *int32, after *string, last *int32, before *string) (*RunConnection, error) {
	cursor, err := listCursor(ctx)
	if err != nil {
		return nil, err
	}
	c, err := p.below(ctx, r, runList, parent, first, after, last, before, func(page db.Page) (db.Connection[db.Run], error) {
		of.Page = page
		c, err := r.store.Runs(ctx, of)
		return announceRuns(ctx, c), err
	})
	if err != nil {
		return nil, err
	}
	c.ChangesCursor = cursor
	return c, nil
}

func (r *Resolver) alerts(ctx context.Context, f db.AlertFilter, first *int32, after *string, last *int32, before *string, orderBy *Order) (*AlertConnection, error) {
	var err error
	if f.Page, err = r.page(alertList, first, after, last, before, orderBy); err != nil {
		return nil, err
	}
	if f.IncidentID == "" {
		r.search(&f.Page, f.Search, f.Source, string(f.Severity), strings.TrimPrefix(f.Status, "firing"))
	}
	c, err := r.store.Alerts(ctx, f)
	return connect(alertList, f.Page, announceAlerts(ctx, c), func(ctx context.Context) (int, error) { return r.store.CountAlerts(ctx, f) }), err
}

func (r *Resolver) decisions(ctx context.Context, f db.DecisionFilter, first *int32, after *string, last *int32, before *string, orderBy *Order) (*DecisionConnection, error) {
	var err error
	if f.Page, err = r.page(decisionList, first, after, last, before, orderBy); err != nil {
		return nil, err
	}
	c, err := r.store.Decisions(ctx, f)
	loadersOf(ctx).announceDecisions(c.Items)
	return connect(decisionList, f.Page, c, func(ctx context.Context) (int, error) { return r.store.CountDecisions(ctx, f) }), err
}

// storedConfig is what validatePipelineDefinition checks when there is no draft.
func (r *Resolver) storedConfig(ctx context.Context, name string) (json.RawMessage, error) {
	if name == "" {
		f := fault.New(fault.Invalid, "Give config, the document to check, or name, a stored definition.")
		f.Fields = map[string]string{"config": "is missing"}
		return nil, f
	}
	def, err := r.store.Definition(ctx, name)
	if err != nil {
		return nil, err
	}
	return def.Config, nil
}
