package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/tidwall/gjson"
	"github.com/urfave/cli/v3"

	"penstock/drivers/outbound"
	"penstock/engine"
	"penstock/engine/definition"
)

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check pipeline definitions in files",
		ArgsUsage: "FILE…",
		Description: "Prints every issue as file:path: severity: message, and the next five times of every schedule. The exit status is 1 if there is an error.\n" +
			"Without --url the stored channels are not known, so a name of a channel is not checked.",
		Flags: remoteFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() == 0 {
				return errors.New("validate needs at least one FILE; see penstock validate --help")
			}
			failed := false
			for _, file := range c.Args().Slice() {
				issues, err := validateFile(ctx, c, file)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				if printIssues(c.Root().Writer, file, issues) {
					failed = true
				} else if err := printNextTimes(c.Root().Writer, file); err != nil {
					return err
				}
			}
			if failed {
				return errSilent
			}
			return nil
		},
	}
}

// readDefinition reads a definition, or the config of a file as apply takes it: {"name": …, "config": …}.
func readDefinition(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if inner := gjson.GetBytes(data, "config"); gjson.ValidBytes(data) && inner.IsObject() && !gjson.GetBytes(data, "nodes").Exists() {
		data = []byte(inner.Raw)
	}
	return data, nil
}

func validateFile(ctx context.Context, c *cli.Command, file string) ([]definition.Issue, error) {
	data, err := readDefinition(file)
	if err != nil {
		return nil, err
	}
	if remote, ok := remoteOf(c); ok {
		doc, issues := definition.JSON(data)
		if len(issues) > 0 {
			return issues, nil
		}
		var v engine.Validation
		_, err := remote.call(ctx, http.MethodPost, "/orchestration/definitions/draft/validate/", map[string]any{"config": doc}, &v)
		return append(v.Errors, v.Warnings...), err
	}
	catalog, err := offlineCatalog()
	if err != nil {
		return nil, err
	}
	_, issues := definition.Check(data, catalog)
	for i := range issues {
		if issues[i].Code == definition.CodeUnknownChannel || issues[i].Code == definition.CodeUnknownDefinition {
			issues[i].Severity = definition.SeverityWarning
		}
	}
	return issues, nil
}

// offlineCatalog holds what is built in; it knows no stored channel.
func offlineCatalog() (definition.Catalog, error) {
	client, err := outbound.New(outbound.Options{})
	if err != nil {
		return definition.Catalog{}, err
	}
	catalog := definition.Catalog{Types: map[string]definition.Type{}}
	for _, t := range engineOptions(client, io.Discard).Types {
		catalog.Types[t.Name] = t.Type
	}
	return catalog, nil
}

func printIssues(w io.Writer, file string, issues []definition.Issue) (failed bool) {
	for _, issue := range issues {
		_, _ = fmt.Fprintf(w, "%s:%s: %s: %s\n", file, orRoot(issue.Path), issue.Severity, issue.Message)
		failed = failed || issue.Severity == definition.SeverityError
	}
	return failed
}

func schemaCommand() *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of pipeline definitions, for editors",
		Action: func(_ context.Context, c *cli.Command) error {
			catalog, err := offlineCatalog()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.Root().Writer, "%s\n", definition.Schema(catalog))
			return err
		},
	}
}

func applyCommand() *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "save the definitions, channels and sources of a directory",
		ArgsUsage: "DIR",
		Description: "Takes *.json, *.yaml and *.yml: a definition (nodes), {name, config, …}, a channel {name, driver, config},\n" +
			"or a source {name, expect_every_seconds, …}.\n" +
			"Without a key \"name\" the file's name is the name. Nothing is saved when a file cannot be read.\n" + remoteHelp,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "prune", Usage: "delete definitions that are in no file"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be done"},
		}, append(remoteFlags(), storeFlags()...)...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("apply needs exactly one DIR; see penstock apply --help")
			}
			dir, prune, dryRun := c.Args().First(), c.Bool("prune"), c.Bool("dry-run")
			if remote, ok := remoteOf(c); ok {
				return remote.apply(ctx, dir, prune, dryRun, c.Root().Writer)
			}
			s, err := readSettings(c)
			if err != nil {
				return err
			}
			a, err := openApp(ctx, s, io.Discard, newLog(s.logLevel))
			if err != nil {
				return storeHelp(err)
			}
			err = a.engine.Apply(ctx, dir, prune, dryRun, "apply", c.Root().Writer)
			return errors.Join(err, a.store.Close())
		},
	}
}

func migrateCommand() *cli.Command {
	return &cli.Command{
		Name:        "migrate",
		Usage:       "bring the database's schema up to date",
		Description: "serve does this by itself at its start. A database of a newer version is refused.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "compact", Usage: "rewrite the SQLite file without free space, in a form that can shrink later; the server must be stopped"},
		}, storeFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error {
			s, err := readSettings(c)
			if err != nil {
				return err
			}
			// The engine brings its own tables.
			a, err := openApp(ctx, s, io.Discard, newLog(s.logLevel))
			if err != nil {
				return err
			}
			if c.Bool("compact") {
				err = a.store.Compact(ctx)
			}
			if err == nil {
				_, err = fmt.Fprintln(c.Root().Writer, "The schema is up to date.")
			}
			return errors.Join(err, a.store.Close())
		},
	}
}
