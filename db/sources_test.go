package db_test

import (
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func TestSourcesAreWatched(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		const patience = 30 * time.Second
		now := at
		watch := func(later time.Duration, heard map[string]time.Time) {
			t.Helper()
			for range int(later / (10 * time.Second)) { // as often as the engine does
				now = now.Add(10 * time.Second)
				must(t, s.WatchSources(t.Context(), nil, patience, now))
			}
			must(t, s.WatchSources(t.Context(), heard, patience, now))
		}
		silent := func(since time.Time) {
			t.Helper()
			if got := value(s.Source(t.Context(), "am"))(t); !got.SilentSince.Equal(since) {
				t.Fatalf("silent since %v at %v, want %v", got.SilentSince, now, since)
			}
		}
		in := db.Source{Name: "am", Driver: "alertmanager", IsActive: true, ExpectEvery: 300, Grace: 60, CreatedBy: "test"}
		saved, created, err := s.SaveSource(t.Context(), in, true, false, now)
		if err != nil || !created || !saved.DueAt.Equal(at.Add(6*time.Minute)) {
			t.Fatalf("%+v, created %v, %v", saved, created, err)
		}
		_, _, err = s.SaveSource(t.Context(), in, true, false, now)
		wantFault(t, "the same name", err, fault.Conflict)
		_, _, err = s.SaveSource(t.Context(), db.Source{Name: "nobody"}, false, true, now)
		wantFault(t, "an unknown name", err, fault.NotFound)

		watch(6*time.Minute, nil)
		silent(time.Time{})
		watch(10*time.Second, nil)
		silent(at.Add(6 * time.Minute))
		watch(time.Minute, nil)
		silent(at.Add(6 * time.Minute)) // it is the same silence

		heard := now
		watch(0, map[string]time.Time{"am": heard, "grafana": heard})
		silent(time.Time{})
		if other := value(s.Source(t.Context(), "grafana"))(t); other.Driver != "grafana" || !other.LastReceivedAt.Equal(heard) || other.Watched() {
			t.Errorf("what was heard of for the first time is %+v", other)
		}
		watch(0, map[string]time.Time{"am": heard.Add(-time.Minute)}) // another process stored less
		if got := value(s.Source(t.Context(), "am"))(t); !got.LastReceivedAt.Equal(heard) {
			t.Errorf("last received at %v, want %v", got.LastReceivedAt, heard)
		}

		watch(5*time.Minute, nil)
		now = now.Add(2 * time.Hour) // nobody watches
		watch(50*time.Second, nil)
		silent(time.Time{})
		watch(30*time.Second, nil)
		silent(heard.Add(6*time.Minute + 2*time.Hour + 10*time.Second)) // and the 10 s until somebody looked

		in.ExpectEvery = 0
		_, _, err = s.SaveSource(t.Context(), in, false, true, now)
		must(t, err)
		silent(time.Time{})
		must(t, s.SourceReported(t.Context(), "am", now))
		if got := value(s.Source(t.Context(), "am"))(t); !got.ReportedSince.Equal(now) {
			t.Errorf("reported since %v", got.ReportedSince)
		}
		must(t, s.DeleteSource(t.Context(), "am"))
		wantFault(t, "delete it again", s.DeleteSource(t.Context(), "am"), fault.NotFound)
	})
}
