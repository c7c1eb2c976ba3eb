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
