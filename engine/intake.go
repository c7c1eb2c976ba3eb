package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/engine/definition"
	"penstock/fault"
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
	Routed    bool             `json:"routed,omitempty"` // no caller named a definition: every incident has its own runs

	unknown []string // ids of alerts that ended and that belong to no incident
}

type incidentChange struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Revision int             `json:"revision"`
	Severity db.Severity     `json:"severity"`
	Alerts   []int           `json:"alerts"` // indexes into the batch, most severe first
	Incident json.RawMessage `json:"incident"`

	alertIDs []string  // in the order of Alerts
	started  time.Time // of the incident's occurrence
}

func (c incidentChange) changed() bool { return c.Kind != definition.ChangeRepeated }

// of is the outcome as one run sees it: the run's own incident if it has one, else the first.
func (o *intakeOutcome) of(incidentID string, p *parsed) IntakeResult {
	r := IntakeResult{
		Source: o.Source, AlertsCreated: o.Created, AlertsUpdated: o.Updated, AlertsResolved: o.Resolved,
		IncidentsCreated: o.Opened, IncidentsUpdated: o.Touched, Notes: o.Notes,
	}
	if len(o.Incidents) == 0 {
		return r
	}
	c := o.Incidents[0]
	if i := slices.IndexFunc(o.Incidents, func(c incidentChange) bool { return c.ID == incidentID }); i > 0 || o.Routed {
		c = o.Incidents[max(i, 0)]
		r.IncidentIDs = []string{c.ID} // one run of several; the first run of a named definition lists them all
	} else {
		for _, c := range o.Incidents {
			r.IncidentIDs = append(r.IncidentIDs, c.ID)
		}
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

// intakeJob is one delivery on its way in: of a run, or to be routed.
type intakeJob struct {
	run      *db.Run // nil: routed
	plan     *plan   // of run
	delivery string
	trace    string
	to       *named // the only definition it is routed to, nil: whichever matches
	replay   bool   // sent through again by a person: what has not changed counts too
	actor    string
	parsed   *parsed

	out    intakeOutcome
	starts []start // runs that the intake has brought about, beyond run
	err    error
	done   chan struct{}
}

// start is a run to be started, with its plan.
type start struct {
	run  db.Run
	plan *plan
}

// takeIn is the intake of one delivery: alerts, incidents, decisions, and the runs that they lead to. It
// is done once, however often it is called. Deliveries that come at the same time share a transaction.
// While the store is away it waits, until ctx ends: that is nobody's failure.
func (e *Engine) takeIn(ctx context.Context, job intakeJob) (*intakeJob, error) {
	for tries := 1; ; tries++ {
		j := new(job)
		j.done = make(chan struct{})
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
		if j.err == nil {
			return j, nil
		}
		// A conflict is another process that stored the same at the same moment; the next try sees it.
		if !db.IsDown(j.err) && tries >= 5 {
			return nil, fmt.Errorf("take in delivery %s: %w", job.delivery, j.err)
		}
		select {
		case <-time.After(min(time.Duration(tries)*200*time.Millisecond, 2*time.Second)):
		case <-ctx.Done():
			return nil, fault.Retry(j.err, 0)
		}
	}
}

const intakeBatch = 64

// takeAllIn works the intakes: what gathered while the previous transaction was under way is the next one.
func (e *Engine) takeAllIn(ctx context.Context) {
	for {
		var batch []*intakeJob
		select {
		case <-ctx.Done():
			return
		case through := <-e.pulse:
			close(through)
			continue
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
			if j.err = err; err != nil && len(batch) > 1 && !db.IsDown(err) {
				j.err = e.takeBatchIn(ctx, []*intakeJob{j})
			}
			if j.err == nil {
				e.observeIntake(j.delivery, time.Now())
				e.startAll(j)
			}
			close(j.done)
		}
	}
}

func (e *Engine) takeBatchIn(ctx context.Context, batch []*intakeJob) error {
	var routes []*route
	if slices.ContainsFunc(batch, func(j *intakeJob) bool { return j.run == nil }) {
		var err error
		if routes, err = e.compiled.routes(ctx, e); err != nil {
			return err
		}
	}
	changes := db.IntakeChanges{}
	err := e.store.TakeIn(ctx, intakeKeys(batch), func(tx *db.Tx, met *db.IntakeState) (db.IntakeChanges, error) {
		changes = db.IntakeChanges{Outcomes: map[string]json.RawMessage{}, At: now()}
		// What came first is taken in first; between batches the time at which it was heard decides.
		slices.SortStableFunc(batch, func(a, b *intakeJob) int { return a.parsed.heard.Compare(b.parsed.heard) })
		var fresh []*intakeJob
		for _, j := range batch {
			raw, known := met.Outcomes[j.delivery]
			switch {
			case !known:
				return changes, fault.New(fault.NotFound, "There is no delivery %s.", j.delivery)
			case len(raw) > 0:
				if err := json.Unmarshal(raw, &j.out); err != nil {
					return changes, err
				}
			default:
				fresh = append(fresh, j)
			}
		}
		state := newIntakeState(met)
		var routed []*intakeJob
		for _, j := range fresh {
			if raw, twice := changes.Outcomes[j.delivery]; twice { // two nodes take the same delivery in
				if err := json.Unmarshal(raw, &j.out); err != nil {
					return changes, err
				}
				continue
			}
			j.out, j.starts = intakeOutcome{Source: j.parsed.source, Routed: j.run == nil}, nil
			err := j.out.apply(state, j.delivery, j.parsed, changes.At, e.o.PublicURL)
			if err != nil {
				return changes, err
			}
			if j.run == nil {
				routed = append(routed, j)
			} else {
				changes.Decisions = append(changes.Decisions, j.follow(changes.At)...)
			}
			if changes.Outcomes[j.delivery], err = json.Marshal(j.out); err != nil {
				return changes, err
			}
		}
		worked, err := tx.RoutedTo(ctx, endings(routed))
		if err != nil {
			return changes, err
		}
		for _, j := range routed {
			if j.to != nil {
				changes.Decisions = append(changes.Decisions, j.send(changes.At)...)
				continue
			}
			changes.Decisions = append(changes.Decisions, j.route(ctx, routes, worked, changes.At)...)
		}
		for _, j := range fresh {
			for _, s := range j.starts {
				changes.Runs = append(changes.Runs, s.run)
			}
		}
		changes.Incidents, changes.Alerts = state.toSave()
		return changes, nil
	})
	if err == nil {
		for _, d := range changes.Decisions {
			e.decided.add(string(d.Outcome), 1)
		}
	}
	return err
}

// startAll starts the runs of an intake with what is known already: a body with a thousand hosts must
// not be read a thousand times.
func (e *Engine) startAll(j *intakeJob) {
	runs := make([]db.Run, len(j.starts))
	for i, s := range j.starts {
		data := &runData{payload: j.parsed.payload, batch: j.parsed, intake: &j.out}
		data.see(j.out.of(s.run.IncidentID, j.parsed))
		e.fresh.Store(s.run.ID, e.prepare(s.run, s.plan, data, nil))
		runs[i] = s.run
	}
	e.startSoon(runs...)
}

// taken is what an attempt took in; the run sees it once the attempt has succeeded.
type taken struct {
	parsed *parsed
	result IntakeResult
}

func (s *services) tookIn() *taken { return s.taken }

// Intake implements [Services].
func (s *services) Intake(ctx context.Context, run RunInfo, payload any, driver string) (IntakeResult, error) {
	p, deliveryID := s.batch, run.DeliveryID
	if s.intake != nil {
		r := s.intake.of(s.run.IncidentID, p)
		s.taken = &taken{p, r}
		return r, nil
	}
	if deliveryID == "" {
		// Executed by hand or API: the payload is the delivery, under the run's own id.
		var err error
		if p, err = s.e.intakePayload(ctx, &s.run, payload, driver); err != nil {
			return IntakeResult{}, err
		}
		deliveryID = run.ID
	}
	j, err := s.e.takeIn(ctx, intakeJob{run: &s.run, plan: s.plan, delivery: deliveryID, parsed: p})
	if err != nil {
		return IntakeResult{}, err
	}
	r := j.out.of(s.run.IncidentID, p)
	s.taken = &taken{p, r}
	return r, nil
}

// readPayload understands the payload of a run without a delivery as one.
func (e *Engine) readPayload(run *db.Run, payload any, driver string) (*parsed, []byte, error) {
	body := []byte(run.Payload)
	if len(body) == 0 {
		body = []byte("{}")
	}
	wrappedDriver, inner, wrapped := alerts.Unwrap(payload)
	if wrapped {
		payload = inner
		var err error
		if body, err = json.Marshal(inner); err != nil {
			return nil, nil, err
		}
	}
	p, err := e.parseAlerts(or(driver, wrappedDriver), payload, nil, body)
	return p, body, err
}

func (e *Engine) intakePayload(ctx context.Context, run *db.Run, payload any, driver string) (*parsed, error) {
	p, body, err := e.readPayload(run, payload, driver)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(p.batch)
	if err != nil {
		return nil, err
	}
	p.heard = now()
	err = e.store.Accept(ctx, db.Acceptance{Delivery: &db.Delivery{
		ID: run.ID, TraceID: run.TraceID, Source: p.source, Definition: run.DefinitionName,
		ContentType: "application/json", Body: body, Parsed: raw, Status: "accepted", ReceivedAt: p.heard,
	}})
	switch {
	case db.IsDown(err):
		return nil, fault.Retry(err, 0)
	case err != nil && !fault.Is(err, fault.Conflict): // there since an earlier attempt
		return nil, err
	}
	return p, nil
}
