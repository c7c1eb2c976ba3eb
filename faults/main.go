// Command faults injects faults into the built binary and checks that nothing that was acknowledged is
// lost: kill -9, a database that goes away, a full disk, receivers that misbehave, several processes.
// Every case starts penstock as a user would, feeds it alerts whatever happens, lets the fault strike,
// waits until the work is done and then compares what was promised, what is stored and what arrived.
//
//	go run ./faults --short
//	go run ./faults --case R01,R06 --store postgres
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"penstock/e2e/harness"
)

const (
	sqlite   = "sqlite"
	postgres = "postgres"

	postgresVariable = "PENSTOCK_TEST_POSTGRES"
)

// faultCase is a fault and what must hold under it. run returns an error when the case could not be carried
// out, and [notRun] when this machine cannot carry it out; what does not hold goes to world.problem.
type faultCase struct {
	id, title string
	stores    []string
	short     bool // part of the short pass
	run       func(ctx context.Context, w *world) error
}

// notRun is why a case cannot be carried out on this machine. It is never a pass.
type notRun string

func (n notRun) Error() string { return string(n) }

type options struct {
	cases, store, binary   string
	short, json, list, log bool
}

func main() {
	var o options
	flag.StringVar(&o.cases, "case", "", "only these, e.g. R01,R06 (default: all)")
	flag.StringVar(&o.store, "store", "", "sqlite or postgres only")
	flag.StringVar(&o.binary, "binary", "", "this penstock instead of one that is built first")
	flag.BoolVar(&o.short, "short", false, "the cases and the numbers that fit into a few minutes")
	flag.BoolVar(&o.json, "json", false, "print the results as JSON")
	flag.BoolVar(&o.list, "list", false, "print the cases and stop")
	flag.BoolVar(&o.log, "log", false, "print the end of the server's log after every case, not only after a failed one")
	flag.Parse()
	if flag.NArg() > 0 || (o.store != "" && o.store != sqlite && o.store != postgres) {
		flag.Usage()
		os.Exit(2)
	}
	chosen, err := o.choose()
	if err != nil {
		exit(err)
	}
	if o.list {
		exit(printList(chosen))
	}
	if os.Getenv(postgresVariable) == "" && o.store != sqlite {
		exit(withPostgres())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o, chosen))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// withPostgres starts this program again with a PostgreSQL server of its own.
func withPostgres() error {
	const script = ".ci/with-postgres"
	if _, err := os.Stat(script); err != nil {
		return fmt.Errorf("%s is not set, and %s, which starts a server, is not here: run faults in the root of the module", postgresVariable, script)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(script, append([]string{script, self}, os.Args[1:]...), os.Environ())
}

func (o options) choose() ([]faultCase, error) {
	all := allCases()
	if o.cases == "" {
		for i := range all {
			if o.short && !all[i].short {
				all[i].run = cannot("only without --short")
			}
		}
		return all, nil
	}
	var chosen []faultCase
	for _, id := range strings.Split(o.cases, ",") {
		n := len(chosen)
		for _, c := range all {
			if c.id == id {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("there is no case %q; see --list", id)
		}
	}
	return chosen, nil
}

func printList(all []faultCase) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, c := range all {
		short := ""
		if c.short {
			short = "short"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.id, strings.Join(c.stores, ","), short, c.title)
	}
	return t.Flush()
}

func run(ctx context.Context, o options, chosen []faultCase) error {
	dir, err := os.MkdirTemp("", "penstock-faults-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil { // a PostgreSQL of another user lives below it
		return err
	}
	if o.binary == "" {
		fmt.Fprintln(os.Stderr, "faults: building")
		if o.binary, err = harness.Build(ctx, dir); err != nil {
			return err
		}
	}
	var results []*result
	for _, c := range chosen {
		for _, store := range c.stores {
			if o.store != "" && o.store != store {
				continue
			}
			fmt.Fprintf(os.Stderr, "faults: %s on %s: %s\n", c.id, store, c.title)
			w := &world{
				result: &result{Case: c.id, Title: c.title, Store: store, Faults: map[string]int{}},
				short:  o.short, binary: o.binary, dir: filepath.Join(dir, c.id+"-"+store),
			}
			w.carryOut(ctx, c, o.log)
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			results = append(results, w.result)
		}
	}
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(results)
	} else {
		err = printTable(results)
	}
	for _, r := range results {
		if len(r.Problems) > 0 {
			err = errors.Join(err, fmt.Errorf("%s on %s did not hold", r.Case, r.Store))
		}
	}
	return err
}

// result of one case on one store.
type result struct {
	Case       string         `json:"case"`
	Title      string         `json:"title"`
	Store      string         `json:"store"`
	Load       string         `json:"load,omitempty"`
	Faults     map[string]int `json:"faults"`
	Accepted   int            `json:"accepted"`
	Lost       int            `json:"lost"`
	Duplicated int            `json:"duplicated"` // messages that a receiver got again, with the same key
	Recovery   float64        `json:"slowest_recovery_seconds"`
	Notes      []string       `json:"notes,omitempty"`
	Problems   []string       `json:"problems,omitempty"`
	NotRun     string         `json:"not_run,omitempty"`
	Seconds    float64        `json:"seconds"`
}

func (r *result) verdict() string {
	switch {
	case r.NotRun != "":
		return "not run: " + r.NotRun
	case len(r.Problems) > 0:
		return fmt.Sprintf("FAILED (%d)", len(r.Problems))
	}
	return "held"
}

func printTable(results []*result) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tstore\tload\tfaults injected\taccepted\tlost\tduplicated\tslowest recovery\ttook\tverdict")
	for _, r := range results {
		var faults []string
		for name, n := range r.Faults {
			faults = append(faults, fmt.Sprintf("%d× %s", n, name))
		}
		slices.Sort(faults)
		recovery := "-"
		if r.Recovery > 0 {
			recovery = fmt.Sprintf("%.2f s", r.Recovery)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%.0f s\t%s\n", r.Case, r.Store, r.Load, strings.Join(faults, ", "),
			r.Accepted, r.Lost, r.Duplicated, recovery, r.Seconds, r.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, n := range r.Notes {
			fmt.Printf("%s on %s: %s\n", r.Case, r.Store, n)
		}
		const most = 20
		for i, p := range r.Problems {
			if i == most {
				fmt.Printf("%s on %s: … and %d more\n", r.Case, r.Store, len(r.Problems)-most)
				break
			}
			fmt.Printf("%s on %s: FAILED: %s\n", r.Case, r.Store, p)
		}
	}
	return nil
}

func seconds(d time.Duration) float64 { return float64(d.Round(time.Millisecond)) / 1e9 }
