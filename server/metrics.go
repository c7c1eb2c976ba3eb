package server

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"penstock/db"
)

// metrics are what Prometheus reads of this process.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(store *db.Store, log *slog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penstock_http_requests_total", Help: "Answered requests by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "penstock_http_request_duration_seconds", Help: "Time to answer by route; waiting for a run included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, runsCollector{store, log},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	if status == 0 { // a hijacked connection: its length says nothing about answering
		return
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, Timeout: 10 * time.Second})
}

var unfinishedRuns = prometheus.NewDesc("penstock_runs_unfinished", "Runs in the store that have not ended, by status.", []string{"status"}, nil)

// runsCollector asks the store at every scrape: several processes on one store report the same.
type runsCollector struct {
	store *db.Store
	log   *slog.Logger
}

func (runsCollector) Describe(ch chan<- *prometheus.Desc) { ch <- unfinishedRuns }

func (c runsCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	pending, running, err := c.store.UnfinishedCount(ctx)
	if err != nil { // the other metrics are wanted most when the store is down
		c.log.Warn("unfinished runs were not counted", "err", err)
		return
	}
	ch <- prometheus.MustNewConstMetric(unfinishedRuns, prometheus.GaugeValue, float64(pending), string(db.RunPending))
	ch <- prometheus.MustNewConstMetric(unfinishedRuns, prometheus.GaugeValue, float64(running), string(db.RunRunning))
}
