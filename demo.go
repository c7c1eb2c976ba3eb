package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/urfave/cli/v3"

	"penstock/auth"
	"penstock/db"
	"penstock/db/seal"
	"penstock/engine"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "see one alert become one notification, here and now",
		Description: "Starts the real server on a free port with a temporary store, posts an Alertmanager alert to it over HTTP,\n" +
			"and shows every stage and the delivered message. Nothing leaves this machine. Runs until Ctrl-C.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "stop after the run; the exit status is 0 if it completed"},
			text("log-level", "PENSTOCK_LOG_LEVEL", "debug, info, warn or error", "warn", generalFlags),
		},
		Action: func(ctx context.Context, c *cli.Command) error { return demo(ctx, c, c.Root().Writer) },
	}
}

func demo(ctx context.Context, c *cli.Command, out io.Writer) error {
	dir, err := os.MkdirTemp("", "penstock-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := settings{dataDir: dir, databaseURL: "sqlite:" + filepath.Join(dir, "penstock.db"), publicURL: "http://" + public.Addr().String()}
	if s.logLevel, err = readLogLevel(c); err != nil {
		return err
	}
	if s.key, err = seal.ParseKey(seal.NewKey()); err != nil {
		return err
	}
	delivered := new(inbox)
	a, err := openApp(ctx, s, delivered, newLog(s.logLevel))
	if err != nil {
		return err
	}
	err = a.demo(ctx, public, delivered, c.Bool("once"), out)
	return errors.Join(err, a.store.Close())
}

// demo starts the server, tells the story, and stays until ctx ends.
func (a *app) demo(ctx context.Context, public net.Listener, delivered *inbox, once bool, out io.Writer) error {
	token, err := a.prepareDemo(ctx)
	if err != nil {
		return err
	}
	srv, err := a.newServer(public, nil)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.run(serving, srv) }()
	err = a.ready(ctx, done)
	if err == nil {
		err = a.tell(ctx, token, delivered, once, out)
	}
	if err == nil && !once {
		err = a.invite(ctx, token, out)
		select {
		case <-ctx.Done():
		case failed := <-done:
			done <- failed
		}
	}
	stop()
	return errors.Join(err, <-done)
}

// prepareDemo stores what the story needs and returns a token for its sender and visitor.
func (a *app) prepareDemo(ctx context.Context) (token string, err error) {
	_, _, err = a.engine.SaveChannel(ctx, engine.ChannelInput{
		Name: "on-call", Driver: "console", Description: new("Prints in the terminal of the demo."), Actor: "demo",
	})
	if err != nil {
		return "", err
	}
	for _, name := range []string{"demo", engine.DefaultDefinition} {
		config, err := shipped.ReadFile("examples/" + name + ".json")
		if err != nil {
			return "", err
		}
		if name == engine.DefaultDefinition { // its channel is the demo's
			config = []byte(strings.ReplaceAll(string(config), `"channel": "default"`, `"channel": "on-call"`))
		}
		if _, _, _, err := a.engine.SaveDefinition(ctx, engine.DefinitionInput{Name: name, Config: config, Actor: "demo"}); err != nil {
			return "", err
		}
	}
	token, _, err = a.auth.CreateToken(ctx, auth.TokenInput{Name: "demo", Scopes: []auth.Scope{auth.Admin}, CreatedBy: "demo"})
	return token, err
}

// tell posts the alert over HTTP and prints what happens to it.
func (a *app) tell(ctx context.Context, token string, delivered *inbox, once bool, out io.Writer) error {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	alert, err := shipped.ReadFile("examples/demo-alert.json")
	if err != nil {
		return err
	}
	base, path := a.settings.publicURL, "/orchestration/pipeline/?definition=demo"
	say("Penstock demo: one alert becomes one notification. Everything happens on this machine.\n")
	say("An Alertmanager reports a critical alert:\n  POST %s%s", base, path)
	var accepted engine.Accepted
	status, err := remote{base, token}.call(ctx, "POST", path, json.RawMessage(alert), &accepted)
	if err != nil {
		return err
	}
	if accepted.RunID == nil {
		return errors.New("the alert was accepted, but no run was started")
	}
	say("  answer %d: stored, run %s\n\nThe pipeline runs:", status, *accepted.RunID)
	result, err := a.follow(ctx, *accepted.RunID, out)
	if err != nil {
		return err
	}
	say("\nThe run is %s after %d ms. The on-call engineer reads:\n", result.Status, result.DurationMS)
	for line := range strings.Lines(delivered.String()) {
		_, _ = fmt.Fprint(out, "  │ ", line)
	}
	if result.Status != db.RunCompleted {
		return fmt.Errorf("the run ended %s, not completed", result.Status)
	}
	if !once { // then there is no server any more
		say("\nThe run in the browser: %s/admin/runs/%s", base, result.RunID)
	}
	return nil
}

// invite says how to look around.
func (a *app) invite(ctx context.Context, token string, out io.Writer) error {
	setup, err := a.auth.SetupToken(ctx)
	if err != nil {
		return err
	}
	base := a.settings.publicURL
	_, err = fmt.Fprintf(out, `
Look around:
  sign in first  %s/setup?token=%s
  GraphQL        %s/playground
  another alert  curl -H "Authorization: Bearer %s" -H "Content-Type: application/json" \
                   -d '{"title": "Backup failed", "severity": "warning", "host": "db-1"}' %s/webhooks/generic

Ctrl-C ends the demo and removes everything.
`, base, setup, base, token, base)
	return err
}

// inbox keeps what the console driver prints.
type inbox struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *inbox) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *inbox) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
