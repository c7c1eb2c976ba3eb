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
