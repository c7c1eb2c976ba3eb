package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"penstock/auth"
	"penstock/engine"
	"penstock/fault"
	"penstock/graph"
	"penstock/server"
)

// shipped are the definitions that come with the program.
//
//go:embed examples
var shipped embed.FS

// presetTitles are the definitions of examples/presets in the order they are offered.
var presetTitles = []struct{ name, title string }{
	{"direct", "Direct"}, {"health-checked", "Health-checked"}, {"ai-analysed", "AI-analysed"}, {"full", "Full"},
	{"local-monitor", "Local monitor"}, {"local-smart", "Local smart"},
}

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the server",
		Description: "Runs until it is told to stop (Ctrl-C, SIGTERM), then finishes what is being worked on.\n" +
			"At the first start it makes an admin token and prints a link to set up the first administrator.",
		Flags: append(serveFlags(), &cli.BoolFlag{Name: "print-routes", Usage: "print every route with the scope it needs, and stop"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("print-routes") {
				return printRoutes(c.Root().Writer)
			}
			s, err := readSettings(c)
			if err != nil {
				return err
			}
			return serve(ctx, s, c.Root().Writer)
		},
	}
}

func printRoutes(w io.Writer) error {
	routes, err := server.Routes()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range routes {
		scope := string(r.Scope)
		if r.Scope == auth.Public {
			scope = "public"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\n", r.Pattern, scope)
	}
	return t.Flush()
}

// serve opens everything, says where it is, and runs until ctx ends.
func serve(ctx context.Context, s settings, out io.Writer) error {
	log := newLog(s.logLevel)
	public, err := listen("PENSTOCK_LISTEN", s.listen)
	if err != nil {
		return err
	}
	defer func() { _ = public.Close() }()
	var ops net.Listener
	if s.opsListen != "" {
		if ops, err = listen("PENSTOCK_OPS_LISTEN", s.opsListen); err != nil {
			return err
		}
		defer func() { _ = ops.Close() }()
	}
	a, err := openApp(ctx, s, os.Stdout, log)
	if err != nil {
		return err
	}
	err = a.start(ctx, public, ops, out)
	return errors.Join(err, a.store.Close())
}

func listen(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, badSetting(setting, address, fmt.Sprintf("cannot be listened on (%v)", err), "127.0.0.1:8090")
	}
	return l, nil
}

// start prepares a new store, prints where everything is, and runs.
func (a *app) start(ctx context.Context, public, ops net.Listener, out io.Writer) error {
	tokenFile, err := a.auth.FirstStart(ctx, a.settings.bootstrapToken, filepath.Join(a.settings.dataDir, "initial-admin-token"))
	if err != nil {
		return err
	}
	if err := a.starter(ctx); err != nil {
		return err
	}
	if can, err := a.store.CanShrink(ctx); err != nil {
		return err
	} else if !can {
		a.log.Info("the database file was made by an earlier version: space that becomes free is used again, but not given back; to change that, stop the server and run: penstock migrate --compact")
	}
	srv, err := a.newServer(public, ops)
	if err != nil {
		return err
	}
	if err := a.greet(ctx, public, ops, tokenFile, out); err != nil {
		return err
	}
	return a.run(ctx, srv)
}

func (a *app) newServer(public, ops net.Listener) (*server.Server, error) {
	var presets []server.Preset
	for _, p := range presetTitles {
		config, err := shipped.ReadFile("examples/presets/" + p.name + ".json")
		if err != nil {
			return nil, err
		}
		presets = append(presets, server.Preset{Name: p.name, Title: p.title, Config: config})
	}
	return server.New(server.Options{
		Store: a.store, Engine: a.engine, Auth: a.auth, PublicURL: a.settings.publicURL, Hosts: a.settings.hosts, Log: a.log,
		Public: public, Ops: ops, Presets: presets,
		GraphQL: graph.NewHandler(graph.Options{
			Store: a.store, Engine: a.engine, Log: a.log, PublicURL: a.settings.publicURL,
			Sources: a.options.Sources, Notify: a.options.Notify, AI: a.options.AI,
			Auth: a.auth, Authenticate: a.auth.Confirm, Limits: a.settings.graphql, Documents: a.settings.documents,
		}),
	})
}

// run keeps engine, server and housekeeping running until ctx ends, one of them fails, or the disk
// refuses to make a commit durable.
func (a *app) run(ctx context.Context, srv *server.Server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{srv.Run, a.engine.Run, a.auth.Run} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err)
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-a.store.Failed():
		cancel(errors.New("the disk refused to make a commit durable; restart on a disk that works: what was acknowledged is kept"))
	}
	a.log.Info("stopping")
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// greet prints what a person needs first.
func (a *app) greet(ctx context.Context, public, ops net.Listener, tokenFile string, out io.Writer) error {
	base := a.baseURL(public)
	lines := [][2]string{{"address", base + "/"}}
	if ops != nil {
		lines = append(lines, [2]string{"operators", "http://" + ops.Addr().String() + "/metrics"})
	}
	data, err := filepath.Abs(a.settings.dataDir)
	if err != nil {
		return err
	}
	lines = append(lines, [2]string{"data", data})
	if tokenFile != "" {
		lines = append(lines, [2]string{"admin token", "in " + tokenFile})
	}
	setup, err := a.auth.SetupToken(ctx)
	if err != nil {
		return err
	}
	if setup != "" {
		lines = append(lines, [2]string{"set-up", base + "/setup?token=" + setup + "  (once: makes the first administrator)"})
	}
	_, _ = fmt.Fprintln(out, versionText())
	for _, line := range lines {
		_, _ = fmt.Fprintf(out, "  %-12s %s\n", line[0], line[1])
	}
	return nil
}

func (a *app) baseURL(l net.Listener) string {
	if a.settings.publicURL != "" {
		return a.settings.publicURL
	}
	return "http://" + l.Addr().String()
}

const metaStarter = "starter"

// starter gives a new store the definition "default" and the channel it notifies, once: whoever
// deletes them does not get them back.
func (a *app) starter(ctx context.Context) error {
	if _, err := a.store.Meta(ctx, metaStarter); err == nil || !fault.Is(err, fault.NotFound) {
		return err
	}
	config, err := shipped.ReadFile("examples/default.json")
	if err != nil {
		return err
	}
	_, _, err = a.engine.SaveChannel(ctx, engine.ChannelInput{
		Name: "default", Driver: "console", Description: new("Prints on the server's console. Replace it by a channel that reaches people."),
		MustCreate: true, Actor: "first start",
	})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return fmt.Errorf("make the channel default: %w", err)
	}
	_, _, _, err = a.engine.SaveDefinition(ctx, engine.DefinitionInput{
		Name: engine.DefaultDefinition, Config: config, Message: "Shipped with Penstock", MustCreate: true, Actor: "first start",
	})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return fmt.Errorf("make the definition default: %w", err)
	}
	_, err = a.store.SetMetaOnce(ctx, metaStarter, "done")
	return err
}
