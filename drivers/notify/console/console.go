// Package console writes messages to the output of the program: the channel that always works.
package console

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// Config has no settings.
type Config struct{}

// Kind is the console driver. All drivers it builds share one lock, so that messages do not mix.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	var lock sync.Mutex
	return drivers.Define("console", "Console", func(context.Context, Config) (notify.Driver, error) {
		return &driver{deps, &lock}, nil
	})
}

type driver struct {
	deps notify.Deps
	lock *sync.Mutex
}

const textLimit = 64 << 10

func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return notify.Receipt{}, err
	}
	text := format(m, d.deps.Now())
	d.lock.Lock()
	defer d.lock.Unlock()
	if _, err := d.deps.Out.Write([]byte(text)); err != nil {
		return notify.Receipt{}, fault.Retry(fault.Wrap(err, fault.Unavailable, "The console cannot be written to."), 0)
	}
	outbound.Report(ctx, text, "written")
	return notify.Receipt{Response: "written"}, nil
}

func (d *driver) Missing() []string { return nil }

// format makes lines of which no part can command a terminal or look like the head of another message.
func format(m notify.Message, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", now.UTC().Format(time.RFC3339), m.Headline())
	if to := notify.OneLine(m.Channel); to != "" {
		fmt.Fprintf(&b, "    to: %s\n", to)
	}
	for _, f := range m.Details() {
		fmt.Fprintf(&b, "    %s: %s\n", f.Name, f.Value)
	}
	if text := strings.TrimSpace(notify.Cut(notify.Clean(m.Text), textLimit)); text != "" {
		for l := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(&b, "    %s\n", l)
		}
	}
	for _, l := range m.SafeLinks() {
		fmt.Fprintf(&b, "    %s: %s\n", l.Text, l.URL)
	}
	return b.String()
}
