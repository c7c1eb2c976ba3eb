package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"penstock/db"
	"penstock/engine"
)

func whyCommand() *cli.Command {
	return &cli.Command{
		Name:        "why",
		Usage:       "say why an alert, incident or delivery did or did not start a pipeline, or why a run was started",
		ArgsUsage:   "ID",
		Description: remoteHelp,
		Flags:       append(remoteFlags(), storeFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			id := c.Args().First()
			if id == "" || c.Args().Len() > 1 {
				return errors.New("give one id: of an alert, an incident, a run or a delivery")
			}
			w := new(engine.Why)
			var err error
			if remote, ok := remoteOf(c); ok {
				_, err = remote.call(ctx, http.MethodGet, "/orchestration/why/"+url.PathEscape(id)+"/", nil, w)
			} else {
				err = withStore(ctx, c, func(_ settings, store *db.Store) error {
					w, err = engine.Explain(ctx, store, id)
					return err
				})
			}
			if err != nil {
				return err
			}
			return printWhy(c.Root().Writer, w)
		},
	}
}

func printWhy(out io.Writer, w *engine.Why) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n  %s\n  %s\n", w.Kind, w.ID, w.Title, w.Answer)
	for _, d := range w.Decisions {
		about := d.Incident
		if about == "" {
			about = "alerts of no incident"
		}
		fmt.Fprintf(&b, "\n%s  %s: %s → %s\n  delivery %s from %s\n",
			d.ReceivedAt.UTC().Format(time.RFC3339), about, d.Change, d.Outcome, d.DeliveryID, d.Source)
		for _, c := range d.Considered {
			fmt.Fprintf(&b, "  %s %s (version %d", mark(c.Outcome), c.Definition, c.Version)
			if c.Expression != "" {
				fmt.Fprintf(&b, ", priority %d): %s: %s\n", c.Priority, strings.ReplaceAll(string(c.Outcome), "_", " "), c.Expression)
			} else {
				fmt.Fprintf(&b, "): %s\n", strings.ReplaceAll(string(c.Outcome), "_", " "))
			}
			for _, v := range c.Values {
				value := v.Value
				if v.Missing {
					value = "not there"
				}
				fmt.Fprintf(&b, "      %s = %s\n", v.Path, value)
			}
			if c.Detail != "" {
				fmt.Fprintf(&b, "      %s\n", c.Detail)
			}
		}
		for _, r := range d.Runs {
			fmt.Fprintf(&b, "  run %s of %s: %s\n", r.RunID, r.Definition, r.Status)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func mark(o db.ConsideredOutcome) string {
	if o == db.ConsideredMatched || o == db.ConsideredNamed {
		return "✓"
	}
	return "·"
}
