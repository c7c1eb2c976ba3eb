package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"penstock/db"
	"penstock/db/seal"
	"penstock/engine"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run one pipeline from a file, without a server",
		ArgsUsage: "FILE",
		Description: "The run uses a temporary store that is thrown away; what its notify nodes send is really sent.\n" +
			"Stages are printed to standard error as they happen, the result to standard output as JSON.\n" +
			"The exit status is 0 if the run ended completed or partial, else 1.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "payload", Usage: "file with the JSON payload, - for standard input (default: {})"},
			&cli.StringFlag{Name: "channels", Usage: "directory with channels and definitions that the pipeline uses, as for apply"},
			&cli.StringFlag{Name: "environment", Usage: "environment of the run", Value: "production"},
			text("allow-private-targets", "PENSTOCK_ALLOW_PRIVATE_TARGETS", "CIDRs and hosts that notifications and analysers may reach although private, separated by commas", "", generalFlags),
			text("log-level", "PENSTOCK_LOG_LEVEL", "debug, info, warn or error", "warn", generalFlags),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("run needs exactly one FILE with a pipeline definition; see penstock run --help")
			}
			return runFile(ctx, c)
		},
	}
}

func runFile(ctx context.Context, c *cli.Command) error {
	config, err := os.ReadFile(c.Args().First())
	if err != nil {
		return err
	}
	payload, err := readPayload(c.String("payload"), c.Root().Reader)
	if err != nil {
		return err
	}
	a, closeApp, err := temporary(ctx, c, os.Stderr)
	if err != nil {
		return err
	}
	defer closeApp()
	if dir := c.String("channels"); dir != "" {
		if err := a.engine.Apply(ctx, dir, false, false, "run", io.Discard); err != nil {
			return err
		}
	}
	name := "run"
	if _, _, _, err := a.engine.SaveDefinition(ctx, engine.DefinitionInput{Name: name, Config: config, Actor: "run", Admin: true}); err != nil {
		return fmt.Errorf("%s: %w", c.Args().First(), err)
	}

	result, err := a.working(ctx, func(ctx context.Context) (engine.RunResult, error) {
		run, err := a.engine.Execute(ctx, engine.ExecuteInput{
			Definition: name, Payload: payload, Source: "cli", Environment: c.String("environment"), Trigger: db.TriggerManual, Actor: "run",
		})
		if err != nil {
			return engine.RunResult{}, err
		}
		return a.follow(ctx, run.ID, os.Stderr)
	})
	if err != nil {
		return err
	}
	enc := json.NewEncoder(c.Root().Writer)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(result); err != nil {
		return err
	}
	if result.Status != db.RunCompleted && result.Status != db.RunPartial {
		return errSilent
	}
	return nil
}

func readPayload(file string, stdin io.Reader) (json.RawMessage, error) {
	switch file {
	case "":
		return json.RawMessage("{}"), nil
	case "-":
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// temporary opens an app on a store that is removed by the returned function.
func temporary(ctx context.Context, c *cli.Command, out io.Writer) (*app, func(), error) {
	s := settings{allowPrivate: words(c.String("allow-private-targets"))}
	var err error
	if s.logLevel, err = readLogLevel(c); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "penstock-")
	if err != nil {
		return nil, nil, err
	}
	s.dataDir, s.databaseURL = dir, "sqlite:"+filepath.Join(dir, "penstock.db")
	if s.key, err = seal.ParseKey(seal.NewKey()); err != nil {
		return nil, nil, err
	}
	a, err := openApp(ctx, s, out, newLog(s.logLevel))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return a, func() {
		if err := errors.Join(a.store.Close(), os.RemoveAll(dir)); err != nil {
			a.log.Warn("temporary store not removed", "dir", dir, "err", err)
		}
	}, nil
}

// working keeps the engine running while do does something.
func (a *app) working(ctx context.Context, do func(context.Context) (engine.RunResult, error)) (_ engine.RunResult, err error) {
	engineCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.engine.Run(engineCtx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done)
	}()
	if err := a.ready(ctx, done); err != nil {
		return engine.RunResult{}, err
	}
	return do(ctx)
}

// ready waits until the engine works.
func (a *app) ready(ctx context.Context, done chan error) error {
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for a.engine.Ready(ctx) != nil {
		select {
		case err := <-done:
			done <- err
			return errors.Join(err, ctx.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
	}
	return nil
}

// follow prints the run's stages as they happen and returns its result when it has ended.
func (a *app) follow(ctx context.Context, runID string, w io.Writer) (engine.RunResult, error) {
	started := map[string]time.Time{}
	for ev, err := range a.engine.Watch(ctx, runID, 0) {
		if err != nil {
			return engine.RunResult{}, err
		}
		switch {
		case ev.Kind == "log":
			_, _ = fmt.Fprintf(w, "      %s: %s\n", ev.NodeID, oneLine(ev.Text))
		case ev.Kind != "stage":
		case db.StageStatus(ev.Status) == db.StageRunning:
			started[ev.NodeID] = ev.At
		default:
			if err := a.printStage(ctx, w, ev, started[ev.NodeID]); err != nil {
				return engine.RunResult{}, err
			}
		}
	}
	if ctx.Err() != nil {
		return engine.RunResult{}, context.Cause(ctx)
	}
	return a.engine.Result(ctx, runID)
}

var stageMarks = map[db.StageStatus]string{
	db.StageSucceeded: "✓", db.StageFailed: "✗", db.StageRetrying: "↻", db.StageSkipped: "–", db.StageCancelled: "■",
}

func (a *app) printStage(ctx context.Context, w io.Writer, ev *db.RunEvent, started time.Time) error {
	status := db.StageStatus(ev.Status)
	mark, ended := stageMarks[status]
	if !ended {
		return nil
	}
	took, text := "", oneLine(ev.Text)
	if !started.IsZero() {
		took = ev.At.Sub(started).Round(time.Millisecond).String()
	}
	if status == db.StageSucceeded {
		stages, err := a.store.Stages(ctx, ev.RunID)
		if err != nil {
			return err
		}
		for _, stage := range stages {
			if stage.NodeID == ev.NodeID && stage.Attempt == ev.Attempt {
				text = gist(stage.NodeType, stage.Output)
			}
		}
	}
	line := fmt.Sprintf("  %s %-12s %-9s %6s  %s", mark, ev.NodeID, status, took, text)
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

// gist says in a few words what a node found or did, where its type has an obvious answer.
func gist(nodeType string, output json.RawMessage) string {
	var o struct {
		AlertsCreated  int    `json:"alerts_created"`
		AlertsUpdated  int    `json:"alerts_updated"`
		AlertsResolved int    `json:"alerts_resolved"`
		Severity       string `json:"severity"`
		Summary        string `json:"summary"`
		Branch         string `json:"branch"`
		Driver         string `json:"driver"`
		Channel        string `json:"channel"`
		Status         string `json:"status"`
		System         map[string]json.RawMessage
	}
	if json.Unmarshal(output, &o) != nil {
		return ""
	}
	switch nodeType {
	case "ingest":
		return fmt.Sprintf("%d new, %d updated, %d resolved alerts; severity %s", o.AlertsCreated, o.AlertsUpdated, o.AlertsResolved, o.Severity)
	case "context":
		return "looked at " + strings.Join(slices.Sorted(maps.Keys(o.System)), ", ")
	case "intelligence":
		return oneLine(o.Summary)
	case "condition":
		return "took the branch " + o.Branch
	case "notify":
		return fmt.Sprintf("%s by %s to %s", o.Status, o.Driver, o.Channel)
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
