package server

import (
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"penstock/db"
	"penstock/engine"
)

// metrics are what Prometheus reads of this process.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(store *db.Store, e *engine.Engine, log *slog.Logger) *metrics {
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
	m.registry.MustRegister(m.requests, m.seconds, newCollector(store, e, log),
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

// Metric is a line of the list of metrics.
type Metric struct{ Name, Labels, Help string }

// Metrics lists the metrics of Penstock itself, by name; those of Go and of the process come beside them.
func Metrics() []Metric {
	descs := make(chan *prometheus.Desc, 100)
	m := newMetrics(nil, nil, nil)
	m.requests.Describe(descs)
	m.seconds.Describe(descs)
	newCollector(nil, nil, nil).Describe(descs)
	close(descs)
	var list []Metric
	for d := range descs {
		// A Desc shows itself only as text.
		parts := metricText.FindStringSubmatch(d.String())
		list = append(list, Metric{Name: parts[1], Help: parts[2], Labels: strings.ReplaceAll(parts[3], ",", ", ")})
	}
	slices.SortFunc(list, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return list
}

var metricText = regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)",.*variableLabels: \{([^}]*)\}`)
