package graph

import (
	"context"
	"sync"

	"penstock/db"
	"penstock/engine"
)

// relation loads what belongs to many parents with one statement. Lists announce the ids of what they
// return; the first child that is asked for loads the children of all that were announced. So a page
// costs the same number of statements however long it is, through nodes as through edges, and nobody
// waits for a timer.
type relation[V any] struct {
	fetch func(ctx context.Context, ids []string) (map[string]V, error)

	mu      sync.Mutex
	wanted  []string
	batches map[string]*batch[V] // by id
}

type batch[V any] struct {
	once   sync.Once
	ids    []string
	values map[string]V
	err    error
}

func newRelation[V any](fetch func(context.Context, []string) (map[string]V, error)) *relation[V] {
	return &relation[V]{fetch: fetch, batches: map[string]*batch[V]{}}
}

// announce says which ids will perhaps be loaded; empty ones are ignored.
func (r *relation[V]) announce(id string) {
	if id == "" {
		return
	}
	r.mu.Lock()
	r.wanted = append(r.wanted, id)
	r.mu.Unlock()
}

// load returns what belongs to id, the zero value if there is nothing.
func (r *relation[V]) load(ctx context.Context, id string) (V, error) {
	r.mu.Lock()
	b := r.batches[id]
	if b == nil {
		b = &batch[V]{}
		for _, id := range append(r.wanted, id) {
			if id != "" && r.batches[id] == nil {
				b.ids = append(b.ids, id)
				r.batches[id] = b
			}
		}
		r.wanted = nil
	}
	r.mu.Unlock()
	b.once.Do(func() { b.values, b.err = r.fetch(ctx, b.ids) })
	return b.values[id], b.err
}

// loaders are the relations of one root field or event: nothing is kept from one mutation or event to
// the next.
type loaders struct {
	definitions *relation[*db.PipelineDefinition]
	incidents   *relation[*db.Incident]
	runs        *relation[*db.Run]
	stages      *relation[[]db.StageExecution] // by run
	summaries   *relation[[]db.StageExecution] // the same without outputs
	deliveries  *relation[*db.Delivery]        // without bodies
	decisions   *relation[[]db.Decision]       // by delivery
	results     *relation[*engine.RunResult]   // by run
	actions     *relation[[]db.IncidentAction] // by incident
	timelines   *relation[engine.Timeline]     // by incident
	schedules   *relation[[]db.Schedule]       // by definition

	notifications *relation[[]db.NotificationMessage] // by run
	attempts      *relation[[]db.NotificationAttempt] // by notification
	health        *relation[engine.ChannelStatus]     // by channel

	versionsOf                                  *pages[db.PipelineDefinitionVersion] // of definitions
	runsOfDefinition, runsOfIncident, childRuns *pages[db.Run]
	alertsOf                                    *pages[db.Alert]               // of incidents
	decisionsOf                                 *pages[db.Decision]            // of incidents
	notificationsOf                             *pages[db.NotificationMessage] // of incidents

	lastChange func() (db.Position, error) // before any list was read
}

type loadersKey struct{}

type lazyLoaders struct {
	make func(context.Context) *loaders
	once sync.Once
	made *loaders
}

// withLoaders puts fresh relations into ctx; they are made when the first is asked for.
func (r *Resolver) withLoaders(ctx context.Context) context.Context {
	return context.WithValue(ctx, loadersKey{}, &lazyLoaders{make: r.newLoaders})
}

func (r *Resolver) newLoaders(ctx context.Context) *loaders {
	l := &loaders{
		actions:    newRelation(r.store.IncidentActionsByIncident),
		stages:     newRelation(r.store.StagesByRun),
		summaries:  newRelation(r.store.StageSummariesByRun),
		deliveries: newRelation(r.store.DeliveriesByID),
		attempts:   newRelation(r.store.AttemptsByNotification),
		health: newRelation(func(ctx context.Context, names []string) (map[string]engine.ChannelStatus, error) {
			statuses, err := r.engine.ChannelStatuses(ctx)
			out := make(map[string]engine.ChannelStatus, len(names))
			for _, name := range names {
				out[name] = statuses.Of(name)
			}
			return out, err
		}),
	}
	l.versionsOf = newPages(r.store.VersionsByDefinition, nil, func(*db.PipelineDefinitionVersion) {})
	l.runsOfDefinition = newPages(r.store.RunsByDefinition, r.store.CountRunsByDefinition, l.announceRun)
	l.runsOfIncident = newPages(r.store.RunsByIncident, r.store.CountRunsByIncident, l.announceRun)
	l.childRuns = newPages(r.store.RunsByParent, r.store.CountRunsByParent, l.announceRun)
	l.alertsOf = newPages(r.store.AlertListsByIncident, r.store.CountAlertsByIncident, func(a *db.Alert) { l.incidents.announce(a.IncidentID) })
	l.decisionsOf = newPages(r.store.DecisionsByIncident, r.store.CountDecisionsByIncident, func(d *db.Decision) { l.announceDecisions([]db.Decision{*d}) })
	l.notificationsOf = newPages(r.store.NotificationsByIncident, r.store.CountNotificationsByIncident, func(m *db.NotificationMessage) { l.announceNotifications([]db.NotificationMessage{*m}) })
	l.lastChange = sync.OnceValues(func() (db.Position, error) { return r.store.LastChange(ctx) })
	l.incidents = newRelation(func(ctx context.Context, ids []string) (map[string]*db.Incident, error) {
		for _, id := range ids {
			l.announceIncident(id)
		}
		return r.store.IncidentsByID(ctx, ids)
	})
	l.definitions = newRelation(func(ctx context.Context, ids []string) (map[string]*db.PipelineDefinition, error) {
		for _, id := range ids {
			l.announceDefinition(id)
		}
		return r.store.DefinitionsByID(ctx, ids)
	})
	l.schedules = newRelation(func(ctx context.Context, ids []string) (map[string][]db.Schedule, error) {
		byDefinition, err := r.store.SchedulesByDefinition(ctx, ids)
		for _, list := range byDefinition {
			l.announceSchedules(list)
		}
		return byDefinition, err
	})
	l.runs = newRelation(func(ctx context.Context, ids []string) (map[string]*db.Run, error) {
		runs, err := r.store.RunsByID(ctx, ids)
		for _, run := range runs {
			l.announceRun(run)
		}
		return runs, err
	})
	l.decisions = newRelation(func(ctx context.Context, ids []string) (map[string][]db.Decision, error) {
		byDelivery, err := r.store.DecisionsByDelivery(ctx, ids)
		for _, list := range byDelivery {
			l.announceDecisions(list)
		}
		return byDelivery, err
	})
	l.notifications = newRelation(func(ctx context.Context, ids []string) (map[string][]db.NotificationMessage, error) {
		byRun, err := r.store.NotificationsByRun(ctx, ids)
		for _, list := range byRun {
			l.announceNotifications(list)
		}
		return byRun, err
	})
	l.timelines = newRelation(func(ctx context.Context, ids []string) (map[string]engine.Timeline, error) {
		timelines, err := r.engine.Timelines(ctx, ids)
		for _, t := range timelines {
			for _, e := range t.Entries {
				switch e.Kind {
				case engine.TimelineAlertFired:
					l.incidents.announce(e.Alert.IncidentID)
				case engine.TimelineRunStarted:
					l.announceRun(e.Run)
				case engine.TimelineDecision:
					l.announceDecisions([]db.Decision{*e.Decision})
				case engine.TimelineNotification:
					l.announceNotifications([]db.NotificationMessage{*e.Notification})
				}
			}
		}
		return timelines, err
	})
	l.results = newRelation(func(ctx context.Context, ids []string) (map[string]*engine.RunResult, error) {
		byID, err := r.store.RunsByID(ctx, ids)
		if err != nil {
			return nil, err
		}
		runs := make([]db.Run, 0, len(byID))
		for _, run := range byID {
			runs = append(runs, *run)
		}
		results, err := r.engine.Results(ctx, runs)
		if err != nil {
			return nil, err
		}
		out := make(map[string]*engine.RunResult, len(results))
		for i := range results {
			out[results[i].RunID] = &results[i]
		}
		return out, nil
	})
	return l
}

func loadersOf(ctx context.Context) *loaders {
	lazy := ctx.Value(loadersKey{}).(*lazyLoaders)
	lazy.once.Do(func() { lazy.made = lazy.make(ctx) })
	return lazy.made
}

// announceDefinition is called with every definition that a resolver returns.
func (l *loaders) announceDefinition(id string) {
	l.schedules.announce(id)
	l.versionsOf.announce(id)
	l.runsOfDefinition.announce(id)
}

// announceIncident is called with every incident that a resolver returns.
func (l *loaders) announceIncident(id string) {
	l.actions.announce(id)
	l.timelines.announce(id)
	l.runsOfIncident.announce(id)
	l.alertsOf.announce(id)
	l.decisionsOf.announce(id)
	l.notificationsOf.announce(id)
}

// announceRun is called with every run that a resolver returns.
func (l *loaders) announceRun(run *db.Run) {
	l.childRuns.announce(run.ID)
	l.definitions.announce(run.DefinitionID)
	l.incidents.announce(run.IncidentID)
	l.deliveries.announce(run.DeliveryID)
	l.runs.announce(run.ParentRunID)
	l.runs.announce(run.RerunOfRunID)
	l.stages.announce(run.ID)
	l.summaries.announce(run.ID)
	l.results.announce(run.ID)
	l.notifications.announce(run.ID)
}

// announceNotifications is called with all notifications that a resolver returns.
func (l *loaders) announceNotifications(list []db.NotificationMessage) {
	for _, m := range list {
		l.attempts.announce(m.ID)
		l.runs.announce(m.RunID)
		l.incidents.announce(m.IncidentID)
	}
}

// announceSchedules is called with all schedules that a resolver returns.
func (l *loaders) announceSchedules(schedules []db.Schedule) {
	for _, s := range schedules {
		l.definitions.announce(s.DefinitionID)
		l.runs.announce(s.LastRunID)
	}
}

// announceDecisions is called with all decisions that a resolver returns.
func (l *loaders) announceDecisions(decisions []db.Decision) {
	for _, d := range decisions {
		l.incidents.announce(d.IncidentID)
		l.deliveries.announce(d.DeliveryID)
		for _, c := range d.Considered {
			l.runs.announce(c.RunID)
		}
	}
}

func announceRuns(ctx context.Context, c db.Connection[db.Run]) db.Connection[db.Run] {
	for i := range c.Items {
		loadersOf(ctx).announceRun(&c.Items[i])
	}
	return c
}

func announceIncidents(ctx context.Context, c db.Connection[db.Incident]) db.Connection[db.Incident] {
	for i := range c.Items {
		loadersOf(ctx).announceIncident(c.Items[i].ID)
	}
	return c
}

func announceAlerts(ctx context.Context, c db.Connection[db.Alert]) db.Connection[db.Alert] {
	for i := range c.Items {
		loadersOf(ctx).incidents.announce(c.Items[i].IncidentID)
	}
	return c
}
