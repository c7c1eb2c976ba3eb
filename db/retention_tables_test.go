package db

import (
	"path/filepath"
	"testing"
)

// Whoever adds a table of rows that belong to runs, deliveries or incidents says when they go.
func TestRetentionKnowsEveryTable(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "penstock.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, k := range []expiring{expiringRuns, expiringBodies, expiringMessages, expiringDeliveries, expiringIncidents, expiringAlerts} {
		known[k.table] = true
		for _, p := range k.parts {
			known[p.table] = true
		}
	}
	var tables []string
	err = s.read.NewRaw(`SELECT DISTINCT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'
		AND c.name IN ('run_id', 'delivery_id', 'incident_id', 'message_id') ORDER BY m.name`).Scan(t.Context(), &tables)
	if err != nil || len(tables) < 5 {
		t.Fatal(tables, err)
	}
	for _, table := range tables {
		if !known[table] {
			t.Errorf("the rows of %s stay for ever: name the table in retention.go", table)
		}
	}
}
