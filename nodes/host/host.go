// Package host measures the machine that Penstock runs on. Runs that ask at the same time, or within
// a second, share one measurement: an alert storm does not measure a thousand times.
package host

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Metrics are the names that [Want.Include] knows.
var Metrics = []string{"cpu", "memory", "disk", "processes", "load", "network", "host", "inodes", "temperature"}

// MaxProcesses is how many processes can be asked for.
const MaxProcesses = 100

// Want is what to measure. Nothing else is.
type Want struct {
	Include      []string // of Metrics
	Paths        []string // file systems for disk and inodes, at least one
	List         bool     // disk and inodes are lists even of one path
	TopProcesses int
}

// Sample is a measurement: plain data that runs share, so that nobody may change it. Sizes are in
// GB of 1024³ bytes and shares in percent, both rounded to two digits.
type Sample struct {
	Host   string         // name of the machine
	At     time.Time      // when the oldest part of it was taken
	System map[string]any // by metric; {"error": …} for one that cannot be read
	Failed []string       // what could not be read and why, a sentence each
}

// Reader measures. Use one for the whole process.
type Reader struct{ shared shared }

// New returns a reader.
func New() *Reader { return &Reader{} }

// Measure takes what is wanted, all metrics at the same time. It fails only if ctx ends.
func (r *Reader) Measure(ctx context.Context, w Want) (Sample, error) {
	s := Sample{System: map[string]any{}}
	s.Host, _ = os.Hostname()
	parts := make([]part, len(w.Include))
	var wg sync.WaitGroup
	for i, metric := range w.Include {
		wg.Go(func() { parts[i] = r.metric(ctx, metric, w) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return Sample{}, context.Cause(ctx)
	}
	for i, metric := range w.Include {
		s.System[metric] = parts[i].value
		s.Failed = append(s.Failed, parts[i].failed...)
		if at := parts[i].at; !at.IsZero() && (s.At.IsZero() || at.Before(s.At)) {
			s.At = at
		}
	}
	if s.At.IsZero() {
		s.At = time.Now()
	}
	return s, nil
}

// part is one metric of a sample.
type part struct {
	value  any
	at     time.Time
	failed []string
}

func (r *Reader) metric(ctx context.Context, metric string, w Want) part {
	switch metric {
	case "disk":
		return r.fileSystems(ctx, metric, w, diskUse)
	case "inodes":
		return r.fileSystems(ctx, metric, w, inodeUse)
	}
	p := r.take(ctx, metric, metric, takers[metric])
	if processes, ok := p.value.([]any); ok && metric == "processes" {
		p.value = processes[:min(len(processes), w.TopProcesses)]
	}
	return p
}

// fileSystems measures every path; an unreadable one is an entry with its error.
func (r *Reader) fileSystems(ctx context.Context, metric string, w Want, use func(context.Context, string) (any, error)) part {
	parts := make([]part, len(w.Paths))
	var wg sync.WaitGroup
	for i, path := range w.Paths {
		wg.Go(func() {
			parts[i] = r.take(ctx, metric+" "+path, metric+" of "+path, func(ctx context.Context) (any, error) { return use(ctx, path) })
			if entry, ok := parts[i].value.(map[string]any); ok && len(parts[i].failed) > 0 {
				entry["path"] = path
			}
		})
	}
	wg.Wait()
	if len(parts) == 1 && !w.List {
		return parts[0]
	}
	var all part
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p.value
		all.failed = append(all.failed, p.failed...)
		if all.at.IsZero() || !p.at.IsZero() && p.at.Before(all.at) {
			all.at = p.at
		}
	}
	all.value = list
	return all
}

func (r *Reader) take(ctx context.Context, key, what string, measure func(context.Context) (any, error)) part {
	t, err := r.shared.get(ctx, key, measure)
	if err != nil {
		text := "cannot be read: " + err.Error()
		return part{value: map[string]any{"error": text}, failed: []string{fmt.Sprintf("%s %s.", what, text)}}
	}
	return part{value: t.value, at: t.at}
}
