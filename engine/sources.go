package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/db"
	"penstock/drivers/alerts"
	"penstock/fault"
)

const (
	// sourcesEvery is how often what was heard of sources is stored, and who has fallen silent is looked for.
	sourcesEvery = 5 * time.Second
	// sourcesPatience is how long nobody may have watched before that time counts as nobody's silence.
	sourcesPatience = 30 * time.Second

	shortestExpectation = 10             // seconds
	longestExpectation  = 31 * 24 * 3600 // seconds
)

// SourceInput says what is to be known of a source. Nil fields keep what is stored.
type SourceInput struct {
	Name        string
	Driver      *string // "" detects it
	Description *string
	ExpectEvery *int // seconds, 0: nothing is expected
	Grace       *int // seconds
	IsActive    *bool
	MustCreate  bool
	MustExist   bool
	Actor       string
}

// senders is what came from sources since it was last stored, and what is stored, as it was a moment ago.
type senders struct {
	mu    sync.Mutex
	fresh map[string]time.Time
	known map[string]db.Source

	next time.Time // of the sweeper alone
}

// note remembers that something came. It costs no write: the cycle stores it.
func (h *senders) note(name string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fresh == nil {
		h.fresh = map[string]time.Time{}
	}
	if at.After(h.fresh[name]) {
		h.fresh[name] = at
	}
}

func (h *senders) take() map[string]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := h.fresh
	h.fresh = nil
	return fresh
}

func (h *senders) learn(all []db.Source) {
	known := make(map[string]db.Source, len(all))
	for _, s := range all {
		known[s.Name] = s
	}
	h.mu.Lock()
	h.known = known
	h.mu.Unlock()
}

func (h *senders) source(name string) (db.Source, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.known[name]
	return s, ok
}

func (h *senders) all() map[string]db.Source {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.known)
}

// sourceOf finds what a caller names: a stored source, or a driver. ok is false if it is neither. What another
// process stored a moment ago is found too.
func (e *Engine) sourceOf(ctx context.Context, name string) (db.Source, bool, error) {
	if s, ok := e.senders.source(name); ok {
		return s, true, nil
	}
	if slices.Contains(e.o.Sources.Names(), name) {
		return db.Source{Name: name, Driver: name, IsActive: true}, true, nil
	}
	if !validName.MatchString(name) {
		return db.Source{}, false, nil
	}
	s, err := e.store.Source(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return db.Source{}, false, nil
	}
	if err != nil {
		return db.Source{}, false, err
	}
	return *s, true, nil
}

// hear notes a delivery that was accepted. What a person sends again says nothing of the sender, and what is no
// source's is nobody's.
func (e *Engine) hear(in Inbound, source string, at time.Time) {
	_, stored := e.senders.source(source)
	if in.replayOf == "" && (stored || slices.Contains(e.o.Sources.Names(), source)) {
		e.senders.note(source, at)
	}
}

// sourceNames are the names under which something may be sent.
func (e *Engine) sourceNames() []string {
	names := slices.Concat(e.o.Sources.Names(), slices.Collect(maps.Keys(e.senders.all())))
	slices.Sort(names)
	return slices.Compact(names)
}

// SaveSource creates or changes a source.
func (e *Engine) SaveSource(ctx context.Context, in SourceInput) (*db.Source, bool, error) {
	s := db.Source{Name: in.Name, IsActive: true, CreatedBy: in.Actor}
	if slices.Contains(e.o.Sources.Names(), in.Name) {
		s.Driver = in.Name
	}
	stored, err := e.store.Source(ctx, in.Name)
	switch {
	case err == nil:
		s = *stored
	case !fault.Is(err, fault.NotFound):
		return nil, false, err
	}
	if s, err = e.checkSource(s, in); err != nil {
		return nil, false, err
	}
	saved, created, err := e.store.SaveSource(ctx, s, in.MustCreate, in.MustExist, now())
	if err == nil {
		err = e.learnSources(ctx)
	}
	return saved, created, err
}

// checkSource returns the source as it will be, or what is wrong.
func (e *Engine) checkSource(s db.Source, in SourceInput) (db.Source, error) {
	set(&s.Driver, in.Driver)
	set(&s.Description, in.Description)
	set(&s.ExpectEvery, in.ExpectEvery)
	set(&s.Grace, in.Grace)
	set(&s.IsActive, in.IsActive)
	err := checkName(s.Name)
	switch {
	case err != nil:
	case s.Name == SourceSelf || s.Name == SourceCheck:
		err = fault.About("name", fault.New(fault.Invalid, "The name %q is for alerts of Penstock's own.", s.Name))
	case s.Driver != "" && !slices.Contains(e.o.Sources.Names(), s.Driver):
		err = fault.About("driver", fault.New(fault.Unprocessable, "There is no source driver %q. Available: %s; without one it is detected.", s.Driver, strings.Join(e.o.Sources.Names(), ", ")))
	case s.ExpectEvery != 0 && (s.ExpectEvery < shortestExpectation || s.ExpectEvery > longestExpectation):
		err = fault.About("expect_every_seconds", fault.New(fault.Unprocessable, "expect_every_seconds must be 0 or from %d to %d.", shortestExpectation, longestExpectation))
	case s.Grace < 0 || s.Grace > longestExpectation:
		err = fault.About("grace_seconds", fault.New(fault.Unprocessable, "grace_seconds must be from 0 to %d.", longestExpectation))
	}
	return s, err
}

func set[T any](into *T, value *T) {
	if value != nil {
		*into = *value
	}
}

// DeleteSource forgets a source. An alert about its silence ends.
func (e *Engine) DeleteSource(ctx context.Context, name string) error {
	s, err := e.store.Source(ctx, name)
	if err != nil {
		return err
	}
	if err := e.store.DeleteSource(ctx, name); err != nil {
		return err
	}
	if !s.SilentSince.IsZero() { // it may have been reported a moment ago, without a note of it yet
		s.ReportedSince, s.SilentSince = s.SilentSince, time.Time{}
	}
	if err := e.reportSource(ctx, s); err != nil {
		return err
	}
	return e.learnSources(ctx)
}

func (e *Engine) learnSources(ctx context.Context) error {
	all, err := e.store.Sources(ctx)
	if err == nil {
		e.senders.learn(all)
	}
	return err
}

// watchSources stores what was heard and reports who has fallen silent or come back. It is called by the sweeper.
func (e *Engine) watchSources(ctx context.Context) error {
	if time.Now().Before(e.senders.next) {
		return nil
	}
	e.senders.next = time.Now().Add(e.o.SourcesEvery)
	fresh := e.senders.take()
	watched := func(s db.Source) bool { return s.Watched() || s.ReportedSince != s.SilentSince }
	if len(fresh) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(e.senders.all())), watched) {
		if err := e.store.WatchSources(ctx, fresh, sourcesPatience, now()); err != nil {
			for name, at := range fresh { // another time
				e.senders.note(name, at)
			}
			return err
		}
	}
	if err := e.learnSources(ctx); err != nil {
		return err
	}
	for _, s := range e.senders.all() {
		if err := e.reportSource(ctx, &s); err != nil {
			return err
		}
	}
	return nil
}

// reportSource raises or resolves the alert about a source whose silence began or ended. The store knows what was
// reported, and a report has a key, so that it is one alert however many processes see it.
func (e *Engine) reportSource(ctx context.Context, s *db.Source) error {
	if s.ReportedSince.Equal(s.SilentSince) {
		return nil
	}
	if !s.ReportedSince.IsZero() { // that silence is over
		if err := e.report(ctx, SourceSelf, reportKey(s.Name, s.ReportedSince, alerts.Resolved), silence(s, s.ReportedSince, alerts.Resolved)); err != nil {
			return err
		}
	}
	if !s.SilentSince.IsZero() {
		if err := e.report(ctx, SourceSelf, reportKey(s.Name, s.SilentSince, alerts.Firing), silence(s, s.SilentSince, alerts.Firing)); err != nil {
			return err
		}
	}
	return e.store.SourceReported(ctx, s.Name, s.SilentSince)
}

func reportKey(name string, since time.Time, status alerts.Status) string {
	return fmt.Sprintf("source/%s/%s/%s", name, since.UTC().Format(time.RFC3339Nano), status)
}

// silence is the alert about a source.
func silence(s *db.Source, since time.Time, status alerts.Status) alerts.Batch {
	last := "Nothing has come yet."
	if !s.LastReceivedAt.IsZero() {
		last = "The last came at " + s.LastReceivedAt.UTC().Format(time.DateTime) + " UTC."
	}
	a := alerts.Alert{
		Fingerprint: "source-silent/" + s.Name, Name: "SourceSilent", Host: s.Name, Status: status,
		Severity: alerts.Critical, SeverityText: string(alerts.Critical), StartsAt: since.UTC(),
		Summary: fmt.Sprintf("The source %s is silent", s.Name),
		Description: fmt.Sprintf("Something is expected from %s every %s, and nothing came for longer. %s Look whether the sender runs and reaches Penstock: until then nobody hears of its alerts.",
			s.Name, time.Duration(s.ExpectEvery)*time.Second, last),
		Labels: map[string]string{"alertname": "SourceSilent", "source": s.Name, "severity": string(alerts.Critical)},
	}
	if status == alerts.Resolved {
		a.EndsAt = new(now())
	}
	return alerts.Batch{Alerts: []alerts.Alert{a}}
}
