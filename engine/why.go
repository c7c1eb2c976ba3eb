package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"penstock/db"
	"penstock/fault"
)

// Why explains what an alert, an incident, a run or a delivery led to, or came from.
type Why struct {
	Kind      string        `json:"kind"` // alert, incident, run, delivery
	ID        string        `json:"id"`
	Title     string        `json:"title"`
	Answer    string        `json:"answer"` // in a sentence
	Decisions []WhyDecision `json:"decisions"`
}

// WhyDecision is a decision with what it names.
type WhyDecision struct {
	db.Decision
	Incident   string    `json:"incident,omitempty"` // title
	Source     string    `json:"source"`
	ReceivedAt time.Time `json:"received_at"`
	Runs       []WhyRun  `json:"runs"`
}

// WhyRun is a run that a decision started.
type WhyRun struct {
	RunID      string       `json:"run_id"`
	Definition string       `json:"definition"`
	Version    int          `json:"version"`
	Status     db.RunStatus `json:"status"`
}

// whyDecisions is how many decisions an answer has, the newest.
const whyDecisions = 50

// Explain finds the alert, incident, run or delivery with the id and explains it.
func Explain(ctx context.Context, store *db.Store, id string) (*Why, error) {
	for _, explain := range []func(context.Context, *db.Store, string) (*Why, error){whyRun, whyDelivery, whyIncident, whyAlert} {
		w, err := explain(ctx, store, id)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return w, err
		}
	}
	return nil, fault.New(fault.NotFound, "There is no alert, incident, run or delivery with the id %q.", id)
}

func whyRun(ctx context.Context, store *db.Store, id string) (*Why, error) {
	run, err := store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &Why{Kind: "run", ID: id, Title: fmt.Sprintf("%s, version %d", run.DefinitionName, run.DefinitionVersion)}
	by := ""
	if run.CreatedBy != "" {
		by = " by " + run.CreatedBy
	}
	switch run.Trigger {
	case db.TriggerWebhook:
		w.Answer = fmt.Sprintf("A delivery from %s named the definition %s.", run.Source, run.DefinitionName)
	case db.TriggerAlert:
		w.Answer = fmt.Sprintf("The alert trigger of %s matched.", run.DefinitionName)
	case db.TriggerPipeline:
		w.Answer = fmt.Sprintf("The run %s started it as a sub-run.", run.ParentRunID)
	case db.TriggerSchedule:
		w.Answer = fmt.Sprintf("The schedule of %s was due.", run.DefinitionName)
	case db.TriggerManual:
		w.Answer = "It was started by hand" + by + "."
	default:
		w.Answer = "It was started over the API" + by + "."
	}
	deliveryID := run.DeliveryID
	if deliveryID == "" {
		deliveryID = run.ID // what a run takes in by itself has its id
	}
	byDelivery, err := store.DecisionsByDelivery(ctx, []string{deliveryID})
	if err != nil {
		return nil, err
	}
	about := slices.DeleteFunc(byDelivery[deliveryID], func(d db.Decision) bool {
		return !slices.ContainsFunc(d.Considered, func(c db.Considered) bool { return c.RunID == run.ID })
	})
	if len(about) == 0 && run.Trigger == db.TriggerWebhook && !run.Status.Terminal() {
		w.Answer += " Its alerts have not been taken in yet."
	}
	return w, explain(ctx, store, w, about)
}

func whyDelivery(ctx context.Context, store *db.Store, id string) (*Why, error) {
	d, err := store.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	w := &Why{Kind: "delivery", ID: id, Title: fmt.Sprintf("%s, %s", or(d.Source, "unknown source"), d.ReceivedAt.UTC().Format(time.RFC3339))}
	byDelivery, err := store.DecisionsByDelivery(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	decisions := byDelivery[id]
	switch {
	case d.Status != "accepted":
		w.Answer = "It was refused and kept: " + d.Error
	case len(decisions) > 0:
		w.Answer = summary(decisions)
	case d.IntakeAt.IsZero() && d.Definition == "":
		w.Answer = "It has not been taken in yet."
	case d.IntakeAt.IsZero():
		w.Answer = fmt.Sprintf("It named the definition %s, whose run has not taken its alerts in.", d.Definition)
	default:
		w.Answer = "It held nothing that concerns an incident."
	}
	return w, explain(ctx, store, w, decisions)
}

func whyIncident(ctx context.Context, store *db.Store, id string) (*Why, error) {
	inc, err := store.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	page, err := store.Decisions(ctx, db.DecisionFilter{IncidentID: id, Page: db.Page{First: whyDecisions}})
	if err != nil {
		return nil, err
	}
	w := &Why{Kind: "incident", ID: id, Title: inc.Title, Answer: summary(page.Items)}
	return w, explain(ctx, store, w, page.Items)
}

func whyAlert(ctx context.Context, store *db.Store, id string) (*Why, error) {
	a, err := store.Alert(ctx, id)
	if err != nil {
		return nil, err
	}
	filter := db.DecisionFilter{IncidentID: a.IncidentID, Page: db.Page{First: 1000}}
	if a.IncidentID == "" {
		filter.DeliveryID = a.DeliveryID
	}
	page, err := store.Decisions(ctx, filter)
	if err != nil {
		return nil, err
	}
	about := slices.DeleteFunc(page.Items, func(d db.Decision) bool { return !slices.Contains(d.AlertIDs, id) })
	about = about[:min(len(about), whyDecisions)]
	w := &Why{Kind: "alert", ID: id, Title: a.Name, Answer: summary(about)}
	if a.Host != "" {
		w.Title += " on " + a.Host
	}
	return w, explain(ctx, store, w, about)
}

// explain adds decisions with what they refer to.
func explain(ctx context.Context, store *db.Store, w *Why, decisions []db.Decision) (err error) {
	w.Decisions, err = ExplainDecisions(ctx, store, decisions)
	return err
}

// ExplainDecisions adds to decisions what they refer to.
func ExplainDecisions(ctx context.Context, store *db.Store, decisions []db.Decision) ([]WhyDecision, error) {
	var incidents, deliveries, runs []string
	for _, d := range decisions {
		deliveries = append(deliveries, d.DeliveryID)
		if d.IncidentID != "" {
			incidents = append(incidents, d.IncidentID)
		}
		for _, c := range d.Considered {
			if c.RunID != "" {
				runs = append(runs, c.RunID)
			}
		}
	}
	explained := []WhyDecision{}
	if len(decisions) == 0 {
		return explained, nil
	}
	titles, err := store.IncidentsByID(ctx, unique(incidents))
	if err != nil {
		return nil, err
	}
	received, err := store.DeliveriesByID(ctx, unique(deliveries))
	if err != nil {
		return nil, err
	}
	started, err := store.RunsByID(ctx, unique(runs))
	if err != nil {
		return nil, err
	}
	for _, d := range decisions {
		x := WhyDecision{Decision: d, Runs: []WhyRun{}}
		if inc := titles[d.IncidentID]; inc != nil {
			x.Incident = inc.Title
		}
		if dl := received[d.DeliveryID]; dl != nil {
			x.Source, x.ReceivedAt = dl.Source, dl.ReceivedAt
		}
		for _, c := range d.Considered {
			if r := started[c.RunID]; r != nil {
				x.Runs = append(x.Runs, WhyRun{r.ID, r.DefinitionName, r.DefinitionVersion, r.Status})
			}
		}
		explained = append(explained, x)
	}
	return explained, nil
}

// summary says in a sentence what decisions came to.
func summary(decisions []db.Decision) string {
	if len(decisions) == 0 {
		return "No decision about it is kept."
	}
	counts := map[db.DecisionOutcome]int{}
	for _, d := range decisions {
		counts[d.Outcome]++
	}
	var b []byte
	for _, part := range []struct {
		outcome   db.DecisionOutcome
		one, many string
	}{
		{db.DecisionStarted, "1 change started a pipeline", "%d changes started pipelines"},
		{db.DecisionNoRoute, "1 change matched no active definition (no_route)", "%d changes matched no active definition (no_route)"},
		{db.DecisionRepeat, "1 repeat changed nothing", "%d repeats changed nothing"},
		{db.DecisionNothingToResolve, "1 resolve was of a problem that nobody had reported", "%d resolves were of problems that nobody had reported"},
	} {
		n := counts[part.outcome]
		if n == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, "; "...)
		}
		if n == 1 {
			b = append(b, part.one...)
		} else {
			b = fmt.Appendf(b, part.many, n)
		}
	}
	return string(b) + "."
}
