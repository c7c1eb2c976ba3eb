package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/strictjson"
	"penstock/engine/expr"
	"penstock/fault"
)

// DefaultDefinition is the catch-all of a new store: it takes the alerts that no other definition matches,
// also if it says nothing about triggers.
const DefaultDefinition = "default"

// parsed is a delivery's body, understood.
type parsed struct {
	payload any // plain data, unwrapped
	source  string
	batch   alerts.Batch
	heard   time.Time // when it was received; of a replay, when the original was
}

// Receive stores a delivery and, if the caller named a definition, its run. When it returns without an
// error both are committed. Without a definition the alerts are routed: what they start is answered if it is
// known soon. A body that yields no alert is kept, so that it can be replayed, and refused.
func (e *Engine) Receive(ctx context.Context, in Inbound) (_ Accepted, err error) {
	defer func() { e.countDelivery(err) }()
	doc, err := strictjson.Decode(in.Body)
	if err != nil {
		return Accepted{}, err
	}
	var target named
	if in.Definition != "" {
		target = e.compiled.byName(ctx, e, in.Definition)
		if target.err != nil && target.def == nil {
			return Accepted{}, target.err // unknown or inactive: nothing to keep it for
		}
	}
	release, err := e.admit(ctx)
	if err != nil {
		return Accepted{}, err
	}
	var to *named // routed there and nowhere else
	if in.ofAlerts && target.plan != nil && target.plan.ingest == nil {
		to, target = new(target), named{}
	}
	delivery := db.Delivery{
		ID: newID(), TraceID: newID(), Definition: in.Definition, ContentType: in.ContentType,
		Headers: keepHeaders(in.Header), Body: in.Body, Status: "accepted", ReplayOf: in.replayOf, HeardAt: in.heard, ReceivedAt: now(),
	}
	understood, err := e.understand(ctx, target, doc, in)
	if understood != nil {
		delivery.Source, understood.heard = understood.source, heard(&delivery)
	}
	if err == nil {
		delivery.Parsed, err = json.Marshal(understood.batch)
	}
	if db.IsDown(err) { // it says nothing about the delivery
		release()
		return Accepted{}, err
	}
	if err != nil {
		release()
		return Accepted{}, e.refuse(ctx, delivery, understood, err)
	}
	e.leftOut.Add(int64(understood.batch.Truncated))
	accepted := Accepted{DeliveryID: delivery.ID, TraceID: delivery.TraceID, Status: "accepted"}
	if in.Definition == "" || to != nil {
		if err := e.store.Accept(ctx, db.Acceptance{Delivery: &delivery}); err != nil {
			release()
			return Accepted{}, err
		}
		e.hear(in, understood.source, delivery.ReceivedAt)
		routed := e.routeSoon(&delivery, understood, to, in.Actor, release)
		if to != nil {
			return accepted, accepted.sent(ctx, routed)
		}
		accepted.started(ctx, routed)
		return accepted, nil
	}
	run := newRun(target.def, target.plan.versionID, delivery.ReceivedAt)
	run.TraceID, run.Trigger, run.DeliveryID, run.CreatedBy = delivery.TraceID, db.TriggerWebhook, delivery.ID, in.Actor
	run.Source = understood.source
	if in.replayOf != "" {
		run.Trigger = db.TriggerManual // a person wants it: what has not changed counts too
	}
	e.fresh.Store(run.ID, e.prepare(run, target.plan, &runData{payload: understood.payload, batch: understood}, release))
	if err := e.store.Accept(ctx, db.Acceptance{Delivery: &delivery, Runs: []db.Run{run}}); err != nil {
		e.fresh.Delete(run.ID)
		release()
		return Accepted{}, err
	}
	e.startSoon(run)
	e.hear(in, understood.source, delivery.ReceivedAt)
	accepted.RunID, accepted.Definition = &run.ID, &run.DefinitionName
	return accepted, nil
}

// understand reads a body for the definition that the caller named, or as alerts to be routed.
// What comes from a stored source bears its name, whichever driver reads it.
func (e *Engine) understand(ctx context.Context, target named, doc any, in Inbound) (*parsed, error) {
	if target.err != nil {
		return nil, target.err
	}
	driver, name := in.Source, ""
	if in.Source != "" {
		stored, known, err := e.sourceOf(ctx, in.Source)
		switch {
		case err != nil:
			return nil, err
		case known && !stored.IsActive:
			return nil, fault.New(fault.NotFound, "The source %q is not active.", in.Source)
		case known && stored.Name != stored.Driver:
			driver, name = stored.Driver, stored.Name
		}
	}
	p, err := e.parse(target.plan, doc, driver, in.Header, in.Body)
	if p != nil {
		p.source = or(name, p.source)
	}
	return p, err
}

// refuse keeps a delivery that cannot be worked, and returns the cause.
func (e *Engine) refuse(ctx context.Context, delivery db.Delivery, understood *parsed, cause error) error {
	delivery.Status, delivery.Error = "rejected", fault.Of(cause).Message
	if errors.Is(cause, alerts.ErrNoAlerts) {
		delivery.Status = "no_alerts"
	}
	if understood != nil && len(understood.batch.Notes) > 0 {
		delivery.Error += " " + strings.Join(understood.batch.Notes, " ")
	}
	if err := e.store.Accept(ctx, db.Acceptance{Delivery: &delivery}); err != nil {
		return err
	}
	return cause
}

// knownSoon is how long the answer to a delivery waits for what it started.
const knownSoon = 250 * time.Millisecond

// started names the first run that the routing has started, if that is known in a moment.
func (a *Accepted) started(ctx context.Context, routed <-chan *intakeJob) {
	patience := time.NewTimer(knownSoon)
	defer patience.Stop()
	select {
	case j := <-routed:
		a.name(j)
	case <-patience.C:
	case <-ctx.Done():
	}
}

// sent waits for what was sent to one definition: nobody takes that up again.
func (a *Accepted) sent(ctx context.Context, routed <-chan *intakeJob) error {
	select {
	case j := <-routed:
		if j == nil {
			return fault.New(fault.Unavailable, "The server is stopping. Send the delivery through again in a moment.")
		}
		a.name(j)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *Accepted) name(j *intakeJob) {
	if j != nil && len(j.starts) > 0 {
		a.RunID, a.Definition = &j.starts[0].run.ID, &j.starts[0].run.DefinitionName
	}
}

// routeSoon takes a stored delivery in that is to be routed; to is the only place it may go to, if there is one. The channel gives the intake when it is
// done, or nothing if the process stops before: the next one's sweeper finds the delivery.
func (e *Engine) routeSoon(delivery *db.Delivery, p *parsed, to *named, actor string, release func()) <-chan *intakeJob {
	done := make(chan *intakeJob, 1)
	if _, underway := e.routing.LoadOrStore(delivery.ID, true); underway {
		release()
		close(done)
		return done
	}
	e.load.Add(1)
	e.wg.Go(func() {
		defer release()
		defer e.load.Add(-1)
		defer close(done)
		defer e.routing.Delete(delivery.ID)
		j, err := e.takeIn(e.life, intakeJob{
			delivery: delivery.ID, trace: delivery.TraceID, replay: delivery.ReplayOf != "", actor: actor, parsed: p, to: to,
		})
		switch {
		case err == nil:
			done <- j
		case e.life.Err() == nil && !db.IsDown(err): // which the sweeper tells
			e.log.Error("route delivery; it is tried again", "delivery_id", delivery.ID, "error", err)
		}
	})
	return done
}

// routePending takes in what an earlier process, or a moment without the store, has left behind.
func (e *Engine) routePending(ctx context.Context, limit int) error {
	ids, err := e.store.PendingIntakes(ctx, time.Now().Add(-2*sweepEvery), limit)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, underway := e.routing.Load(id); underway {
			continue
		}
		delivery, err := e.store.Delivery(ctx, id)
		if err != nil {
			return err
		}
		p, err := e.parsedOf(delivery)
		if err != nil { // one that a later version cannot read must not hold up the others
			e.log.Error("read delivery", "delivery_id", id, "error", err)
			continue
		}
		e.routeSoon(delivery, p, nil, "", func() {})
	}
	return nil
}

// behind reports whether messages wait because this process cannot keep up. A burst, as when a store is back that was
// away, may bring several times as many of them as runs may be under way.
func (e *Engine) behind() bool { return e.gates.behind(max(e.o.Crowd/2, 1), 4*e.o.Backlog) }

// admit paces the senders: it waits a moment while many runs are being started, so that what is
// accepted keeps step with what is completed, and refuses when too many wait.
func (e *Engine) admit(ctx context.Context) (release func(), err error) {
	if !e.launched.Load() {
		return nil, &fault.Error{Code: fault.Unavailable, Message: "The server is starting or stopping; send it again.", After: time.Second}
	}
	if int(e.load.Load()) >= e.o.Backlog || e.behind() {
		return nil, &fault.Error{Code: fault.Unavailable, Message: "Too many runs are waiting; send it again later.", After: 5 * time.Second}
	}
	select {
	case e.room <- struct{}{}:
	default:
		patience := time.NewTimer(100 * time.Millisecond)
		defer patience.Stop()
		select {
		case e.room <- struct{}{}:
		case <-patience.C:
			return func() {}, nil // slow runs hold the room; the backlog is the bound then
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	release = sync.OnceFunc(func() { <-e.room })
	time.AfterFunc(time.Second, release)
	return release, nil
}

// parse understands a body for a plan, nil if it is to be routed. Without an ingest node any JSON will do: it
// is the payload.
func (e *Engine) parse(plan *plan, doc any, source string, header http.Header, body []byte) (*parsed, error) {
	driver, payload, wrapped := alerts.Unwrap(doc)
	if wrapped {
		// What follows reads the inner body as the vendor would have sent it.
		inner, err := json.Marshal(payload)
		if err != nil {
			return nil, err
		}
		body = inner
	} else {
		payload = doc
	}
	if plan != nil && plan.ingest == nil {
		return &parsed{payload: expr.Plain(payload), source: or(source, "webhook")}, nil
	}
	// The definition's word counts first, then the caller's; only then is it detected.
	if source = or(source, driver); plan != nil {
		source = or(ingestConfig(plan).Driver, source)
	}
	return e.parseAlerts(source, payload, header, body)
}

func (e *Engine) parseAlerts(source string, payload any, header http.Header, body []byte) (*parsed, error) {
	if _, isObject := payload.(map[string]any); !isObject {
		if _, isList := payload.([]any); !isList {
			return nil, fault.New(fault.Invalid, "payload must be a JSON object")
		}
	}
	if source == "" {
		found, err := alerts.Detect(e.o.Sources, header, payload)
		if err != nil {
			return nil, err
		}
		source = found
	}
	out := &parsed{source: source}
	kind, err := e.o.Sources.Get(source)
	if err != nil {
		return out, fault.New(fault.Unprocessable, "There is no alert source %q. Available: %s.", source, strings.Join(e.sourceNames(), ", "))
	}
	src, err := kind.Build(context.Background(), nil)
	if err != nil {
		return out, err
	}
	if out.batch, err = src.Parse(header, body); err != nil {
		return out, err
	}
	out.payload = expr.Plain(payload)
	return out, nil
}

// heard is how old the news of a delivery is.
func heard(d *db.Delivery) time.Time {
	if !d.HeardAt.IsZero() {
		return d.HeardAt
	}
	return d.ReceivedAt
}

// parsedOf is what Receive understood of a stored delivery.
func (e *Engine) parsedOf(d *db.Delivery) (*parsed, error) {
	doc, err := strictjson.Decode(d.Body)
	if err != nil {
		return nil, err
	}
	if _, payload, wrapped := alerts.Unwrap(doc); wrapped {
		doc = payload
	}
	p := &parsed{payload: expr.Plain(doc), source: d.Source, heard: heard(d)}
	if len(d.Parsed) > 0 {
		err = json.Unmarshal(d.Parsed, &p.batch)
	}
	return p, err
}

// Execute commits a pending run of the named definition and starts it. With an idempotency key that
// was used before for this definition, the earlier run is returned.
func (e *Engine) Execute(ctx context.Context, in ExecuteInput) (*db.Run, error) {
	for name, text := range map[string]string{"source": in.Source, "environment": in.Environment, "trace_id": in.TraceID, "idempotency_key": in.IdempotencyKey} {
		if len(text) > maxWord || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, fault.About(name, fault.New(fault.Invalid, "%s must be at most %d bytes on one line.", name, maxWord))
		}
	}
	if strings.HasPrefix(in.IdempotencyKey, tickKey) {
		return nil, fault.About("idempotency_key", fault.New(fault.Invalid, "Idempotency keys that begin with %q belong to schedules. Use another one.", tickKey))
	}
	def, plan, err := e.runnable(ctx, in.Definition, in.Version)
	if err != nil {
		return nil, err
	}
	var payload any = map[string]any{}
	if len(in.Payload) > 0 {
		doc, err := strictjson.Decode(in.Payload)
		if err != nil {
			return nil, err
		}
		payload = expr.Plain(doc)
	}
	if in.IdempotencyKey != "" {
		earlier, err := e.store.RunByIdempotencyKey(ctx, def.ID, in.IdempotencyKey)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return earlier, err
		}
	}
	run := newRun(def, plan.versionID, time.Now().UTC().Truncate(time.Microsecond))
	run.TraceID, run.Source, run.Environment = or(in.TraceID, newID()), or(in.Source, "api"), or(in.Environment, "production")
	run.Trigger, run.IncidentID, run.IdempotencyKey = in.Trigger, in.IncidentID, in.IdempotencyKey
	run.Payload, run.CreatedBy = in.Payload, in.Actor
	if run.Trigger == "" {
		run.Trigger = db.TriggerAPI
	}
	data := &runData{payload: payload}
	if in.IncidentID != "" {
		if err := e.seeIncident(ctx, data, in.IncidentID); err != nil {
			if fault.Is(err, fault.NotFound) {
				return nil, fault.About("incident_id", fault.New(fault.Unprocessable, "There is no incident %q.", in.IncidentID))
			}
			return nil, err
		}
	}
	release, err := e.admit(ctx)
	if err != nil {
		return nil, err
	}
	e.fresh.Store(run.ID, e.prepare(run, plan, data, release))
	if err := e.store.Accept(ctx, db.Acceptance{Runs: []db.Run{run}}); err != nil {
		e.fresh.Delete(run.ID)
		release()
		if in.IdempotencyKey != "" && fault.Is(err, fault.Conflict) {
			return e.store.RunByIdempotencyKey(ctx, def.ID, in.IdempotencyKey)
		}
		return nil, err
	}
	e.startSoon(run)
	return &run, nil
}

// runnable is a definition as it can be run now, in one of its versions; 0 is the newest.
func (e *Engine) runnable(ctx context.Context, name string, version int) (*db.PipelineDefinition, *plan, error) {
	target := e.compiled.byName(ctx, e, name)
	if target.err != nil || version == 0 || version == target.def.Version {
		return target.def, target.plan, target.err
	}
	stored, err := e.store.DefinitionVersionByNumber(ctx, target.def.ID, version)
	if fault.Is(err, fault.NotFound) {
		err = fault.About("version", fault.Wrap(err, fault.NotFound, "%s", fault.Of(err).Message))
	}
	if err != nil {
		return nil, nil, err
	}
	pinned := *target.def
	pinned.Version = version
	plan, err := e.compiled.version(ctx, e, stored.ID)
	return &pinned, plan, err
}

// maxWord bounds what callers name freely and lists show in a column.
const maxWord = 255

func newRun(def *db.PipelineDefinition, versionID string, now time.Time) db.Run {
	return db.Run{
		ID: newID(), Status: db.RunPending, Environment: "production",
		DefinitionID: def.ID, DefinitionName: def.Name, DefinitionVersion: def.Version, VersionID: versionID,
		Epoch: 1, CreatedAt: now,
	}
}

// newID is a time-ordered id.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// keepHeaders are the request's headers that are worth keeping; credentials are not.
func keepHeaders(h http.Header) map[string]string {
	kept := map[string]string{}
	for name, values := range h {
		if slices.Contains(worthKeeping, name) && len(values) > 0 {
			kept[name] = strings.ToValidUTF8(values[0], "")
		}
	}
	return kept
}

var worthKeeping = []string{"Content-Type", "User-Agent", "X-Request-Id", "Traceparent", "Content-Length"}
