package db_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"penstock/db"
	"penstock/db/dbtest"
)

// BenchmarkCommits compares the hot path with the rate of single-row commits of the same database:
//
//	raw     an INSERT of one row and its commit
//	accept  a delivery and a run
//	write   a stage execution and two events of a run, with the fence
func BenchmarkCommits(b *testing.B) {
	urls := map[string]string{"sqlite": dbtest.SQLite(b), "postgres": ""}
	if os.Getenv("PENSTOCK_TEST_POSTGRES") != "" {
		urls["postgres"] = dbtest.Postgres(b)
	}
	for _, dialect := range []string{"sqlite", "postgres"} {
		if urls[dialect] == "" {
			continue
		}
		s := dbtest.Open(b, db.Options{URL: urls[dialect], PoolSize: 32})
		raw := openRaw(b, s, urls[dialect])
		for _, callers := range []int{1, 16, 64} {
			var n atomic.Int64
			b.Run(fmt.Sprintf("%s/raw/%d", dialect, callers), func(b *testing.B) {
				parallel(b, callers, func() error {
					_, err := raw.ExecContext(b.Context(), fmt.Sprintf("INSERT INTO bench_raw (k, v) VALUES (%d, 'value')", n.Add(1)))
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/accept/%d", dialect, callers), func(b *testing.B) {
				parallel(b, callers, func() error {
					d, r := newDelivery(), newRun()
					r.DeliveryID = d.ID
					return s.Accept(b.Context(), db.Acceptance{Delivery: d, Runs: []db.Run{r}})
				})
			})
			b.Run(fmt.Sprintf("%s/write/%d", dialect, callers), func(b *testing.B) {
				runs := make(chan *benchRun, callers)
				for range callers {
					runs <- &benchRun{Run: startedRun(b, s)}
				}
				parallel(b, callers, func() error {
					r := <-runs
					defer func() { runs <- r }()
					return r.write(b, s)
				})
			})
		}
	}
}

type benchRun struct {
	*db.Run
	stages   int
	sequence int64
}

func (r *benchRun) write(b *testing.B, s *db.Store) error {
	r.stages++
	st := stage(r.ID, fmt.Sprint("node", r.stages), db.StageSucceeded)
	st.Output = json.RawMessage(`{"driver": "generic", "status": "sent", "response": 200}`)
	w := db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Stages: []db.StageExecution{st}}
	for range 2 {
		r.sequence++
		w.Events = append(w.Events, db.RunEvent{RunID: r.ID, Sequence: r.sequence, Kind: "stage", NodeID: st.NodeID, Attempt: 1, Status: "running", At: at})
	}
	return s.WriteRun(w).Wait(b.Context())
}

func openRaw(b *testing.B, s *db.Store, url string) *sql.DB {
	raw := s.SQLiteDB() // a second writer would only wait for the first
	if raw == nil {
		var err error
		if raw, err = sql.Open("pgx", url); err != nil {
			b.Fatal(err)
		}
		raw.SetMaxOpenConns(64)
		raw.SetMaxIdleConns(64)
		b.Cleanup(func() { raw.Close() })
	}
	strict := ""
	if strings.HasPrefix(url, "sqlite:") {
		strict = " STRICT"
	}
	if _, err := raw.ExecContext(b.Context(), "CREATE TABLE bench_raw (k INT, v TEXT)"+strict); err != nil {
		b.Fatal(err)
	}
	return raw
}

// parallel runs op b.N times with so many callers and reports the rate.
func parallel(b *testing.B, callers int, op func() error) {
	work := make(chan struct{})
	done := make(chan error, callers)
	for range callers {
		go func() {
			var first error
			for range work {
				if err := op(); err != nil && first == nil {
					first = err
				}
			}
			done <- first
		}()
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(0, "ns/op")
}
