package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

func watching(o *engine.Options) { o.SourcesEvery = 20 * time.Millisecond }

func (s *stack) source(in engine.SourceInput) {
	s.t.Helper()
	if _, _, err := s.SaveSource(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) send(source string) (engine.Accepted, error) {
	const body = `{"version":"4","groupKey":"k","status":"firing","receiver":"r","alerts":[{"status":"firing",
		"labels":{"alertname":"Watchdog"},"startsAt":"2026-11-22T10:00:00Z","fingerprint":"w"}]}`
	return s.Receive(s.t.Context(), engine.Inbound{Source: source, Body: []byte(body)})
}

// silences are the alerts about silent sources, "<source> <status>" from the newest on.
func (s *stack) silences() (list []string) {
	s.t.Helper()
	all, err := s.store.Alerts(s.t.Context(), db.AlertFilter{Source: engine.SourceSelf})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range all.Items {
		list = append(list, a.Labels["source"]+" "+a.Status)
	}
	return list
}

func TestSilentSource(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store *db.Store, hub *engine.Hub) {
		s := start(t, store, hub, newScript(), watching)
		driver, every := "alertmanager", 10
		s.source(engine.SourceInput{Name: "watchdog", Driver: &driver, ExpectEvery: &every})
		for range 3 {
			if _, err := s.send("watchdog"); err != nil {
				t.Fatal(err)
			}
		}
		var src *db.Source
		eventually(t, "the delivery is noted", func() bool {
			var err error
			if src, err = store.Source(t.Context(), "watchdog"); err != nil {
				t.Fatal(err)
			}
			return !src.LastReceivedAt.IsZero()
		})
		if got := src.DueAt.Sub(src.LastReceivedAt); got != 10*time.Second {
			t.Errorf("it is late after %s", got)
		}
		if len(s.silences()) != 0 {
			t.Fatal("it is silent already")
		}
		// The clock goes on in the store alone: what was heard was long ago.
		s.late("watchdog")
		eventually(t, "the alert", func() bool { return len(s.silences()) > 0 })
		if got := fmt.Sprint(s.silences()); got != "[watchdog firing]" {
			t.Error(got)
		}
		incidents, err := store.Incidents(t.Context(), db.IncidentFilter{})
		if err != nil {
			t.Fatal(err)
		}
		open := false
		for _, i := range incidents.Items {
			open = open || i.Title != "" && i.Status == db.IncidentOpen && i.Severity == db.SeverityCritical
		}
		if !open {
			t.Errorf("no critical incident: %+v", incidents.Items)
		}
		if _, err := s.send("watchdog"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the alert is resolved", func() bool { return fmt.Sprint(s.silences()) == "[watchdog resolved]" })

		// The next silence is another one, and ends with the source.
		s.late("watchdog")
		eventually(t, "the second alert", func() bool { return fmt.Sprint(s.silences()) == "[watchdog firing watchdog resolved]" })
		if err := s.DeleteSource(t.Context(), "watchdog"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is resolved", func() bool { return fmt.Sprint(s.silences()) == "[watchdog resolved watchdog resolved]" })
	})
}

// late makes a source late now.
func (s *stack) late(name string) {
	s.t.Helper()
	if err := s.store.WatchSources(s.t.Context(), nil, 365*24*time.Hour, time.Now().UTC().Add(time.Hour)); err != nil {
		s.t.Fatal(err)
	}
	src, err := s.store.Source(s.t.Context(), name)
	if err != nil || src.SilentSince.IsZero() {
		s.t.Fatalf("%+v, %v", src, err)
	}
}

func TestSourcesByName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *stack) {
		driver, off := "alertmanager", false
		s.source(engine.SourceInput{Name: "berlin", Driver: &driver})
		s.source(engine.SourceInput{Name: "anything"})
		s.source(engine.SourceInput{Name: "off", IsActive: &off})
		for name, want := range map[string]string{"berlin": "berlin", "anything": "anything", "alertmanager": "alertmanager", "": "alertmanager"} {
			a, err := s.send(name)
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			d, err := s.store.Delivery(t.Context(), a.DeliveryID)
			if err != nil || d.Source != want {
				t.Errorf("what was sent to %q is of %q: %v", name, d.Source, err)
			}
		}
		if _, err := s.send("off"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a source that is not active: %v", err)
		}
		if _, err := s.send("nowhere"); !fault.Is(err, fault.Unprocessable) || !strings.Contains(err.Error(), "alertmanager, anything, berlin") {
			t.Errorf("an unknown source: %v", err)
		}
		for field, in := range map[string]engine.SourceInput{
			"name":                 {Name: "Bad Name"},
			"driver":               {Name: "x", Driver: new("nope")},
			"expect_every_seconds": {Name: "x", ExpectEvery: new(1)},
			"grace_seconds":        {Name: "x", Grace: new(-1)},
		} {
			if _, _, err := s.SaveSource(t.Context(), in); err == nil || fault.Of(err).Fields[field] == "" {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, _, err := s.SaveSource(t.Context(), engine.SourceInput{Name: engine.SourceSelf}); err == nil {
			t.Error("penstock is a source that people may change")
		}
	})
}
