package engine

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/db"
	"penstock/fault"
)

// AcknowledgeIncident notes that a person is on it. Acknowledging twice keeps the first.
func (e *Engine) AcknowledgeIncident(ctx context.Context, id, actor string) (*db.Incident, error) {
	return e.act(ctx, id, db.ActionAcknowledged, actor, func(inc *db.Incident) error {
		if inc.Status != db.IncidentOpen {
			return fault.New(fault.Conflict, "The incident is %s; only an open one can be acknowledged.", inc.Status)
		}
		inc.Status, inc.AcknowledgedAt, inc.AcknowledgedBy = db.IncidentAcknowledged, now(), actor
		return nil
	})
}

// ResolveIncident ends an incident by hand. It reopens when a new alert of it fires.
func (e *Engine) ResolveIncident(ctx context.Context, id, actor string) (*db.Incident, error) {
	return e.act(ctx, id, db.ActionResolved, actor, func(inc *db.Incident) error {
		if inc.Status == db.IncidentClosed {
			return fault.New(fault.Conflict, "The incident is closed.")
		}
		inc.Status, inc.ResolvedAt = db.IncidentResolved, now()
		inc.Revision++
		return nil
	})
}

// CloseIncident ends an incident for good: an alert of it that fires again opens another one.
func (e *Engine) CloseIncident(ctx context.Context, id, actor string) (*db.Incident, error) {
	return e.act(ctx, id, db.ActionClosed, actor, func(inc *db.Incident) error {
		if inc.ResolvedAt.IsZero() {
			inc.ResolvedAt = now()
		}
		inc.Status, inc.ClosedAt = db.IncidentClosed, now()
		inc.Revision++
		return nil
	})
}

// ReopenIncident takes back that an incident was over. fault.Conflict if there is another one of the same problem.
func (e *Engine) ReopenIncident(ctx context.Context, id, actor string) (*db.Incident, error) {
	return e.act(ctx, id, db.ActionReopened, actor, func(inc *db.Incident) error {
		if inc.Status == db.IncidentAcknowledged {
			return fault.New(fault.Conflict, "The incident is acknowledged; only a resolved or closed one can be reopened.")
		}
		inc.Status, inc.StartedAt = db.IncidentOpen, now()
		inc.AcknowledgedAt, inc.AcknowledgedBy, inc.ResolvedAt, inc.ClosedAt = time.Time{}, "", time.Time{}, time.Time{}
		inc.Occurrence++
		inc.Revision++
		return nil
	})
}

// noteLimit is how many characters a note may have, or the reason of a cancel.
const noteLimit = 10_000

// NoteIncident adds what a person says to an incident.
func (e *Engine) NoteIncident(ctx context.Context, id, text, actor string) (*db.Incident, error) {
	text = strings.TrimSpace(text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return nil, fault.About("text", fault.New(fault.Invalid, "The note is empty."))
	case n > noteLimit:
		return nil, fault.About("text", fault.New(fault.Invalid, "The note has %d characters; %d are allowed.", n, noteLimit))
	}
	return e.updateIncident(ctx, id, func(*db.Incident) (*db.IncidentAction, error) {
		return &db.IncidentAction{Kind: db.ActionNote, Actor: actor, Text: text, CreatedAt: now()}, nil
	})
}

// act changes the state of an incident, unless it has that state already.
func (e *Engine) act(ctx context.Context, id string, kind db.IncidentActionKind, actor string, change func(*db.Incident) error) (*db.Incident, error) {
	return e.updateIncident(ctx, id, func(inc *db.Incident) (*db.IncidentAction, error) {
		if string(inc.Status) == string(kind) || kind == db.ActionReopened && inc.Status == db.IncidentOpen {
			return nil, nil
		}
		if err := change(inc); err != nil {
			return nil, err
		}
		inc.UpdatedAt = now()
		return &db.IncidentAction{Kind: kind, Actor: actor, CreatedAt: inc.UpdatedAt}, nil
	})
}

func (e *Engine) updateIncident(ctx context.Context, id string, change func(*db.Incident) (*db.IncidentAction, error)) (*db.Incident, error) {
	inc, err := e.store.UpdateIncident(ctx, id, change)
	if err == nil {
		e.incidentChanged(ctx)
	}
	return inc, err
}
