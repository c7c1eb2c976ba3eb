package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/fault"
)

// Changes of an incident that are material.
const (
	ChangeCreated  = "created"
	ChangeSeverity = "severity_changed"
	ChangeResolved = "resolved"
	ChangeReopened = "reopened"
	ChangeRepeated = "repeated" // nothing material changed
)

// intakeOutcome is what a delivery did, kept with it: the intake runs once, and every run of the
// delivery sees the same.
type intakeOutcome struct {
	Source    string           `json:"source"`
	Created   int              `json:"alerts_created"`
	Updated   int              `json:"alerts_updated"`
	Resolved  int              `json:"alerts_resolved"`
	Opened    int              `json:"incidents_created"`
	Touched   int              `json:"incidents_updated"`
	Incidents []incidentChange `json:"incidents"` // changed ones first, then by severity
	Notes     []string         `json:"notes,omitempty"`
}

type incidentChange struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Revision int             `json:"revision"`
	Severity db.Severity     `json:"severity"`
	Alerts   []int           `json:"alerts"` // indexes into the batch, most severe first
	Incident json.RawMessage `json:"incident"`
}

func (c incidentChange) changed() bool { return c.Kind != ChangeRepeated }

// of is the outcome as one run sees it: the run's own incident if it has one, else the first.
func (o *intakeOutcome) of(incidentID string, p *parsed) IntakeResult {
	r := IntakeResult{
		Source: o.Source, AlertsCreated: o.Created, AlertsUpdated: o.Updated, AlertsResolved: o.Resolved,
		IncidentsCreated: o.Opened, IncidentsUpdated: o.Touched, Notes: o.Notes,
	}
	for _, c := range o.Incidents {
		r.IncidentIDs = append(r.IncidentIDs, c.ID)
	}
	if len(o.Incidents) == 0 {
		return r
	}
	c := o.Incidents[0]
	if i := slices.IndexFunc(o.Incidents, func(c incidentChange) bool { return c.ID == incidentID }); i >= 0 {
		c = o.Incidents[i]
	}
	r.IncidentID, r.Severity, r.Changed, r.Incident = c.ID, c.Severity, c.changed(), plainObject(c.Incident)
	if c.changed() {
		r.Change = fmt.Sprintf("%s@%d", c.ID, c.Revision)
	}
	for _, i := range c.Alerts {
		if i < len(p.batch.Alerts) {
			r.Alerts = append(r.Alerts, batchAlertData(p.source, &p.batch.Alerts[i]))
		}
	}
	if len(c.Alerts) > 0 {
		r.AlertFingerprint = p.batch.Alerts[c.Alerts[0]].Fingerprint
	}
	return r
}

// intakeJob is one delivery on its way in.
type intakeJob struct {
	run      *db.Run
	plan     *plan
	delivery string
	parsed   *parsed

	out      intakeOutcome
	children []db.Run
	err      error
	done     chan struct{}
}

// takeIn is the intake of one delivery: alerts, incidents, and a child run for every further
// incident that changed. It is done once, however often it is called. Deliveries that come at the same
// time share a transaction.
func (e *Engine) takeIn(ctx context.Context, run *db.Run, plan *plan, deliveryID string, p *parsed) (*intakeOutcome, error) {
	j := &intakeJob{run: run, plan: plan, delivery: deliveryID, parsed: p, done: make(chan struct{})}
	select {
	case e.intakes <- j:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if j.err != nil {
		return nil, fmt.Errorf("take in delivery %s: %w", deliveryID, j.err)
	}
	return &j.out, nil
}

const intakeBatch = 64

// takeAllIn works the intakes: what gathered while the previous transaction was under way is the next one.
func (e *Engine) takeAllIn(ctx context.Context) {
	for {
		var batch []*intakeJob
		select {
		case <-ctx.Done():
			return
		case j := <-e.intakes:
			batch = append(batch, j)
		}
		for more := true; more && len(batch) < intakeBatch; {
			select {
			case j := <-e.intakes:
				batch = append(batch, j)
			default:
				more = false
			}
		}
		err := e.takeBatchIn(ctx, batch)
		for _, j := range batch {
			// One bad delivery must not refuse the others; a store that is away refuses all.
			if j.err = err; err != nil && len(batch) > 1 && !fault.Is(err, fault.Unavailable) {
				j.err = e.takeBatchIn(ctx, []*intakeJob{j})
			}
			if fault.Is(j.err, fault.Unavailable) {
				j.err = fault.Retry(j.err, 0)
			}
			if j.err == nil {
				e.startSoon(j.children...)
			}
			close(j.done)
		}
	}
}

func (e *Engine) takeBatchIn(ctx context.Context, batch []*intakeJob) error {
	return e.store.InTx(ctx, func(tx *db.Tx) error {
		ids := make([]string, len(batch))
		for i, j := range batch {
			ids[i] = j.delivery
		}
		earlier, err := tx.LockIntakes(ctx, ids)
		if err != nil {
			return err
		}
		now := now()
		var fresh []*intakeJob
		for _, j := range batch {
			raw, known := earlier[j.delivery]
			switch {
			case !known:
				return fault.New(fault.NotFound, "There is no delivery %s.", j.delivery)
			case len(raw) > 0:
				if err := json.Unmarshal(raw, &j.out); err != nil {
					return err
				}
			default:
				fresh = append(fresh, j)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		state, err := readIntakeState(ctx, tx, fresh)
		if err != nil {
			return err
		}
		outcomes := map[string]json.RawMessage{}
		var children []db.Run
		for _, j := range fresh {
			if raw, twice := outcomes[j.delivery]; twice { // two nodes take the same delivery in
				if err := json.Unmarshal(raw, &j.out); err != nil {
					return err
				}
				continue
			}
			j.out, j.children = intakeOutcome{Source: j.parsed.source}, nil
			if err := j.out.apply(state, j.delivery, j.parsed, now, e.o.PublicURL); err != nil {
				return err
			}
			j.children = childRuns(j.run, j.plan, &j.out, now)
			children = append(children, j.children...)
			if outcomes[j.delivery], err = json.Marshal(j.out); err != nil {
				return err
			}
		}
		if err := state.save(ctx, tx); err != nil {
			return err
		}
		if err := tx.AddRuns(ctx, children); err != nil {
			return err
		}
		return tx.FinishIntakes(ctx, outcomes, now)
	})
}

// childRuns are the runs for the further incidents of a delivery: the run itself works the first.
func childRuns(run *db.Run, plan *plan, out *intakeOutcome, now time.Time) []db.Run {
	if run.ParentRunID != "" || len(out.Incidents) < 2 {
		return nil
	}
	always := ingestConfig(plan).OnRepeat == "continue"
	var runs []db.Run
	for _, c := range out.Incidents[1:] {
		if !c.changed() && !always {
			continue
		}
		child := *run
		child.ID, child.ParentRunID, child.IncidentID = newID(), run.ID, c.ID
		child.Status, child.Epoch, child.CreatedAt = db.RunPending, 1, now
		child.StartedAt, child.FinishedAt, child.IdempotencyKey, child.Change = time.Time{}, time.Time{}, "", ""
		if c.changed() {
			child.Change = fmt.Sprintf("%s@%d", c.ID, c.Revision)
		}
		runs = append(runs, child)
	}
	return runs
}

// intakeState is what the deliveries of one transaction meet and change.
type intakeState struct {
	incidents map[string]*db.Incident           // by group key, not closed
	firing    map[string]map[string]db.Severity // alerts that fire, by incident and alert id
	known     map[string][]*db.Alert            // by source and fingerprint
	changed   map[string]*db.Incident           // by id, to be saved
	saved     map[string]*db.Alert              // by id, to be saved
}

// readIntakeState reads and locks. Incidents first: their lock keeps two deliveries about the same
// problem apart, in whichever process they are.
func readIntakeState(ctx context.Context, tx *db.Tx, jobs []*intakeJob) (*intakeState, error) {
	st := &intakeState{
		incidents: map[string]*db.Incident{}, firing: map[string]map[string]db.Severity{}, known: map[string][]*db.Alert{},
		changed: map[string]*db.Incident{}, saved: map[string]*db.Alert{},
	}
	var groups []string
	fingerprints := map[string][]string{}
	for _, j := range jobs {
		for i := range j.parsed.batch.Alerts {
			a := &j.parsed.batch.Alerts[i]
			groups = append(groups, groupKey(a))
			fingerprints[j.parsed.source] = append(fingerprints[j.parsed.source], a.Fingerprint)
		}
	}
	incidents, err := tx.IncidentsByGroup(ctx, unique(groups))
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range incidents {
		st.incidents[incidents[i].GroupKey] = &incidents[i]
		ids = append(ids, incidents[i].ID)
	}
	if len(ids) > 0 {
		firing, err := tx.FiringByIncident(ctx, ids)
		if err != nil {
			return nil, err
		}
		for id, alerts := range firing {
			st.firing[id] = map[string]db.Severity{}
			for _, a := range alerts {
				st.firing[id][a.ID] = a.Severity
			}
		}
	}
	for source, list := range fingerprints {
		stored, err := tx.AlertsByKey(ctx, source, unique(list))
		if err != nil {
			return nil, err
		}
		for i := range stored {
			key := source + "/" + stored[i].Fingerprint
			st.known[key] = append(st.known[key], &stored[i])
		}
	}
	return st, nil
}

func (st *intakeState) save(ctx context.Context, tx *db.Tx) error {
	incidents := make([]db.Incident, 0, len(st.changed))
	for _, id := range slices.Sorted(maps.Keys(st.changed)) {
		incidents = append(incidents, *st.changed[id])
	}
	if err := tx.SaveIncidents(ctx, incidents); err != nil {
		return err
	}
	records := make([]db.Alert, 0, len(st.saved))
	for _, id := range slices.Sorted(maps.Keys(st.saved)) {
		records = append(records, *st.saved[id])
	}
	return tx.SaveAlerts(ctx, records)
}

// apply brings alerts and incidents up to what the delivery says.
func (o *intakeOutcome) apply(st *intakeState, deliveryID string, p *parsed, now time.Time, publicURL string) error {
	batch := p.batch.Alerts
	o.Notes = append(o.Notes, p.batch.Notes...)
	if p.batch.Truncated > 0 {
		o.Notes = append(o.Notes, fmt.Sprintf("The sender left out %d more alerts of this group.", p.batch.Truncated))
	}
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
		rec := o.match(st, a, p.source, deliveryID, now)
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
			continue // resolved alerts of a problem nobody knows
		}
		st.incidents[key], st.firing[g.incident.ID], st.changed[g.incident.ID] = g.incident, g.firing, g.incident
		for _, rec := range g.records {
			rec.IncidentID = g.incident.ID
		}
		switch kind {
		case ChangeCreated:
			o.Opened++
		case ChangeRepeated:
		default:
			o.Touched++
		}
		slices.SortStableFunc(g.alerts, func(a, b int) int { return severityOf(&batch[b]).Rank() - severityOf(&batch[a]).Rank() })
		snapshot, err := json.Marshal(incidentData(g.incident, publicURL))
		if err != nil {
			return err
		}
		o.Incidents = append(o.Incidents, incidentChange{
			ID: g.incident.ID, Kind: kind, Revision: g.incident.Revision, Severity: g.incident.Severity,
			Alerts: g.alerts, Incident: snapshot,
		})
	}
	slices.SortStableFunc(o.Incidents, func(a, b incidentChange) int {
		return cmp.Or(boolRank(b.changed())-boolRank(a.changed()), b.Severity.Rank()-a.Severity.Rank(),
			boolRank(b.Kind != ChangeResolved)-boolRank(a.Kind != ChangeResolved))
	})
	return nil
}

// match finds the stored occurrence of an alert, or makes one, and brings it up to date.
func (o *intakeOutcome) match(st *intakeState, a *alerts.Alert, source, deliveryID string, now time.Time) *db.Alert {
	var rec *db.Alert
	key := source + "/" + a.Fingerprint
	for _, old := range st.known[key] {
		if old.StartsAt.Equal(a.StartsAt) {
			rec = old
			break
		}
		// Sources that give no start mean the occurrence that is firing; so does a resolve whose start is not known.
		if old.Status == string(alerts.Firing) && (a.StartsAt.IsZero() || a.Status == alerts.Resolved) {
			rec = old
		}
	}
	if rec == nil {
		starts := a.StartsAt
		if starts.IsZero() {
			starts = now
		}
		fresh := &db.Alert{ID: newID(), Source: source, Fingerprint: a.Fingerprint, StartsAt: starts, CreatedAt: now}
		describe(fresh, a, deliveryID, now)
		o.Created++
		if a.Status == alerts.Resolved {
			o.Resolved++
		}
		st.known[key], st.saved[fresh.ID] = append(st.known[key], fresh), fresh
		return fresh
	}
	before := *rec
	describe(rec, a, deliveryID, now)
	st.saved[rec.ID] = rec
	switch {
	case before.Status != rec.Status && rec.Status == string(alerts.Resolved):
		o.Resolved++
	case before.Status != rec.Status || before.Severity != rec.Severity:
		o.Updated++
	default:
		rec.Repeats++
		o.Updated++
	}
	return rec
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
	inc, kind := g.incident, ChangeRepeated
	switch {
	case inc == nil && len(g.firing) == 0:
		return kind
	case inc == nil:
		kind = ChangeCreated
		inc = &db.Incident{
			ID: newID(), GroupKey: key, AlertName: lead.Name, Host: lead.Host, Source: source,
			Status: db.IncidentOpen, Occurrence: 1, StartedAt: started(lead, now), CreatedAt: now,
		}
		g.incident = inc
	case inc.Status == db.IncidentResolved && len(g.firing) > 0:
		if g.was == len(g.firing) && !g.anyNew(now) {
			break // a person resolved it while it still fires: the same alert again is no news
		}
		kind = ChangeReopened
		inc.Status, inc.Occurrence, inc.StartedAt = db.IncidentOpen, inc.Occurrence+1, started(lead, now)
		inc.AcknowledgedAt, inc.AcknowledgedBy, inc.ResolvedAt = time.Time{}, "", time.Time{}
	case inc.Status != db.IncidentResolved && len(g.firing) == 0:
		kind = ChangeResolved
		inc.Status, inc.ResolvedAt = db.IncidentResolved, now
	case len(g.firing) > 0 && severity != inc.Severity && inc.Status != db.IncidentResolved:
		kind = ChangeSeverity
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
	if kind != ChangeRepeated {
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

// taken is what an attempt took in; the run sees it once the attempt has succeeded.
type taken struct {
	parsed *parsed
	result IntakeResult
}

// Intake implements [Services].
func (s *services) Intake(ctx context.Context, run RunInfo, payload any, driver string) (IntakeResult, error) {
	p, deliveryID := s.batch, run.DeliveryID
	if deliveryID == "" {
		// Executed by hand or API: the payload is the delivery, under the run's own id.
		var err error
		if p, err = s.e.intakePayload(ctx, &s.run, payload, driver); err != nil {
			return IntakeResult{}, err
		}
		deliveryID = run.ID
	}
	out, err := s.e.takeIn(ctx, &s.run, s.plan, deliveryID, p)
	if err != nil {
		return IntakeResult{}, err
	}
	r := out.of(s.run.IncidentID, p)
	s.taken = &taken{p, r}
	return r, nil
}

func (e *Engine) intakePayload(ctx context.Context, run *db.Run, payload any, driver string) (*parsed, error) {
	body := []byte(run.Payload)
	if len(body) == 0 {
		body = []byte("{}")
	}
	wrappedDriver, inner, wrapped := alerts.Unwrap(payload)
	if wrapped {
		payload = inner
		var err error
		if body, err = json.Marshal(inner); err != nil {
			return nil, err
		}
	}
	p, err := e.parseAlerts(or(driver, wrappedDriver), payload, nil, body)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(p.batch)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	err = e.store.Accept(ctx, db.Acceptance{Delivery: &db.Delivery{
		ID: run.ID, TraceID: run.TraceID, Source: p.source, Definition: run.DefinitionName,
		ContentType: "application/json", Body: body, Parsed: raw, Status: "accepted", ReceivedAt: now,
	}})
	if err != nil && !fault.Is(err, fault.Conflict) { // there since an earlier attempt
		return nil, err
	}
	return p, nil
}
