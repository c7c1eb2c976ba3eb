package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

func TestTroubleIsToldOnceAMinute(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		away := s.Accept(t.Context(), db.Acceptance{})
		if !db.IsDown(away) {
			t.Fatalf("a store that is closed answers %v", away)
		}
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			e := &Engine{log: slog.New(slog.NewTextHandler(&log, nil)), life: t.Context()}
			count := func(word string) int { return strings.Count(log.String(), word) }
			for range 300 { // two and a half minutes
				e.note(lookForWork, away)
				e.note("another chore", away)
				time.Sleep(500 * time.Millisecond)
			}
			if n := count("held up"); n != 3 || count(lookForWork) != 3 || count("see that the database runs") != 3 {
				t.Errorf("%d lines in two and a half minutes without a database, want 3 of %q that say what to do:\n%s", n, lookForWork, &log)
			}
			e.note(lookForWork, nil)
			e.note(lookForWork, nil)
			if count("the engine goes on") != 1 || count("after=2m30s") != 1 {
				t.Errorf("the end is told %d times, want once with the time it took:\n%s", count("the engine goes on"), &log)
			}
			log.Reset()
			e.note("another chore", errors.New("of its own"))
			e.note(lookForWork, away)
			if count("of its own") != 1 || count(lookForWork) != 1 {
				t.Errorf("other troubles, and new ones, are told at once:\n%s", &log)
			}
		})
	})
}
