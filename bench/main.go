// Command bench measures the road of an alert: webhook in, three recorded stages, webhook out, on
// the built binary with SQLite and with PostgreSQL. Beside every figure it measures what the same
// machine can do at all in the same minute: single-row commits of the same store, and a relay that
// stores nothing. Compare the ratios; the figures themselves belong to the machine.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"penstock/e2e/harness"
)

// plan says how long everything takes.
type plan struct {
	load    time.Duration // of each load on a store
	relay   time.Duration // of each load on the relay
	commits time.Duration
	drain   time.Duration // how long what was accepted may take to arrive
}

var (
	full  = plan{load: 10 * time.Second, relay: 3 * time.Second, commits: 3 * time.Second, drain: 20 * time.Second}
	short = plan{load: 2 * time.Second, relay: time.Second, commits: time.Second, drain: 10 * time.Second}
)

func main() {
	if target := os.Getenv(relayVariable); target != "" {
		exit(relay(target))
	}
	if file := os.Getenv(bareVariable); file != "" {
		exit(bare(file))
	}
	var o options
	flag.BoolVar(&o.short, "short", false, "two seconds per load instead of ten")
	flag.BoolVar(&o.json, "json", false, "print the report as JSON")
	flag.StringVar(&o.store, "store", "", "sqlite or postgres only")
	flag.StringVar(&o.profile, "profile", "", "directory for a CPU profile at 16 senders, or of the pages and of live events with -graphql, and a heap profile of each store")
	flag.BoolVar(&o.scale, "scale", false, "measure a large store and a long queue instead of the road; takes many minutes and some 10 GB")
	flag.IntVar(&o.waiting, "waiting", 0, "measure the memory of this many runs that wait for a receiver that is away, instead of the road")
	flag.Int64Var(&o.stored, "stored", 0, "with -scale, -graphql and -pages: runs in the large store (1,000,000, else 100,000)")
	flag.BoolVar(&o.pages, "pages", false, "measure the pages of the admin instead of the road: over many stored runs, beside their SQL alone")
	flag.Int64Var(&o.queued, "queued", 100_000, "with -scale: runs in the queue")
	flag.BoolVar(&o.graphql, "graphql", false, "measure GraphQL instead of the road: a list over many stored runs, and a thousand subscribers")
	flag.Parse()
	if flag.NArg() > 0 || (o.store != "" && o.store != sqlite && o.store != postgres) {
		flag.Usage()
		os.Exit(2)
	}
	if os.Getenv(postgresVariable) == "" && o.store != sqlite {
		exit(withPostgres())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, o))
}

type options struct {
	short, json    bool
	store, profile string
	scale, graphql bool
	pages          bool
	stored, queued int64
	waiting        int
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// withPostgres starts this program again with a PostgreSQL server of its own.
func withPostgres() error {
	const script = ".ci/with-postgres"
	if _, err := os.Stat(script); err != nil {
		return fmt.Errorf("%s is not set, and %s, which starts a server, is not here: run bench in the root of the module", postgresVariable, script)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(script, append([]string{script, self}, os.Args[1:]...), os.Environ())
}

func run(ctx context.Context, o options) error {
	p := full
	if o.short {
		p = short
	}
	others, err := loadAverage() // before the build, which is a load too
	if err != nil {
		return fmt.Errorf("%w: the benchmark needs Linux", err)
	}
	dir, err := os.MkdirTemp("", "penstock-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	say(o, "building")
	binary, err := harness.Build(ctx, dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	r := report{
		Time: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), CPUs: runtime.NumCPU(), OthersLoad: others,
		Revision: revision(ctx), LoadSeconds: p.load.Seconds(), BinaryMB: float64(info.Size()) / 1e6,
	}
	stores := func(yield func(*bench) bool) {
		for _, store := range []string{sqlite, postgres} {
			if o.store != "" && o.store != store {
				continue
			}
			say(o, store)
			if !yield(&bench{plan: p, store: store, dir: dir, binary: binary, profile: o.profile}) {
				return
			}
		}
	}
	switch {
	case o.graphql:
		return measureAll(o, stores, printGraph, func(b *bench) (*graphReport, error) { return b.graphql(ctx, cmp.Or(o.stored, 100_000)) })
	case o.scale:
		return measureAll(o, stores, printScale, func(b *bench) (*scaleReport, error) { return b.scale(ctx, cmp.Or(o.stored, 1_000_000), o.queued) })
	case o.waiting > 0:
		return measureAll(o, stores, printWaiting, func(b *bench) (*waitingReport, error) { return b.waiting(ctx, o.waiting) })
	case o.pages:
		return measureAll(o, stores, printPages, func(b *bench) (*pagesReport, error) { return b.admin(ctx, cmp.Or(o.stored, 100_000)) })
	}
	return measureAll(o, stores, func(o options, all []storeReport) error {
		r.Stores = all
		return errors.Join(r.write(o), r.lost())
	}, func(b *bench) (*storeReport, error) { return b.run(ctx) })
}

// measureAll measures every store and prints what was found.
func measureAll[T any](o options, stores iter.Seq[*bench], print func(options, []T) error, measure func(*bench) (*T, error)) error {
	var all []T
	for b := range stores {
		t, err := measure(b)
		if err != nil {
			return fmt.Errorf("%s: %w", b.store, err)
		}
		all = append(all, *t)
	}
	return print(o, all)
}

func say(o options, text string) {
	if !o.json {
		fmt.Fprintln(os.Stderr, "bench:", text)
	}
}

// revision of the checkout, "" where there is none.
func revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return string(out[:len(out)-1])
}
