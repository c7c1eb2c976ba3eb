package db_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
)

func TestExecutors(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	s := dbtest.Open(t, db.Options{URL: url})
	ctx := t.Context()
	self := value(s.OpenExecutor(ctx, "self"))(t)
	defer self.Close()
	p := newProxy(t, url)
	remote := dbtest.Open(t, db.Options{URL: p.url})
	other := value(remote.OpenExecutor(ctx, "other"))(t)
	defer other.Close()
	now := time.Now()
	if dead := value(self.Dead(ctx, now))(t); len(dead) != 0 {
		t.Errorf("dead while all live: %v", dead)
	}

	must(t, s.Notify(ctx, db.ControlChannel, "cancel run"))
	for name, lock := range map[string]*db.ExecutorLock{"self": self, "other": other} {
		if n := receive(t, lock); n != (db.Notification{Channel: db.ControlChannel, Payload: "cancel run"}) {
			t.Errorf("%s heard %+v", name, n)
		}
	}
	r := startedRun(t, s)
	must(t, s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 1), event(r.ID, 2)}}).Wait(ctx))
	if n := receive(t, other); n.Channel != db.EventChannel || n.Payload != `["`+r.ID+`:2"]` {
		t.Errorf("after a commit of events: %+v", n)
	}

	// The clock of the database jumps, which is seen as a sign of life of long ago, or of the future.
	for _, jump := range []string{"- interval '10 minutes'", "+ interval '10 minutes'"} {
		execRaw(t, url, "UPDATE executors SET seen_at = now() "+jump)
		now = now.Add(19 * time.Second)
		if dead := value(self.Dead(ctx, now))(t); len(dead) != 0 {
			t.Errorf("dead after the clock of the database jumped by %s: %v", jump, dead)
		}
		value(other.Dead(ctx, now))(t) // it has something to say, whatever the clock says
		now = now.Add(19 * time.Second)
		if dead := value(self.Dead(ctx, now))(t); len(dead) != 0 {
			t.Errorf("dead 38 s after the clock jumped by %s, with a sign of life between: %v", jump, dead)
		}
	}
	now = now.Add(19 * time.Second)
	if dead := value(self.Dead(ctx, now))(t); len(dead) != 0 {
		t.Errorf("dead after 19 s without a sign of it: %v", dead)
	}
	now = now.Add(2 * time.Second)
	if dead := value(self.Dead(ctx, now))(t); !slices.Equal(dead, []string{"other"}) {
		t.Errorf("dead after 21 s without a sign of it: %v, want the other", dead)
	}
	value(other.Dead(ctx, now))(t) // it wakes up

	p.down() // as if the other process were killed
	if _, open := <-other.Notifications; open || other.Err() == nil {
		t.Error("a lost connection must close the notifications and say why")
	}
	var dead []string
	for deadline := time.Now().Add(5 * time.Second); len(dead) == 0 && time.Now().Before(deadline); {
		dead = value(self.Dead(ctx, now))(t)
	}
	if !slices.Equal(dead, []string{"other"}) {
		t.Errorf("dead: %v, want the other", dead)
	}
	if again := value(self.Dead(ctx, now))(t); len(again) != 0 {
		t.Errorf("dead again: %v", again)
	}
}

func receive(t *testing.T, lock *db.ExecutorLock) db.Notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		select {
		case n := <-lock.Notifications:
			return n
		case <-ctx.Done():
			t.Fatal("no notification came")
		}
	}
}

func TestNotificationsOfManyRunsFitIntoTheLimit(t *testing.T) {
	t.Parallel()
	s := dbtest.Open(t, db.Options{URL: dbtest.Postgres(t)})
	lock := value(s.OpenExecutor(t.Context(), "self"))(t)
	defer lock.Close()
	var runs []db.Run
	want := map[string]bool{}
	for range 400 {
		r := newRun()
		runs = append(runs, r)
		want[r.ID+":1"] = true
	}
	must(t, s.Accept(t.Context(), db.Acceptance{Runs: runs}))
	var commits []*db.Commit
	for _, r := range runs {
		commits = append(commits, s.WriteRun(db.RunWrite{RunID: r.ID, Events: []db.RunEvent{event(r.ID, 1)}}))
	}
	for _, c := range commits {
		must(t, c.Wait(t.Context()))
	}
	for len(want) > 0 {
		n := receive(t, lock)
		for item := range strings.SplitSeq(strings.Trim(n.Payload, `[]`), ",") {
			item = strings.Trim(item, `"`)
			if !want[item] {
				t.Fatalf("heard of %q, which is not expected or came twice", item)
			}
			delete(want, item)
		}
	}
}

func TestOneProcessHasNoExecutors(t *testing.T) {
	t.Parallel()
	s := dbtest.Open(t, db.Options{URL: dbtest.SQLite(t)})
	if lock, err := s.OpenExecutor(t.Context(), "self"); lock != nil || err != nil {
		t.Errorf("got %v, %v", lock, err)
	}
	must(t, s.Notify(t.Context(), db.ControlChannel, "nobody hears it"))
	ran := false
	must(t, s.WithAdvisoryLock(t.Context(), "name", func() error { ran = true; return nil }))
	if !ran {
		t.Error("the function did not run")
	}
}

func TestWithAdvisoryLock(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	held, release := make(chan struct{}), make(chan struct{})
	var released atomic.Bool
	ended := make(chan error, 2)
	first := dbtest.Open(t, db.Options{URL: url})
	go func() {
		ended <- first.WithAdvisoryLock(t.Context(), "name", func() error { close(held); <-release; return nil })
	}()
	<-held
	second := dbtest.Open(t, db.Options{URL: url})
	go func() {
		ended <- second.WithAdvisoryLock(t.Context(), "name", func() error {
			if !released.Load() {
				t.Error("two processes held one lock")
			}
			return nil
		})
	}()
	must(t, second.WithAdvisoryLock(t.Context(), "another name", func() error { return nil }))
	raw := openURL(t, url)
	for asking := 0; asking < 2; { // the holder and the one who asks
		must(t, raw.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%'").Scan(&asking))
	}
	// Whoever waits for the lock must not be in the way of what its holder does: this waits for open snapshots.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, statement := range []string{"CREATE TABLE t (a int)", "CREATE INDEX CONCURRENTLY t_a ON t (a)"} {
		_, err := raw.ExecContext(ctx, statement)
		must(t, err)
	}
	released.Store(true)
	close(release)
	must(t, <-ended)
	must(t, <-ended)
}
