package engine_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/engine"
	"penstock/fault"
)

// TestReceiveWhileTheStoreCannotBeRead: that a source cannot be looked up says nothing about the delivery. On
// SQLite nothing keeps a reader out that lets writers in.
func TestReceiveWhileTheStoreCannotBeRead(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	s := process(t, url, newScript())
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(t.Context()) }()
	if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE sources IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	in := engine.Inbound{Source: "unknown", ContentType: "application/json", Body: body(alert{"Disk", "db-1", "firing", "critical", "db"})}
	if _, err := s.Receive(t.Context(), in); !fault.Is(err, fault.Unavailable) {
		t.Errorf("answered %v, want that it be sent again", err)
	}
	page, err := s.store.Deliveries(t.Context(), db.DeliveryFilter{})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("kept %+v, %v", page.Items, err)
	}
}
