package graph

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

// RunUpdate: see the schema.
type RunUpdate struct {
	change
	RunID  *string
	Status *db.RunStatus
	Run    *db.Run
}

// IncidentUpdate: see the schema.
type IncidentUpdate struct {
	change
	Status   *db.IncidentStatus
	Incident *db.Incident
}

// change is what both have.
type change struct {
	Cursor         string
	At             time.Time
	ResyncRequired bool
	ID             *string
}

const changesPrefix = "w."

func changesCursor(p db.Position) string {
	return changesPrefix + base64.RawURLEncoding.EncodeToString([]byte(p.String()))
}

func openChangesCursor(cursor string) (db.Position, error) {
	inner, ok := strings.CutPrefix(cursor, changesPrefix)
	text, err := base64.RawURLEncoding.DecodeString(inner)
	p, parseErr := db.ParsePosition(string(text))
	if !ok || err != nil || parseErr != nil {
		return p, fault.New(fault.Invalid, "`after` is not a cursor of such a stream. Leave it out to start with what happens from now on.")
	}
	return p, nil
}

// listCursor is where the changes begin that a list does not show yet; "" unless the field changesCursor
// is selected. It is called before the list is read.
func listCursor(ctx context.Context) (string, error) {
	if !selects(ctx, "changesCursor", "PipelineRunConnection", "IncidentConnection") {
		return "", nil
	}
	p, err := loadersOf(ctx).lastChange()
	return changesCursor(p), err
}

// changesFrom is where a subscriber with this cursor goes on.
func (r *Resolver) changesFrom(ctx context.Context, after *string) (db.Position, error) {
	if after == nil {
		return r.store.LastChange(ctx)
	}
	return openChangesCursor(*after)
}

// followChanges passes the changes on that pick takes. Its last event says where to go on from if it cannot:
// the subscriber left the queue full for longer than patience, or the changes cannot be read.
func followChanges[T any](ctx context.Context, from db.Position, changes iter.Seq2[engine.RecordChange, error], pick func(change, engine.RecordChange) *T, patience time.Duration) <-chan *T {
	out := make(chan *T, eventQueue)
	go func() { // ends with ctx, which the transport cancels when the operation ends
		defer close(out)
		for c, err := range changes {
			if err == nil {
				event := pick(change{Cursor: changesCursor(c.At), At: time.Now()}, c)
				if event == nil || pass(ctx, out, event, patience) {
					from = c.At
					continue
				}
			} else if errors.Is(err, db.ErrChangesGone) {
				from = c.At
			}
			select {
			case out <- pick(change{Cursor: changesCursor(from), At: time.Now(), ResyncRequired: true}, engine.RecordChange{}):
			case <-ctx.Done():
			}
			return
		}
	}()
	return out
}

// pass puts an event into the queue of a subscriber; false if it was full for too long or ctx has ended.
func pass[T any](ctx context.Context, out chan<- T, event T, patience time.Duration) bool {
	select {
	case out <- event:
		return true
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case out <- event:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func runChanges(f db.RunFilter) func(change, engine.RecordChange) *RunUpdate {
	return func(c change, found engine.RecordChange) *RunUpdate {
		switch run := found.Run; {
		case c.ResyncRequired:
			return &RunUpdate{change: c}
		case run == nil || !f.Matches(run):
			return nil
		default:
			c.ID = new(runNode.id(run.ID))
			return &RunUpdate{c, &run.ID, &run.Status, run}
		}
	}
}

func incidentChanges(f db.IncidentFilter) func(change, engine.RecordChange) *IncidentUpdate {
	return func(c change, found engine.RecordChange) *IncidentUpdate {
		switch inc := found.Incident; {
		case c.ResyncRequired:
			return &IncidentUpdate{change: c}
		case inc == nil || !f.Matches(inc):
			return nil
		default:
			c.ID = new(incidentNode.id(inc.ID))
			return &IncidentUpdate{c, &inc.Status, inc}
		}
	}
}

func runFilter(filter *PipelineRunFilter) db.RunFilter {
	if filter == nil {
		return db.RunFilter{}
	}
	return db.RunFilter{
		Status: distinct(filter.Status.Value()), Source: given(filter.Source), Environment: given(filter.Environment),
		DefinitionName: given(filter.Definition), Version: int(given(filter.DefinitionVersion)), IncidentID: incidentNode.key(given(filter.IncidentID)),
		Trigger: given(filter.Trigger), TraceID: given(filter.TraceID),
		CreatedAfter: given(filter.CreatedAfter), CreatedBefore: given(filter.CreatedBefore), Search: given(filter.Search),
	}
}

// distinct leaves out what a list says again.
func distinct[T cmp.Ordered](list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }

func incidentFilter(filter *IncidentFilter) db.IncidentFilter {
	if filter == nil {
		return db.IncidentFilter{}
	}
	return db.IncidentFilter{
		Status: distinct(filter.Status.Value()), Severity: given(filter.Severity), Host: given(filter.Host),
		AlertName: given(filter.AlertName), Search: given(filter.Search),
	}
}
