package server

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/db"
	"penstock/engine"
)

// collector asks store and engine at every scrape. What it asks the store for is the same on every process of it.
type collector struct {
	store  *db.Store
	engine *engine.Engine
	log    *slog.Logger
	descs  map[string]*prometheus.Desc
}

// figures are the metrics that store and engine know: name, help, labels.
var figures = []struct {
	name, help string
	labels     []string
}{
	{"build_info", "1, with the version of this process.", []string{"version", "go"}},
	{"start_time_seconds", "When this process started, in seconds since 1970.", nil},
	{"executors", "Processes that work on the store.", nil},
	{"runs_unfinished", "Runs in the store that have not ended, by status.", []string{"status"}},
	{"runs_retrying", "Runs in the store that wait for the next attempt of a stage.", nil},
	{"runs_stuck", "Runs in the store that have been pending for more than a minute.", nil},
	{"oldest_run_age_seconds", "How long the oldest run that has not ended has been under way; 0 without one.", nil},
	{"store_size_bytes", "Room that the database takes.", nil},
	{"store_used_bytes", "Room in it that holds data; on PostgreSQL the same.", nil},
	{"store_wal_bytes", "Room that SQLite's write-ahead log takes.", nil},
	{"store_up", "1 if the store answered this scrape.", nil},
	{"store_connections", "Connections to the database by pool and state.", []string{"pool", "state"}},
	{"store_connection_waits_total", "How often a connection had to be waited for, by pool.", []string{"pool"}},
	{"commit_duration_seconds", "Time of a commit that several callers share.", nil},
	{"commit_writes", "Writes that shared a commit.", nil},
	{"deliveries_total", "Deliveries by outcome: accepted, no_alerts, rejected, unavailable.", []string{"outcome"}},
	{"alerts_left_out_total", "Alerts that senders said they left out of their deliveries (truncatedAlerts).", nil},
	{"decisions_total", "What was decided about changes of incidents: started, no_route, repeat, nothing_to_resolve.", []string{"outcome"}},
	{"heartbeats_total", "Heartbeats by outcome: sent, failed (did not arrive), withheld (the engine did not work).", []string{"outcome"}},
	{"heartbeat_last_sent_seconds", "When the last heartbeat was sent, in seconds since 1970; 0 if none was.", nil},
	{"intake_lag_seconds", "Time from a delivery's arrival until its alerts were taken in.", nil},
	{"runs_in_process", "Runs that this process has accepted or works, and that have not ended.", nil},
	{"stages_running", "Stages that this process works.", nil},
	{"stages_limit", "Stages that this process may work at the same time.", nil},
	{"event_subscribers", "Readers that follow a run live on this process.", nil},
	{"source_last_received_seconds", "When the newest delivery of the source came, in seconds since 1970, as stored some seconds ago.", []string{"source"}},
	{"source_silent", "1 while the source is late.", []string{"source"}},
	{"channel_failing", "1 while messages do not get through the channel, as stored or seen by this process.", []string{"channel"}},
	{"channel_sending", "Messages that this process is sending through the channel.", []string{"channel"}},
	{"channel_waiting", "Messages that wait for their turn in the channel: in this process, or in the store, where most of many wait.", []string{"channel"}},
	{"retention_deleted_rows_total", "Rows that retention deleted, by table; bodies are emptied, not deleted.", []string{"table"}},
}

func newCollector(store *db.Store, e *engine.Engine, log *slog.Logger) collector {
	c := collector{store, e, log, map[string]*prometheus.Desc{}}
	for _, f := range figures {
		c.descs[f.name] = prometheus.NewDesc("penstock_"+f.name, f.help, f.labels, nil)
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. When the store is down the figures of the process are still there:
// they are wanted most then.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	value := func(kind prometheus.ValueType, name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], kind, v, labels...)
	}
	gauge := func(name string, v float64, labels ...string) { value(prometheus.GaugeValue, name, v, labels...) }
	count := func(name string, v int64, labels ...string) {
		value(prometheus.CounterValue, name, float64(v), labels...)
	}
	histogram := func(name string, h *db.Histogram) {
		n, sum, atMost := h.Snapshot()
		ch <- prometheus.MustNewConstHistogram(c.descs[name], n, sum, atMost)
	}

	s := c.engine.Stats()
	gauge("build_info", 1, s.Version, runtime.Version())
	gauge("start_time_seconds", float64(s.StartedAt.UnixMilli())/1000)
	gauge("runs_in_process", float64(s.Load))
	gauge("stages_running", float64(s.Stages))
	gauge("stages_limit", float64(s.Workers))
	gauge("event_subscribers", float64(s.Subscribers))
	for outcome, n := range s.Deliveries {
		count("deliveries_total", n, outcome)
	}
	count("alerts_left_out_total", s.LeftOut)
	for outcome, n := range s.Decisions {
		count("decisions_total", n, outcome)
	}
	for outcome, n := range s.Heartbeats {
		count("heartbeats_total", n, outcome)
	}
	last := 0.0
	if !s.LastBeat.IsZero() {
		last = float64(s.LastBeat.Unix())
	}
	gauge("heartbeat_last_sent_seconds", last)
	for table, n := range s.Expired {
		count("retention_deleted_rows_total", n, table)
	}
	for _, src := range s.Sources {
		silent := 0.0
		if !src.SilentSince.IsZero() {
			silent = 1
		}
		gauge("source_silent", silent, src.Name)
		if !src.LastReceivedAt.IsZero() {
			gauge("source_last_received_seconds", float64(src.LastReceivedAt.Unix()), src.Name)
		}
	}
	for name, ch := range c.engine.RecentChannelStatuses() {
		failing := 0.0
		if ch.State != string(db.ChannelOK) {
			failing = 1
		}
		gauge("channel_failing", failing, name)
		gauge("channel_sending", float64(ch.Sending), name)
		gauge("channel_waiting", float64(ch.Waiting), name)
	}
	histogram("intake_lag_seconds", s.IntakeLag)
	writes, seconds := c.store.Commits()
	histogram("commit_writes", writes)
	histogram("commit_duration_seconds", seconds)
	for pool, n := range c.store.Connections() {
		gauge("store_connections", float64(n.InUse), pool, "in_use")
		gauge("store_connections", float64(n.Open-n.InUse), pool, "idle")
		count("store_connection_waits_total", n.Waited, pool)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := c.engine.Status(ctx)
	if err != nil {
		if !db.IsDown(err) { // which the engine tells
			c.log.Warn("the store was not asked for its figures", "error", err)
		}
		gauge("store_up", 0)
		return
	}
	gauge("store_up", 1)
	gauge("executors", float64(all.Executors))
	gauge("runs_unfinished", float64(all.Backlog.Pending), string(db.RunPending))
	gauge("runs_unfinished", float64(all.Backlog.Running), string(db.RunRunning))
	gauge("runs_retrying", float64(all.Backlog.Retrying))
	gauge("runs_stuck", float64(all.Backlog.Stuck))
	age := 0.0
	if oldest := all.Backlog.Oldest; oldest != nil {
		age = max(now.Sub(oldest.CreatedAt).Seconds(), 0)
	}
	gauge("oldest_run_age_seconds", age)
	gauge("store_size_bytes", float64(all.Size.Bytes))
	gauge("store_used_bytes", float64(all.Size.Used))
	gauge("store_wal_bytes", float64(all.Size.WAL))
}
