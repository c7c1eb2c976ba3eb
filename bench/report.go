package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"
)

// report of a whole run.
type report struct {
	Time        time.Time     `json:"time"`
	Revision    string        `json:"revision,omitempty"`
	Go          string        `json:"go"`
	CPUs        int           `json:"cpus"`
	OthersLoad  float64       `json:"load_average_before"` // above 0.5 somebody else uses the machine
	LoadSeconds float64       `json:"load_seconds"`
	BinaryMB    float64       `json:"binary_mb"`
	Stores      []storeReport `json:"stores"`
}

// storeReport is what one store reached, and beside it what the machine could do in the same minute.
type storeReport struct {
	Store        string        `json:"store"`
	FirstStartMS float64       `json:"first_start_ms"` // makes the schema
	StartMS      float64       `json:"start_ms"`
	IdleMB       float64       `json:"rss_idle_mb"`
	PeakMB       float64       `json:"rss_peak_mb"`
	Loads        []measurement `json:"loads"`
	FirstStageMS float64       `json:"accept_to_first_stage_p50_ms"`
	Relay        []measurement `json:"relay"`
	Commits      float64       `json:"commits_per_second"`

	Accepted   int `json:"accepted"`
	Received   int `json:"received"`
	Lost       int `json:"lost"` // accepted, never received
	Duplicates int `json:"duplicates"`
	Unknown    int `json:"unknown"` // received, never sent
}

// count closes the books after the last load.
func (r *storeReport) count(l *ledger, unknown int) {
	for n := int64(1); n <= l.count.Load(); n++ {
		if l.acked[n].Load() != 0 {
			r.Accepted++
		}
		if l.received[n].Load() != 0 {
			r.Received++
		}
	}
	r.Lost, r.Duplicates, r.Unknown = l.missing(), int(l.duplicates.Load()), unknown
}

func (r *report) write(o options) error {
	if !o.json {
		return r.print(os.Stdout)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// lost is an error if anything that was accepted did not arrive.
func (r *report) lost() error {
	for _, s := range r.Stores {
		if s.Lost > 0 || s.Unknown > 0 {
			return fmt.Errorf("%s: of %d accepted deliveries %d were lost; %d messages were of no delivery", s.Store, s.Accepted, s.Lost, s.Unknown)
		}
	}
	return nil
}

// at finds the measurement with that many senders, or with rate if senders is 0.
func at(all []measurement, senders int) measurement {
	for _, m := range all {
		if m.Senders == senders {
			return m
		}
	}
	return measurement{}
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d CPUs, %s, %.0f s per load; generator and receiver on the same machine\n",
		r.Time.Format("2006-01-02 15:04 MST"), r.CPUs, r.Go, r.LoadSeconds)
	if r.OthersLoad > 0.5 {
		fmt.Fprintf(w, "the load average was %.1f before it began: others use the machine, and every figure suffers\n", r.OthersLoad)
	}
	if r.Revision != "" {
		fmt.Fprintf(w, "revision %s\n", r.Revision)
	}
	for i := range r.Stores {
		if err := r.Stores[i].printLoads(w); err != nil {
			return err
		}
	}
	return r.printTargets(w)
}

func (r *storeReport) printLoads(w io.Writer) error {
	fmt.Fprintf(w, "\n%s: webhook in, %d recorded stages, webhook out\n", r.Store, stages)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\taccepted/s\tcompleted/s\tout p50 ms\tp90\tp99\tack p50 ms\tp99\tCPU s/1000\tshed\tfailed\t")
	row := func(name string, m measurement) {
		load := strconv.Itoa(m.Senders) + " senders"
		if m.Rate > 0 {
			load = strconv.Itoa(m.Rate) + "/s"
		}
		cpu := "-" // of the relay it is not measured
		if m.CPUSeconds > 0 {
			cpu = fmt.Sprintf("%.2f", m.CPUSeconds)
		}
		fmt.Fprintf(t, "%s%s\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%d\t%d\t\n", name, load, m.Accepted, m.Completed,
			m.EndToEnd.P50, m.EndToEnd.P90, m.EndToEnd.P99, m.Ack.P50, m.Ack.P99, cpu, m.Shed, m.Failed)
	}
	for _, m := range r.Loads {
		row("", m)
	}
	for _, m := range r.Relay {
		row("bare relay, ", m)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "single-row commits of the same store: %.0f/s; first start %.0f ms\n", r.Commits, r.FirstStartMS)
	_, err := fmt.Fprintf(w, "accepted %d, received %d, lost %d, duplicates %d\n", r.Accepted, r.Received, r.Lost, r.Duplicates)
	return err
}

// target is a line of the last table. Of most figures less is better.
type target struct {
	figure             string
	reached, land, aim float64
	more               bool
	format             string
}

func (t target) verdict() string {
	switch {
	case t.more && t.reached >= t.aim, !t.more && t.reached <= t.aim:
		return "aim"
	case t.more && t.reached >= t.land, !t.more && t.reached <= t.land:
		return "landed"
	}
	return "missed"
}

// targets are what the project wants to reach on two cores.
func (r *storeReport) targets() []target {
	senders, stageLand, stageAim, startLand, startAim, aim := 16, 0.25, 0.6, 3.0, 1.0, 0.06
	if r.Store == postgres {
		senders, stageLand, stageAim, startLand, startAim, aim = 64, 0.10, 0.25, 5.0, 2.0, 0.08
	}
	steady := at(r.Loads, 0)
	return []target{
		{fmt.Sprintf("completed/s at %d senders ÷ relay's at 16", senders), at(r.Loads, senders).Completed / at(r.Relay, 16).Completed, 0.03, aim, true, "%.3f"},
		{"stages/s at 16 senders ÷ commits/s (the target is without HTTP)", stages * at(r.Loads, 16).Completed / r.Commits, stageLand, stageAim, true, "%.2f"},
		{"webhook to receiver p50 at 100/s, ms", steady.EndToEnd.P50, 10, 4, false, "%.1f"},
		{"webhook to receiver p99 at 100/s, ms", steady.EndToEnd.P99, 60, 20, false, "%.1f"},
		{"accept to first stage p50, ms", r.FirstStageMS, startLand, startAim, false, "%.1f"},
		{"CPU seconds per 1,000 runs at 16 senders", at(r.Loads, 16).CPUSeconds, 5, 2, false, "%.2f"},
		{"RSS idle, MB", r.IdleMB, 60, 40, false, "%.0f"},
		{"RSS peak, MB", r.PeakMB, 250, 150, false, "%.0f"},
		{"start to ready, ms", r.StartMS, 300, 100, false, "%.0f"},
	}
}

func (r *report) printTargets(w io.Writer) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tstore\treached\tfirst landing\taim\t")
	row := func(store string, g target) {
		show := func(v float64) string { return fmt.Sprintf(g.format, v) }
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", g.figure, store, show(g.reached), show(g.land), show(g.aim), g.verdict())
	}
	for _, s := range r.Stores {
		for _, g := range s.targets() {
			row(s.Store, g)
		}
	}
	row("", target{"binary, MB", r.BinaryMB, 60, 40, false, "%.0f"})
	return t.Flush()
}
