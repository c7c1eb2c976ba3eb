package engine_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
)

// TestASenderThatGivesUpHarmsNoOther: what it broke off is not remembered as the definition's fault.
func TestASenderThatGivesUpHarmsNoOther(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		var giveUp atomic.Pointer[context.CancelFunc]
		store := dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish, OnQuery: func(query string) {
			if cancel := giveUp.Load(); cancel != nil && strings.Contains(query, "pipeline_definition_versions") {
				(*cancel)()
			}
		}})
		s := start(t, store, hub, newScript())
		s.define("d", `[{"id":"a","type":"step"}]`)
		in := engine.Inbound{Definition: "d", ContentType: "application/json", Body: []byte(`{"any": "thing"}`)}

		ctx, cancel := context.WithCancel(t.Context())
		giveUp.Store(&cancel)
		if _, err := s.Receive(ctx, in); err == nil {
			t.Fatal("the sender gave up and was answered")
		}
		giveUp.Store(nil)
		if _, err := s.Receive(t.Context(), in); err != nil {
			t.Errorf("the next sender: %v", err)
		}
		deliveries, err := store.Deliveries(t.Context(), db.DeliveryFilter{Status: "rejected"})
		if err != nil || len(deliveries.Items) != 0 {
			t.Errorf("%d deliveries were rejected, %v", len(deliveries.Items), err)
		}
	})
}

// TestManySendersLookADefinitionUpOnce: those who waited for a store must not run it down when it is back.
func TestManySendersLookADefinitionUpOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		var lookUps atomic.Int64
		asked, answer := make(chan struct{}, 100), make(chan struct{})
		store := dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish, OnQuery: func(query string) {
			if strings.Contains(query, `FROM "pipeline_definitions"`) && strings.Contains(query, "'many'") {
				lookUps.Add(1)
				asked <- struct{}{}
				<-answer
			}
		}})
		s := start(t, store, hub, newScript())
		close(answer)
		s.define("many", `[{"id":"a","type":"step"}]`)
		answer = make(chan struct{})
		for len(asked) > 0 {
			<-asked
		}
		lookUps.Store(0)
		const senders = 50
		ended := make(chan error, senders)
		for range senders {
			go func() {
				_, err := s.Receive(t.Context(), engine.Inbound{Definition: "many", ContentType: "application/json", Body: []byte(`{"any": "thing"}`)})
				ended <- err
			}()
		}
		<-asked
		close(answer)
		for range senders {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := lookUps.Load(); n > 3 { // a second may be over
			t.Errorf("%d senders looked one definition up %d times", senders, n)
		}
	})
}

// TestManyMessagesLookAChannelUpOnce: as above, for those who have something to send.
func TestManyMessagesLookAChannelUpOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		hub := engine.NewHub()
		var lookUps atomic.Int64
		var hold atomic.Pointer[chan struct{}]
		store := dbtest.Open(t, db.Options{URL: url, OnCommit: hub.Publish, OnQuery: func(query string) {
			if held := hold.Load(); held != nil && strings.Contains(query, `FROM "channels"`) && strings.Contains(query, "'ops'") {
				lookUps.Add(1)
				<-*held
			}
		}})
		p := newPost()
		s := telling(t, store, hub, p, nil, "ops")
		s.define("page", `[{"id":"page","type":"page","config":{"channel":"ops"}}]`)
		answer := make(chan struct{})
		hold.Store(&answer)
		runs := make([]string, 20)
		for i := range runs {
			run, err := s.Execute(t.Context(), engine.ExecuteInput{Definition: "page"})
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = run.ID
		}
		eventually(t, "all wait for their channel", func() bool { return s.Stats().Load == 0 })
		if n := lookUps.Load(); n != 1 {
			t.Errorf("%d messages looked their channel up %d times", len(runs), n)
		}
		close(answer)
		for _, id := range runs {
			if r := s.wait(id); r.Status != db.RunCompleted {
				t.Errorf("%s is %s", id, r.Status)
			}
		}
	})
}
