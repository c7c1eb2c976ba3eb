package engine

import (
	"context"

	"penstock/db"
	"penstock/drivers/alerts"
)

// Raise implements [Services].
func (s *services) Raise(ctx context.Context, found []alerts.Alert) error {
	batch, err := s.news(ctx, found)
	if err != nil || len(batch.Alerts) == 0 {
		return err
	}
	return s.e.report(ctx, SourceCheck, s.run.ID+"/"+s.nodeID, batch)
}

// news is what of the alerts found is not known yet.
func (s *services) news(ctx context.Context, found []alerts.Alert) (batch alerts.Batch, err error) {
	prints := make([]string, len(found))
	for i, a := range found {
		prints[i] = a.Fingerprint
	}
	firing, err := s.e.store.FiringByFingerprint(ctx, SourceCheck, prints)
	if err != nil {
		return batch, err
	}
	at := now()
	for _, a := range found {
		known := firing[a.Fingerprint]
		if a.Status == alerts.Resolved {
			for _, f := range known {
				a.StartsAt, a.EndsAt, a.Severity = f.StartsAt, &at, alerts.Severity(f.Severity)
				batch.Alerts = append(batch.Alerts, a)
			}
			continue
		}
		a.StartsAt = at
		if len(known) > 0 {
			if known[0].Severity == db.Severity(a.Severity) {
				continue // nothing new
			}
			a.StartsAt = known[0].StartsAt
		}
		batch.Alerts = append(batch.Alerts, a)
	}
	return batch, nil
}
