package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"penstock/db"
	"penstock/fault"
)

func copyCommand() *cli.Command {
	return &cli.Command{
		Name:  "copy",
		Usage: "copy everything from one database to another, e.g. from SQLite to PostgreSQL",
		Description: "Stop the servers of the source first. The target must be empty. Everything is copied in one transaction and read back:\n" +
			"row counts and checksums must agree, or nothing is kept. The source is not changed.\n" +
			"Secrets are copied encrypted: start the target with the secret key of the source.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "sqlite:<path> or postgres://…", Required: true},
			&cli.StringFlag{Name: "to", Usage: "sqlite:<path> or postgres://…", Required: true},
			text("log-level", "PENSTOCK_LOG_LEVEL", "debug, info, warn or error", "warn", generalFlags),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			for _, flag := range []string{"from", "to"} {
				if url := c.String(flag); !isDatabase(url) { // the URL may hold a password
					return fmt.Errorf("--%s is neither sqlite:<path> nor postgres://…; for example --%s sqlite:penstock-data/penstock.db", flag, flag)
				}
			}
			level, err := readLogLevel(c)
			if err != nil {
				return err
			}
			return copyDatabase(ctx, c.String("from"), c.String("to"), newLog(level), c.Root().Writer)
		},
	}
}

func copyDatabase(ctx context.Context, from, to string, log *slog.Logger, out io.Writer) (err error) {
	if path, ok := strings.CutPrefix(from, "sqlite:"); ok {
		if _, err := os.Stat(strings.TrimPrefix(path, "//")); err != nil { // opening it would make it
			return fmt.Errorf("--from: %w", err)
		}
	}
	source, err := db.Open(ctx, db.Options{URL: from, Log: log})
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openStore(ctx, settings{databaseURL: to}, nil, log)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	tables, err := source.CopyTo(ctx, target, func(table string, rows int64) {
		_, _ = fmt.Fprintf(out, "%-30s %d rows\n", table, rows)
	})
	if err != nil {
		return err
	}
	var rows int64
	for _, t := range tables {
		rows += t.Rows
	}
	_, _ = fmt.Fprintf(out, "Copied %d rows of %d tables; row counts and checksums agree.\n", rows, len(tables))
	pending, _, err := target.UnfinishedCount(ctx)
	if err != nil {
		return err
	}
	if pending > 0 {
		_, _ = fmt.Fprintf(out, "%d runs have not ended; they go on when a server starts on the target.\n", pending)
	}
	key, err := target.Meta(ctx, db.MetaKeyID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err == nil {
		_, _ = fmt.Fprintf(out, "Start it with the secret key of the source (id %s): PENSTOCK_SECRET_KEY_FILE or PENSTOCK_SECRET_KEY.\n", key)
	}
	return nil
}
