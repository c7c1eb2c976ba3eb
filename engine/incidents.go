package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/engine/definition"
)

// intakeState is what the deliveries of one transaction meet and change.
type intakeState struct {
	incidents map[string]*db.Incident           // by group key, not closed
	firing    map[string]map[string]db.Severity // alerts that fire, by incident and alert id
	known     map[string][]*db.Alert            // by source and fingerprint
	changed   map[string]*db.Incident           // by id, to be saved
	saved     map[string]*db.Alert              // by id, to be saved
}

// intakeKeys are what the deliveries are about.
func intakeKeys(jobs []*intakeJob) (keys db.IntakeKeys) {
	for _, j := range jobs {
		keys.Deliveries = append(keys.Deliveries, j.delivery)
		keys.Sources = append(keys.Sources, j.parsed.source)
		for i := range j.parsed.batch.Alerts {
			a := &j.parsed.batch.Alerts[i]
			keys.Starts = append(keys.Starts, a.StartsAt)
			keys.Groups = append(keys.Groups, groupKey(a))
			keys.Fingerprints = append(keys.Fingerprints, a.Fingerprint)
		}
	}
	keys.Sources, keys.Groups, keys.Fingerprints = unique(keys.Sources), unique(keys.Groups), unique(keys.Fingerprints)
	return keys
}

func newIntakeState(met *db.IntakeState) *intakeState {
	st := &intakeState{
		incidents: map[string]*db.Incident{}, firing: map[string]map[string]db.Severity{}, known: map[string][]*db.Alert{},
		changed: map[string]*db.Incident{}, saved: map[string]*db.Alert{},
	}
	for i := range met.Incidents {
		st.incidents[met.Incidents[i].GroupKey] = &met.Incidents[i]
	}
	for _, a := range met.Firing {
		if st.firing[a.IncidentID] == nil {
			st.firing[a.IncidentID] = map[string]db.Severity{}
		}
		st.firing[a.IncidentID][a.ID] = a.Severity
	}
	for i := range met.Alerts {
		a := &met.Alerts[i]
		key := a.Source + "/" + a.Fingerprint
		st.known[key] = append(st.known[key], a)
	}
	return st
}

// toSave is what has changed, in the order of the ids.
func (st *intakeState) toSave() (incidents []db.Incident, saved []db.Alert) {
	for _, id := range slices.Sorted(maps.Keys(st.changed)) {
		incidents = append(incidents, *st.changed[id])
	}
	for _, id := range slices.Sorted(maps.Keys(st.saved)) {
		saved = append(saved, *st.saved[id])
	}
	return incidents, saved
}

// apply brings alerts and incidents up to what the delivery says.
func (o *intakeOutcome) apply(st *intakeState, deliveryID string, p *parsed, now time.Time, publicURL string) error {
	batch := p.batch.Alerts
	o.Notes = append(o.Notes, p.batch.Notes...)
	groups := map[string]*group{}
	var order []string
	for i := range batch {
		a := &batch[i]
		key := groupKey(a)
		g := groups[key]
		if g == nil {
			g = &group{incident: st.incidents[key], firing: map[string]db.Severity{}}
			if g.incident != nil {
				maps.Copy(g.firing, st.firing[g.incident.ID])
				g.was = len(g.firing)
			}
			groups[key] = g
			order = append(order, key)
		}
		g.alerts = append(g.alerts, i)
		rec := o.match(st, a, p.source, deliveryID, p.heard, now)
		g.records = append(g.records, rec)
		if rec.Status == string(alerts.Firing) {
			g.firing[rec.ID] = rec.Severity
		} else {
			delete(g.firing, rec.ID)
		}
		// An older occurrence of the same alert whose resolve got lost ends where this one begins.
		for _, old := range st.known[p.source+"/"+rec.Fingerprint] {
			if rec.Status == string(alerts.Firing) && old.ID != rec.ID && old.Status == string(alerts.Firing) && old.StartsAt.Before(rec.StartsAt) {
				old.Status, old.EndsAt, old.UpdatedAt = string(alerts.Resolved), rec.StartsAt, now
				st.saved[old.ID] = old
				delete(g.firing, old.ID)
			}
		}
	}
	for _, key := range order {
		g := groups[key]
		kind := g.settle(key, batch, p.source, now)
		if g.incident == nil {
			for _, rec := range g.records {
				o.unknown = append(o.unknown, rec.ID)
			}
			continue // resolved alerts of a problem nobody knows
		}
		st.incidents[key], st.firing[g.incident.ID], st.changed[g.incident.ID] = g.incident, g.firing, g.incident
		for _, rec := range g.records {
			rec.IncidentID = g.incident.ID
		}
		switch kind {
		case definition.ChangeCreated:
			o.Opened++
		case definition.ChangeRepeated:
		default:
			o.Touched++
		}
		ids := map[int]string{}
		for k, i := range g.alerts {
			ids[i] = g.records[k].ID
		}
		slices.SortStableFunc(g.alerts, func(a, b int) int { return severityOf(&batch[b]).Rank() - severityOf(&batch[a]).Rank() })
		snapshot, err := json.Marshal(incidentData(g.incident, publicURL))
		if err != nil {
			return err
		}
		sorted := make([]string, len(g.alerts))
		for k, i := range g.alerts {
			sorted[k] = ids[i]
		}
		o.Incidents = append(o.Incidents, incidentChange{
			alertIDs: sorted, started: g.incident.StartedAt,
			ID: g.incident.ID, Kind: kind, Revision: g.incident.Revision, Severity: g.incident.Severity,
			Alerts: g.alerts, Incident: snapshot,
		})
	}
	slices.SortStableFunc(o.Incidents, func(a, b incidentChange) int {
		return cmp.Or(boolRank(b.changed())-boolRank(a.changed()), b.Severity.Rank()-a.Severity.Rank(),
			boolRank(b.Kind != definition.ChangeResolved)-boolRank(a.Kind != definition.ChangeResolved))
	})
	return nil
}

// match finds the stored occurrence of an alert, or makes one, and brings it up to date.
func (o *intakeOutcome) match(st *intakeState, a *alerts.Alert, source, deliveryID string, heard, now time.Time) *db.Alert {
	key := source + "/" + a.Fingerprint
	rec, newer := find(st.known[key], a)
	if rec == nil {
		rec = &db.Alert{ID: newID(), Source: source, Fingerprint: a.Fingerprint, StartsAt: started(a, now), CreatedAt: now}
		st.known[key] = append(st.known[key], rec)
		o.Created++
		if a.Status == alerts.Resolved {
			o.Resolved++
		}
		describe(rec, a, deliveryID, now)
	} else if heard.Before(rec.HeardAt) { // a later delivery has spoken already
		o.Updated++
		rec.Repeats++
		st.saved[rec.ID] = rec
		return rec
	} else {
		before := *rec
		describe(rec, a, deliveryID, now)
		if before.Status != rec.Status && rec.Status == string(alerts.Resolved) {
			o.Resolved++
		} else {
			o.Updated++
		}
		if before.Status == rec.Status && before.Severity == rec.Severity {
			rec.Repeats++
		}
	}
	if newer != nil && rec.Status == string(alerts.Firing) {
		// News of an occurrence that a later one has followed: it is over, whatever this old message says.
		rec.Status, rec.EndsAt = string(alerts.Resolved), newer.StartsAt
	}
	rec.HeardAt = heard
	st.saved[rec.ID] = rec
	return rec
}

// find returns the stored occurrence that an alert means, nil if there is none, and one that began
// later, if there is one.
func find(known []*db.Alert, a *alerts.Alert) (rec, newer *db.Alert) {
	for _, old := range known {
		switch {
		case old.StartsAt.Equal(a.StartsAt):
			rec = old
		case !a.StartsAt.IsZero() && old.StartsAt.After(a.StartsAt):
			newer = old
		case rec == nil && old.Status == string(alerts.Firing) && (a.StartsAt.IsZero() || a.Status == alerts.Resolved):
			// A source that gives no start means the occurrence that fires. A resolve whose own start nobody
			// has seen ends what began before it.
			rec = old
		}
	}
	return rec, newer
}

// describe copies what the source says now.
func describe(rec *db.Alert, a *alerts.Alert, deliveryID string, now time.Time) {
	rec.Name, rec.Host, rec.Status = a.Name, a.Host, string(a.Status)
	rec.Severity, rec.SeverityText = severityOf(a), a.SeverityText
	rec.Summary, rec.Description = a.Summary, a.Description
	rec.Labels, rec.Annotations, rec.URL = a.Labels, a.Annotations, a.URL
	rec.Links = nil
	if len(a.Links) > 0 {
		rec.Links, _ = json.Marshal(a.Links) // strings only: cannot fail
	}
	rec.DeliveryID, rec.UpdatedAt, rec.EndsAt = deliveryID, now, time.Time{}
	if a.Status == alerts.Resolved {
		rec.EndsAt = now
		if a.EndsAt != nil {
			rec.EndsAt = *a.EndsAt
		}
	}
}

// group is the alerts of one delivery that belong to one incident.
type group struct {
	incident *db.Incident
	alerts   []int // indexes into the batch
	records  []*db.Alert
	firing   map[string]db.Severity // alerts of the incident that fire after the delivery, by id
	was      int                    // how many fired before
}

// settle brings the incident up to its alerts and says what changed.
func (g *group) settle(key string, batch []alerts.Alert, source string, now time.Time) string {
	lead := &batch[g.alerts[0]]
	for _, i := range g.alerts {
		if severityOf(&batch[i]).Rank() > severityOf(lead).Rank() {
			lead = &batch[i]
		}
	}
	severity := db.SeverityInfo
	for _, s := range g.firing {
		if s.Rank() > severity.Rank() {
			severity = s
		}
	}
	inc, kind := g.incident, definition.ChangeRepeated
	switch {
	case inc == nil && len(g.firing) == 0:
		return kind
	case inc == nil:
		kind = definition.ChangeCreated
		inc = &db.Incident{
			ID: newID(), GroupKey: key, AlertName: lead.Name, Host: lead.Host, Source: source,
			Status: db.IncidentOpen, Occurrence: 1, StartedAt: started(lead, now), CreatedAt: now,
		}
		g.incident = inc
	case inc.Status == db.IncidentResolved && len(g.firing) > 0:
		if g.was == len(g.firing) && !g.anyNew(now) {
			break // a person resolved it while it still fires: the same alert again is no news
		}
		kind = definition.ChangeReopened
		inc.Status, inc.Occurrence, inc.StartedAt = db.IncidentOpen, inc.Occurrence+1, started(lead, now)
		inc.AcknowledgedAt, inc.AcknowledgedBy, inc.ResolvedAt = time.Time{}, "", time.Time{}
	case inc.Status != db.IncidentResolved && len(g.firing) == 0:
		kind = definition.ChangeResolved
		inc.Status, inc.ResolvedAt = db.IncidentResolved, now
	case len(g.firing) > 0 && severity != inc.Severity && inc.Status != db.IncidentResolved:
		kind = definition.ChangeSeverity
	}
	if len(g.firing) > 0 && inc.Status != db.IncidentResolved {
		inc.Severity = severity
		inc.Title, inc.Summary = title(lead), lead.Summary
	}
	for _, rec := range g.records {
		if rec.CreatedAt.Equal(now) {
			inc.AlertCount++
		}
	}
	inc.FiringCount, inc.UpdatedAt = len(g.firing), now
	if kind != definition.ChangeRepeated {
		inc.Revision++
	}
	return kind
}

// anyNew reports whether the delivery brought an occurrence that was not known or not firing.
func (g *group) anyNew(now time.Time) bool {
	return slices.ContainsFunc(g.records, func(r *db.Alert) bool { return r.CreatedAt.Equal(now) })
}

func title(a *alerts.Alert) string {
	if a.Host != "" {
		return a.Name + " on " + a.Host
	}
	return a.Name
}

func started(a *alerts.Alert, now time.Time) time.Time {
	if a.StartsAt.IsZero() {
		return now
	}
	return a.StartsAt
}

func severityOf(a *alerts.Alert) db.Severity { return db.Severity(a.Severity) }

// groupKey identifies a problem: the alert's name and the host it is about.
func groupKey(a *alerts.Alert) string {
	sum := sha256.Sum256([]byte(a.Name + "\x00" + strings.ToLower(a.Host)))
	return hex.EncodeToString(sum[:16])
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}
