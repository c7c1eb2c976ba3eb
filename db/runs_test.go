package db_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

// idsOf are the ids of a list without "run-".
func idsOf(c db.Connection[db.Run]) (ids string) {
	for _, r := range c.Items {
		ids += r.ID[4:]
	}
	return ids
}

func TestRunsArePaged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var runs []db.Run
		for i := range 7 {
			r := newRun()
			r.ID = fmt.Sprintf("run-%d", i)
			r.CreatedAt = at.Add(time.Duration(i/3) * time.Microsecond) // several at the same time
			r.Payload = []byte(`{}`)
			r.Status = []db.RunStatus{db.RunPending, db.RunFailed, db.RunCancelled, db.RunFailed}[i%4]
			if i == 1 || i == 4 {
				r.Error = "rare"
			}
			runs = append(runs, r)
		}
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: runs}))
		page := func(p db.Page) (db.Connection[db.Run], string) {
			t.Helper()
			c := value(s.Runs(t.Context(), db.RunFilter{Page: p}))(t)
			for _, r := range c.Items {
				if r.Payload != nil {
					t.Error("a list must leave the payload out")
				}
			}
			// Several states are read one by one, and make the same list.
			several := []db.RunStatus{db.RunFailed, db.RunPending, db.RunFailed, db.RunCancelled, db.RunCompleted}
			if same := value(s.Runs(t.Context(), db.RunFilter{Status: several, Page: p}))(t); !reflect.DeepEqual(same, c) {
				t.Errorf("page %+v of several states: %s (previous %v, next %v), not %s", p, idsOf(same), same.HasPrevious, same.HasNext, idsOf(c))
			}
			return c, idsOf(c)
		}
		check := func(what string, c db.Connection[db.Run], ids, want string, previous, next bool) {
			t.Helper()
			if ids != want || c.HasPrevious != previous || c.HasNext != next || len(c.Cursors) != len(c.Items) {
				t.Errorf("%s: %s (previous %v, next %v), want %s (previous %v, next %v)", what, ids, c.HasPrevious, c.HasNext, want, previous, next)
			}
		}
		c, ids := page(db.Page{})
		check("all", c, ids, "6543210", false, false)
		c, ids = page(db.Page{First: 3})
		check("first page", c, ids, "654", false, true)
		second, ids := page(db.Page{First: 3, After: c.Cursors[2]})
		check("second page", second, ids, "321", true, true)
		c, ids = page(db.Page{First: 3, After: second.Cursors[2]})
		check("last page", c, ids, "0", true, false)
		c, ids = page(db.Page{Last: 2, Before: second.Cursors[0]})
		check("back", c, ids, "54", true, true)
		c, ids = page(db.Page{Last: 2})
		check("from the end", c, ids, "10", true, false)
		c, ids = page(db.Page{After: second.Cursors[0], Before: second.Cursors[2]})
		check("between", c, ids, "2", true, true)

		old, ids := page(db.Page{First: 3, OldestFirst: true})
		check("oldest", old, ids, "012", false, true)
		c, ids = page(db.Page{First: 3, After: old.Cursors[1], OldestFirst: true})
		check("oldest, further", c, ids, "234", true, true)
		c, ids = page(db.Page{Last: 2, Before: c.Cursors[2], OldestFirst: true})
		check("oldest, back", c, ids, "23", true, true)
		c, ids = page(db.Page{Last: 2, OldestFirst: true})
		check("oldest, from the end", c, ids, "56", true, false)

		for what, want := range map[string]struct {
			page    db.Page
			found   string
			further string // what a search that goes on there finds
		}{
			"within what has it":      {db.Page{Within: 3}, "4", "1"},
			"within what has not":     {db.Page{Within: 1}, "", "41"},
			"within more than exists": {db.Page{Within: 8}, "41", ""},
			"full before the end":     {db.Page{First: 1, Within: 7}, "4", ""},
			"back":                    {db.Page{Last: 2, Within: 3}, "1", "4"},
			"the oldest within":       {db.Page{Within: 3, OldestFirst: true}, "1", "4"},
			"the oldest, back":        {db.Page{Last: 2, Within: 3, OldestFirst: true}, "4", "1"},
		} {
			c := value(s.Runs(t.Context(), db.RunFilter{Search: "rare", Page: want.page}))(t)
			ids := idsOf(c)
			further := ""
			if c.Further != "" {
				p := db.Page{After: c.Further, OldestFirst: want.page.OldestFirst}
				if want.page.Last > 0 {
					p = db.Page{Last: 9, Before: c.Further, OldestFirst: want.page.OldestFirst}
				}
				further = idsOf(value(s.Runs(t.Context(), db.RunFilter{Search: "rare", Page: p}))(t))
			}
			if ids != want.found || further != want.further {
				t.Errorf("%s: found %q, further %q, want %+v", what, ids, further, want)
			}
		}
		for what, p := range map[string]db.Page{
			"forged cursor": {After: "abc"}, "cursor of something else": {After: "bm90IGEgY3Vyc29y"}, "negative": {First: -1},
			"too many": {First: 100_000}, "both ends": {First: 1, Last: 1},
		} {
			_, err := s.Runs(t.Context(), db.RunFilter{Page: p})
			wantFault(t, what, err, fault.Invalid)
		}
	})
}

func TestRunsAreFiltered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		r := newRun()
		r.DeliveryID, r.IncidentID, r.ParentRunID, r.Error = "delivery", "incident", "parent", "it's broken"
		other := newRun()
		other.Status, other.Source, other.Environment, other.Trigger = db.RunFailed, "grafana", "staging", db.TriggerWebhook
		other.DefinitionID, other.DefinitionName, other.CreatedAt = "definition-2", "other", at.Add(time.Hour)
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{r, other}}))
		for name, f := range map[string]db.RunFilter{
			"status":          {Status: []db.RunStatus{db.RunPending, db.RunCancelled}},
			"source":          {Source: "test"},
			"environment":     {Environment: "production"},
			"definition id":   {DefinitionID: "definition"},
			"definition name": {DefinitionName: "demo"},
			"incident":        {IncidentID: "incident"},
			"delivery":        {DeliveryID: "delivery"},
			"parent":          {ParentRunID: "parent"},
			"trace":           {TraceID: r.TraceID},
			"trigger":         {Trigger: db.TriggerAPI},
			"before":          {CreatedBefore: at.Add(time.Hour)},
			"search":          {Search: "IT'S"},
			"search for id":   {Search: " " + strings.ToUpper(r.ID)},
			"search for part": {Search: r.ID[24:]},
		} {
			found := value(s.Runs(t.Context(), f))(t).Items
			if len(found) != 1 || found[0].ID != r.ID {
				t.Errorf("%s: found %+v", name, found)
			}
			if n := value(s.CountRuns(t.Context(), f))(t); n != 1 {
				t.Errorf("%s: counted %d", name, n)
			}
			if !f.Matches(&r) || f.Matches(&other) {
				t.Errorf("%s: matches %v, and another %v", name, f.Matches(&r), f.Matches(&other))
			}
		}
		after := value(s.Runs(t.Context(), db.RunFilter{CreatedAfter: at.Add(time.Hour)}))(t).Items
		if len(after) != 1 || after[0].ID != other.ID {
			t.Errorf("created after: found %+v", after)
		}
		byID := value(s.RunsByID(t.Context(), []string{r.ID, other.ID, "none"}))(t)
		if len(byID) != 2 || byID[other.ID].Source != "grafana" {
			t.Errorf("by id: %v", byID)
		}
		if none := value(s.RunsByID(t.Context(), nil))(t); len(none) != 0 {
			t.Errorf("by no id: %v", none)
		}
	})
}

func TestPendingRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var runs []db.Run
		for i := range 5 {
			r := newRun()
			r.CreatedAt = at.Add(time.Duration(i) * time.Second)
			runs = append(runs, r)
		}
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: runs}))
		started := value(s.StartRun(t.Context(), runs[1].ID))(t)
		if started.Status != db.RunRunning || started.Epoch != 1 || started.StartedAt.IsZero() {
			t.Errorf("started run is %+v", started)
		}
		pending := value(s.PendingRuns(t.Context(), at.Add(4*time.Second), 10))(t)
		if len(pending) != 3 || pending[0].ID != runs[0].ID || pending[1].ID != runs[2].ID || pending[2].ID != runs[3].ID {
			t.Errorf("pending: %+v", pending)
		}
		if oldest := value(s.PendingRuns(t.Context(), at.Add(time.Hour), 1))(t); len(oldest) != 1 || oldest[0].ID != runs[0].ID {
			t.Errorf("the oldest pending: %+v", oldest)
		}
		must(t, s.WriteRun(db.RunWrite{RunID: started.ID, Epoch: 1, Stages: []db.StageExecution{stage(started.ID, "later", db.StageRetrying)}}).Wait(t.Context()))
		if states := value(s.StageStatesByRun(t.Context(), []string{started.ID, runs[0].ID}))(t); len(states) != 1 || states[started.ID]["later"] != db.StageRetrying {
			t.Errorf("states of stages: %v", states)
		}
		b := value(s.Backlog(t.Context(), at.Add(3*time.Second)))(t)
		if b.Pending != 4 || b.Running != 1 || b.Retrying != 1 || b.Stuck != 2 || b.Oldest == nil || b.Oldest.ID != runs[0].ID {
			t.Errorf("backlog: %+v", b)
		}
	})
}

func TestARunThatHasEndedIsNotStarted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		r := startedRun(t, s)
		must(t, s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Run: &db.RunChange{Status: db.RunCompleted, FinishedAt: at}}).Wait(t.Context()))
		_, err := s.StartRun(t.Context(), r.ID)
		wantFault(t, "start a completed run", err, fault.Conflict)
		_, err = s.StartRun(t.Context(), "none")
		wantFault(t, "start an unknown run", err, fault.NotFound)
		_, err = s.CancelRun(t.Context(), r.ID, "late", at)
		wantFault(t, "cancel a completed run", err, fault.Conflict)
		_, err = s.CancelRun(t.Context(), "none", "late", at)
		wantFault(t, "cancel an unknown run", err, fault.NotFound)
		if got := value(s.Run(t.Context(), r.ID))(t); got.Epoch != r.Epoch || got.Status != db.RunCompleted {
			t.Errorf("run is %+v", got)
		}
	})
}

func TestCancelRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		r := startedRun(t, s)
		must(t, s.WriteRun(db.RunWrite{
			RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 1)},
			Stages: []db.StageExecution{stage(r.ID, "done", db.StageSucceeded), stage(r.ID, "busy", db.StageRunning), stage(r.ID, "later", db.StageRetrying)},
		}).Wait(t.Context()))
		cancelled := value(s.CancelRun(t.Context(), r.ID, "by ann", at))(t)
		if cancelled.Status != db.RunCancelled || cancelled.Error != "by ann" || cancelled.FinishedAt != at || cancelled.Epoch != r.Epoch+1 {
			t.Errorf("cancelled run is %+v", cancelled)
		}
		again := value(s.CancelRun(t.Context(), r.ID, "by bob", at.Add(time.Hour)))(t)
		if again.Error != "by ann" || again.Epoch != cancelled.Epoch {
			t.Errorf("cancelling again changed the run: %+v", again)
		}
		got := map[string]db.StageStatus{}
		for _, st := range value(s.Stages(t.Context(), r.ID))(t) {
			got[st.NodeID] = st.Status
		}
		if got["done"] != db.StageSucceeded || got["busy"] != db.StageCancelled || got["later"] != db.StageCancelled {
			t.Errorf("stages are %v", got)
		}
		events := value(s.Events(t.Context(), r.ID, 0, 10))(t)
		if len(events) != 4 || events[3].Sequence != 4 || events[3].Kind != "run" || events[3].Status != "cancelled" || events[3].Text != "by ann" {
			t.Errorf("events are %+v", events)
		}
		late := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Run: &db.RunChange{Status: db.RunCompleted}})
		if err := late.Wait(t.Context()); err == nil {
			t.Error("a write that was under way was stored after the cancellation")
		}
	})
}

func TestStagesAreReadForManyRunsInOneStatement(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var statements dbtest.Counter
		s := dbtest.Open(t, db.Options{URL: url, OnQuery: statements.OnQuery})
		var ids []string
		for range 3 {
			r := startedRun(t, s)
			ids = append(ids, r.ID)
			second := stage(r.ID, "a", db.StageSucceeded)
			second.Attempt, second.Position = 2, 1
			first := stage(r.ID, "a", db.StageFailed)
			first.Position = 1
			must(t, s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Stages: []db.StageExecution{second, first, stage(r.ID, "z", db.StageSkipped)}}).Wait(t.Context()))
		}
		n := statements.During(func() {
			for id, stages := range value(s.StagesByRun(t.Context(), ids[:2]))(t) {
				if len(stages) != 3 || stages[0].NodeID != "z" || stages[1].Attempt != 1 || stages[2].Attempt != 2 {
					t.Errorf("run %s: %+v", id, stages)
				}
			}
		})
		if n != 1 {
			t.Errorf("%d statements, want 1", n)
		}
	})
}

func TestRetryRun(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		r := startedRun(t, s)
		_, err := s.RetryRun(ctx, r.ID, nil, "", at)
		wantFault(t, "retry a running run", err, fault.Conflict)
		_, err = s.RetryRun(ctx, "none", nil, "", at)
		wantFault(t, "retry an unknown run", err, fault.NotFound)
		must(t, s.WriteRun(db.RunWrite{
			RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 1)}, Stages: []db.StageExecution{stage(r.ID, "a", db.StageFailed)},
			Run: &db.RunChange{Status: db.RunFailed, Error: "broken", FinishedAt: at},
		}).Wait(ctx))
		next := stage(r.ID, "a", db.StagePending)
		next.Attempt = 2
		retried := value(s.RetryRun(ctx, r.ID, []db.StageExecution{next}, "by ann", at))(t)
		if retried.Status != db.RunPending || retried.Error != "" || !retried.FinishedAt.IsZero() || retried.Epoch != r.Epoch+1 {
			t.Errorf("retried run is %+v", retried)
		}
		if stages := value(s.Stages(ctx, r.ID))(t); len(stages) != 2 || stages[1].Status != db.StagePending {
			t.Errorf("stages are %+v", stages)
		}
		last := value(s.LastSequence(ctx, r.ID))(t)
		if events := value(s.Events(ctx, r.ID, 1, 10))(t); last != 2 || len(events) != 1 || events[0].Text != "by ann" {
			t.Errorf("last event is %d, events are %+v", last, events)
		}
	})
}

func TestRunsPerHour(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		var runs []db.Run
		for i, after := range []time.Duration{-2 * time.Hour, 0, time.Minute, time.Hour} {
			r := newRun()
			r.ID, r.CreatedAt = fmt.Sprintf("run-%d", i), at.Truncate(time.Hour).Add(after)
			if i == 1 {
				r.Status = db.RunFailed
			}
			runs = append(runs, r)
		}
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: runs}))
		got := map[string][2]int{}
		for _, h := range value(s.RunsPerHour(t.Context(), at.Truncate(time.Hour)))(t) {
			got[h.Hour] = [2]int{h.Total, h.Failed}
		}
		first, next := at.Truncate(time.Hour).Format("2006-01-02 15"), at.Truncate(time.Hour).Add(time.Hour).Format("2006-01-02 15")
		if len(got) != 2 || got[first] != [2]int{2, 1} || got[next] != [2]int{1, 0} {
			t.Errorf("by hour: %v", got)
		}
	})
}
