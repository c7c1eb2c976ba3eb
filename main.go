// Command penstock turns alerts into handled incidents: an alert arrives, a pipeline runs, the right
// channel is told. This file is the command line; serve.go, demo.go, run.go and the others beside it
// are its commands, and kinds.go lists what is built in.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules know their time zones wherever the binary runs

	"github.com/urfave/cli/v3"

	"penstock/engine"
	"penstock/fault"
)

// version is set when a release is built; otherwise the revision is shown.
var version = ""

func main() { os.Exit(run(os.Args)) }

// run is main with an exit status, so that tests can call it.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { // a person who presses Ctrl-C again does not want to wait
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt)
		go func() { <-again; os.Exit(130) }()
	})
	if err := commands().Run(ctx, args); err != nil {
		report(err)
		return 1
	}
	return 0
}

// errSilent ends a command with status 1 after it has said everything itself.
var errSilent = errors.New("")

func report(err error) {
	if errors.Is(err, errSilent) {
		return
	}
	text := err.Error()
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code != fault.Internal && f.Code != fault.Unavailable {
		text = strings.Replace(text, f.Error(), f.Message, 1) // the message says it all; its cause is for the log
	}
	fmt.Fprintln(os.Stderr, "penstock:", text)
	if invalid, ok := errors.AsType[*engine.InvalidError](err); ok {
		for _, issue := range append(invalid.Validation.Errors, invalid.Validation.Warnings...) {
			fmt.Fprintf(os.Stderr, "  %s: %s: %s\n", orRoot(issue.Path), issue.Severity, issue.Message)
		}
	}
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

func commands() *cli.Command {
	return &cli.Command{
		Name:  "penstock",
		Usage: "turns alerts into handled incidents",
		Description: "Start with:  penstock demo      one alert becomes one notification, here and now\n" +
			"Then:        penstock serve     the server; prints where it is and how to sign in\n\n" +
			"Every flag can be given as the environment variable that the command's --help names.",
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("there is no command %q; see penstock --help", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run reports
		Commands: []*cli.Command{
			serveCommand(), demoCommand(), runCommand(), validateCommand(), schemaCommand(), applyCommand(),
			whyCommand(), schedulesCommand(), tokenCommand(), userCommand(), migrateCommand(), copyCommand(),
			{
				Name: "version", Usage: "print the version",
				Action: func(_ context.Context, c *cli.Command) error {
					_, err := fmt.Fprintln(c.Root().Writer, versionText())
					return err
				},
			},
		},
	}
}

func versionText() string { return "penstock " + versionName() }

// versionName is the release, or which source the program was built of.
func versionName() string {
	if version != "" {
		return version
	}
	text := "(development)"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				text = "(development, revision " + s.Value + ")"
			}
		}
	}
	return text
}
