package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/cron"
	"penstock/engine/definition"
	"penstock/server"
)

func schedulesCommand() *cli.Command {
	return &cli.Command{
		Name:        "schedules",
		Usage:       "show when definitions run by themselves, and the next five times",
		Description: remoteHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "definition", Usage: "only those of the definition of this name"},
		}, append(remoteFlags(), storeFlags()...)...),
		Action: func(ctx context.Context, c *cli.Command) (err error) {
			var list server.ScheduleList
			name := c.String("definition")
			if remote, ok := remoteOf(c); ok {
				_, err = remote.call(ctx, http.MethodGet, "/orchestration/schedules/?definition="+url.QueryEscape(name), nil, &list)
			} else {
				err = withStore(ctx, c, func(_ settings, store *db.Store) error {
					list, err = server.ReadSchedules(ctx, store, name)
					return err
				})
			}
			if err != nil {
				return err
			}
			if list.Count == 0 {
				text := "No definition has a schedule."
				if name != "" {
					text = fmt.Sprintf("The definition %s has no schedule.", name)
				}
				_, err = fmt.Fprintln(c.Root().Writer, text)
				return err
			}
			return printSchedules(c.Root().Writer, list.Schedules)
		},
	}
}

func printSchedules(w io.Writer, schedules []engine.ScheduleState) error {
	var b strings.Builder
	for _, s := range schedules {
		zone, err := cron.Zone(s.TimeZone)
		if err != nil {
			return err
		}
		tick := func(t time.Time) string { return tick(t.In(zone)) }
		fmt.Fprintf(&b, "%s  %s  %s  overlap %s, catch up %s\n", s.Definition, s.Cron, s.TimeZone, s.Overlap, s.CatchUp)
		if s.LastTick != nil {
			fmt.Fprintf(&b, "  last     %s  run %s\n", tick(*s.LastTick), *s.LastRunID)
		}
		if s.QueuedTick != nil {
			fmt.Fprintf(&b, "  waiting  %s\n", tick(*s.QueuedTick))
		}
		if s.SkippedTick != nil {
			fmt.Fprintf(&b, "  skipped  %d, last %s: %s\n", s.Skipped, tick(*s.SkippedTick), s.SkipReason)
		}
		if !s.IsActive {
			b.WriteString("  the definition is not active\n")
		}
		for _, next := range s.Next {
			fmt.Fprintf(&b, "  next     %s\n", tick(next))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tick is a time as the clocks of its zone show it.
func tick(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// printNextTimes says when a valid definition in a file would run by itself.
func printNextTimes(w io.Writer, file string) error {
	data, err := readDefinition(file)
	if err != nil {
		return err
	}
	doc, _ := definition.JSON(data)
	schedules, err := definition.Schedules(doc)
	if err != nil {
		return err
	}
	for i, s := range schedules {
		times, err := s.Times()
		if err != nil {
			return err
		}
		var next []string
		for _, t := range times.Upcoming(time.Now(), 5) {
			next = append(next, tick(t))
		}
		if _, err := fmt.Fprintf(w, "%s:/triggers/schedule/%d: next: %s\n", file, i, strings.Join(next, ", ")); err != nil {
			return err
		}
	}
	return nil
}
