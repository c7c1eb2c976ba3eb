package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/db"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/alerts/strictjson"
	"penstock/drivers/notify"
	"penstock/engine/expr"
	"penstock/fault"
)

// DryRunInput is a draft and what it is tried with.
type DryRunInput struct {
	Definition  string          // its name, "" for one that has none yet
	Config      json.RawMessage // JSON or YAML
	RunID       string          // an earlier run, whose payload, delivery and incident it sees
	Payload     json.RawMessage // without RunID
	Environment string          // without RunID; default production
}

// DryRun is what a run of a draft would do.
type DryRun struct {
	Status   db.RunStatus     `json:"status"`
	Error    string           `json:"error,omitempty"`
	Payload  any              `json:"payload"`
	Incident map[string]any   `json:"incident"` // as ingest would leave it
	Alerts   []map[string]any `json:"alerts"`
	Nodes    []DryNode        `json:"nodes"` // in the order of the document
}

// DryNode is what one node would do. Its input is the payload, the incident, the alerts and the
// outputs of the nodes upstream.
type DryNode struct {
	NodeResult
	Upstream []string     `json:"upstream"` // nearest first
	Messages []DryMessage `json:"messages"` // what it would send
	Notes    []string     `json:"notes"`    // where the dry run differs from a real one; log lines
}

// DryMessage is a message that was not sent.
type DryMessage struct {
	Driver      string          `json:"driver"`
	Channel     string          `json:"channel,omitempty"`     // stored
	Destination string          `json:"destination,omitempty"` // within the driver
	Action      notify.Action   `json:"action"`
	Severity    alerts.Severity `json:"severity"`
	Title       string          `json:"title"`
	Text        string          `json:"text"`
	Links       []alerts.Link   `json:"links"`
	Facts       []notify.Fact   `json:"facts"`
}

// dryLimit is how long a dry run may take; its caller waits.
const dryLimit = 25 * time.Second

// DryRun works a draft as a run would, with the same branches, conditions and expressions, but
// nothing is stored or sent: messages are shown, alerts are not taken in, no vendor is asked for an
// analysis, nothing is tried again, and where a run would end because an alert repeats what is known,
// the dry run goes on. What only reads – the machine's figures – is read. It returns an
// [InvalidError] for a draft that cannot run.
func (e *Engine) DryRun(ctx context.Context, in DryRunInput) (*DryRun, error) {
	catalog, err := e.catalogFor(ctx, in.Definition)
	if err != nil {
		return nil, err
	}
	plan, err := e.build(ctx, in.Config, catalog)
	if err != nil {
		return nil, err
	}
	run := db.Run{Source: "api", Environment: cmp.Or(in.Environment, "production"), Trigger: db.TriggerManual, Payload: in.Payload}
	data := &runData{payload: map[string]any{}}
	if in.RunID != "" {
		earlier, err := e.store.Run(ctx, in.RunID)
		if err != nil {
			return nil, err
		}
		run = *earlier
		if data, err = e.dataOf(ctx, earlier); err != nil {
			return nil, err
		}
	} else if len(in.Payload) > 0 {
		doc, err := strictjson.Decode(in.Payload)
		if err != nil {
			return nil, err
		}
		data.payload = expr.Plain(doc)
	}
	run.DefinitionName = cmp.Or(in.Definition, "draft")
	ctx, cancel := context.WithTimeoutCause(ctx, dryLimit, fault.New(fault.Unavailable, "The dry run took longer than %s.", dryLimit))
	defer cancel()
	p, err := e.workDry(ctx, run, plan, data)
	if err != nil {
		return nil, err
	}
	return p.dry.result(p), nil
}

// workDry works a plan as a dry run, to its end.
func (e *Engine) workDry(ctx context.Context, run db.Run, of *plan, data *runData) (*progress, error) {
	plan := *of
	checked := *of.Plan
	checked.Nodes = slices.Clone(of.Nodes)
	for i := range checked.Nodes {
		checked.Nodes[i].MaxRetries, checked.Nodes[i].KeepsTrying = 0, false
	}
	plan.Plan = &checked
	run.ID, run.Status = newID(), db.RunRunning
	p := e.prepare(run, &plan, data, nil)
	p.dry = &dryRun{rows: map[string]db.StageExecution{}, nodes: map[string]*DryNode{}}
	if p.run.Status = e.work(ctx, p); !p.run.Status.Terminal() { // broken off
		return nil, cmp.Or(context.Cause(ctx), errStopping)
	}
	return p, nil
}

// dryRun collects what a real run would store and send. progress.mu guards note; the rest has a lock
// of its own, because nodes run beside each other.
type dryRun struct {
	rows map[string]db.StageExecution

	mu    sync.Mutex
	nodes map[string]*DryNode
}

func (d *dryRun) note(w db.RunWrite, events []db.RunEvent) {
	for _, row := range w.Stages {
		d.rows[row.NodeID] = row
	}
	for _, ev := range events {
		if ev.Kind == EventLog {
			d.add(ev.NodeID, func(n *DryNode) { n.Notes = append(n.Notes, ev.Text) })
		}
	}
}

func (d *dryRun) add(nodeID string, change func(*DryNode)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes[nodeID] == nil {
		d.nodes[nodeID] = &DryNode{Messages: []DryMessage{}, Notes: []string{}}
	}
	change(d.nodes[nodeID])
}

func (d *dryRun) result(p *progress) *DryRun {
	out := &DryRun{Status: p.run.Status, Error: p.failure, Payload: p.data.payload, Incident: p.data.incident, Alerts: p.data.alerts, Nodes: make([]DryNode, len(p.plan.Nodes))}
	for _, node := range p.plan.Nodes {
		row := d.rows[node.ID]
		d.add(node.ID, func(n *DryNode) {
			n.NodeResult = nodeResult(&row)
			n.Upstream = append([]string{}, node.Upstream...)
			out.Nodes[node.Position] = *n
		})
	}
	return out
}

// dryServices serves a node of a dry run. Every method that [Services] has is here on purpose: what
// is added there must say what a dry run does instead.
type dryServices struct {
	services *services
	run      *dryRun
	nodeID   string
	incident map[string]any // as the run sees it when the node starts
	alerts   []map[string]any
}

var _ Services = (*dryServices)(nil)

func (s *dryServices) tookIn() *taken    { return s.services.taken }
func (s *dryServices) PublicURL() string { return s.services.PublicURL() }

func (s *dryServices) remark(format string, args ...any) {
	s.run.add(s.nodeID, func(n *DryNode) { n.Notes = append(n.Notes, fmt.Sprintf(format, args...)) })
}

// Intake says what the intake would do now: it reads what is stored and changes a copy.
func (s *dryServices) Intake(ctx context.Context, run RunInfo, payload any, driver string) (IntakeResult, error) {
	inner := s.services
	if inner.intake != nil {
		return inner.Intake(ctx, run, payload, driver) // it is done; its outcome is kept
	}
	p := inner.batch
	if run.DeliveryID == "" {
		var err error
		if p, _, err = inner.e.readPayload(&inner.run, payload, driver); err != nil {
			return IntakeResult{}, err
		}
	}
	out := intakeOutcome{Source: p.source}
	err := inner.e.store.TakeIn(ctx, intakeKeys([]*intakeJob{{parsed: p}}), func(_ *db.Tx, met *db.IntakeState) (none db.IntakeChanges, err error) {
		return none, out.apply(newIntakeState(met), newID(), p, now(), inner.e.o.PublicURL)
	})
	if err != nil {
		return IntakeResult{}, err
	}
	r := out.of("", p)
	inner.taken = &taken{p, r}
	s.remark("Nothing was taken in: alerts and incident are what the intake would make of them now.")
	if further := len(r.IncidentIDs) - 1; further > 0 {
		s.remark("%d further incidents of this delivery would each get a run of their own.", further)
	}
	return r, nil
}

// SubRun tries the other definition too. What it would send is shown at the node that runs it.
func (s *dryServices) SubRun(ctx context.Context, in SubRun) (SubRunResult, error) {
	e, parent := s.services.e, &s.services.run
	def, plan, err := e.runnable(ctx, in.Definition, in.Version)
	if err != nil {
		return SubRunResult{}, fault.Wrap(err, fault.Unprocessable, "%s", fault.Of(err).Message)
	}
	run := newRun(def, plan.versionID, now())
	run.Trigger, run.Source, run.Environment, run.Payload = db.TriggerPipeline, parent.Source, parent.Environment, in.Payload
	data, err := e.dataOf(ctx, &run)
	if err != nil {
		return SubRunResult{}, err
	}
	data.incident, data.alerts = s.incident, s.alerts
	p, err := e.workDry(ctx, run, plan, data)
	if err != nil {
		return SubRunResult{}, err
	}
	for _, node := range p.dry.result(p).Nodes {
		s.run.add(s.nodeID, func(n *DryNode) { n.Messages = append(n.Messages, node.Messages...) })
	}
	s.remark("%s was tried too, and would end %s.", def.Name, p.run.Status)
	result := subRunResultOf(p.run, plan, p.dry.rows)
	result.Error = p.failure
	return result, nil
}

// Raise says which alerts would be raised or resolved.
func (s *dryServices) Raise(ctx context.Context, found []alerts.Alert) error {
	batch, err := s.services.news(ctx, found)
	for _, a := range batch.Alerts {
		s.remark("Would report the alert %q as %s.", a.Name, a.Status)
	}
	return err
}

func (s *dryServices) Channel(ctx context.Context, name string) (string, notify.Driver, error) {
	kind, d, err := s.services.Channel(ctx, name)
	if err != nil {
		return kind, nil, err
	}
	return kind, dryDriver{s, kind, name, d}, nil
}

func (s *dryServices) DefaultChannel(ctx context.Context, driver string) (string, notify.Driver, error) {
	name, d, err := s.services.DefaultChannel(ctx, driver)
	if err != nil {
		return name, nil, err
	}
	return name, dryDriver{s, driver, name, d}, nil
}

// Driver does not resolve the references of settings: nothing is sent with them.
func (s *dryServices) Driver(ctx context.Context, kind string, config json.RawMessage) (notify.Driver, error) {
	if len(config) > 0 {
		return dryDriver{s, kind, "", nil}, nil
	}
	d, err := s.services.Driver(ctx, kind, nil)
	if err != nil {
		return nil, err
	}
	return dryDriver{s, kind, "", d}, nil
}

// Deliver shows the message.
func (s *dryServices) Deliver(ctx context.Context, to Target, m notify.Message, _ bool) (Delivered, error) {
	m.Channel = to.Destination
	receipt, err := to.Sender.Send(ctx, m)
	return Delivered{Receipt: receipt, Status: db.NotificationSent}, err
}

// AlarmChannel finds the channel that a real run would.
func (s *dryServices) AlarmChannel(ctx context.Context, in Input, except string) (Target, string, error) {
	to, note, err := s.services.AlarmChannel(ctx, in, except)
	if err == nil {
		to.Sender = dryDriver{s, to.Driver, to.Channel, to.Sender}
	}
	return to, note, err
}

// Provider is the local rules for every provider: a vendor would be told the alerts, and be paid.
func (s *dryServices) Provider(ctx context.Context, kind string, config json.RawMessage) (ai.Provider, error) {
	if kind == localProvider {
		return s.services.Provider(ctx, kind, config)
	}
	s.remark("%s was not asked; the local rules answered in its place.", kind)
	return s.services.Provider(ctx, localProvider, nil)
}

const localProvider = "local"

// dryDriver keeps the message.
type dryDriver struct {
	s             *dryServices
	kind, channel string
	real          notify.Driver // nil: not built
}

func (d dryDriver) Send(_ context.Context, m notify.Message) (notify.Receipt, error) {
	if missing := d.Missing(); len(missing) > 0 {
		return notify.Receipt{}, fault.New(fault.Unprocessable, "%s cannot send until it has %s.", or(d.channel, d.kind), strings.Join(missing, ", "))
	}
	d.s.run.add(d.s.nodeID, func(n *DryNode) {
		n.Messages = append(n.Messages, DryMessage{
			Driver: d.kind, Channel: d.channel, Destination: m.Channel, Action: m.Action, Severity: m.Severity,
			Title: m.Title, Text: m.Text, Links: append([]alerts.Link{}, m.Links...), Facts: append([]notify.Fact{}, m.Facts...),
		})
	})
	return notify.Receipt{Response: "not sent: this is a dry run"}, nil
}

// Missing is what the real driver says, so that a node that looks for a driver that is ready finds it.
func (d dryDriver) Missing() []string {
	if r, ok := d.real.(notify.Readiness); ok {
		return r.Missing()
	}
	return nil
}
