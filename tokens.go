package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"penstock/auth"
	"penstock/db"
	"penstock/server"
)

func tokenCommand() *cli.Command {
	flags := append(remoteFlags(), storeFlags()...)
	return &cli.Command{
		Name:        "token",
		Usage:       "make, list and revoke API tokens",
		Description: remoteHelp,
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "make a token and print it; it is shown this once",
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "who or what uses it", Required: true},
					&cli.StringSliceFlag{Name: "scope", Usage: "ingest, read, operate, edit or admin; may be repeated", Required: true},
					&cli.DurationFlag{Name: "expires-in", HideDefault: true, Usage: "how long it is valid, for example 720h (default: for ever)"},
				}, flags...),
				Action: tokenCreate,
			},
			{Name: "list", Usage: "list tokens without their text", Flags: flags, Action: tokenList},
			{Name: "revoke", Usage: "end a token", ArgsUsage: "NAME|ID", Flags: flags, Action: tokenRevoke},
		},
	}
}

func tokenCreate(ctx context.Context, c *cli.Command) error {
	scopes, err := auth.ParseScopes(c.StringSlice("scope"))
	if err != nil {
		return err
	}
	in := auth.TokenInput{Name: c.String("name"), Scopes: scopes, CreatedBy: "command line"}
	if d := c.Duration("expires-in"); d != 0 {
		in.ExpiresAt = time.Now().Add(d)
	}
	secret := ""
	if remote, ok := remoteOf(c); ok {
		body := map[string]any{"name": in.Name, "scopes": scopes}
		if !in.ExpiresAt.IsZero() {
			body["expires_at"] = in.ExpiresAt
		}
		var made struct {
			Token string `json:"token"`
		}
		_, err = remote.call(ctx, http.MethodPost, "/orchestration/tokens/", body, &made)
		secret = made.Token
	} else {
		err = withAuth(ctx, c, func(a *auth.Service, _ *db.Store) error {
			secret, _, err = a.CreateToken(ctx, in)
			return err
		})
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Root().Writer, secret)
	return err
}

func tokenList(ctx context.Context, c *cli.Command) error {
	var list struct {
		Tokens []server.TokenDetail `json:"tokens"`
	}
	if remote, ok := remoteOf(c); ok {
		if _, err := remote.call(ctx, http.MethodGet, "/orchestration/tokens/", nil, &list); err != nil {
			return err
		}
		return printTokens(c.Root().Writer, list.Tokens)
	}
	return withAuth(ctx, c, func(_ *auth.Service, store *db.Store) error {
		tokens, err := store.Tokens(ctx)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			list.Tokens = append(list.Tokens, server.NewTokenDetail(t))
		}
		return printTokens(c.Root().Writer, list.Tokens)
	})
}

func printTokens(w io.Writer, tokens []server.TokenDetail) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "NAME\tPREFIX\tSCOPES\tCREATED\tLAST USED\tSTATE")
	for _, tok := range tokens {
		state := "valid"
		switch {
		case tok.RevokedAt != nil:
			state = "revoked " + day(tok.RevokedAt)
		case tok.ExpiresAt != nil && tok.ExpiresAt.Before(time.Now()):
			state = "expired " + day(tok.ExpiresAt)
		case tok.ExpiresAt != nil:
			state = "until " + day(tok.ExpiresAt)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s…\t%s\t%s\t%s\t%s\n", tok.Name, tok.Prefix, strings.Join(tok.Scopes, ","), day(&tok.CreatedAt), day(tok.UsedAt), state)
	}
	return t.Flush()
}

func day(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format("2006-01-02 15:04 MST")
}

func tokenRevoke(ctx context.Context, c *cli.Command) error {
	name := c.Args().First()
	if name == "" {
		return errors.New("token revoke needs the NAME or ID of a token; see penstock token list")
	}
	if remote, ok := remoteOf(c); ok {
		_, err := remote.call(ctx, http.MethodDelete, "/orchestration/tokens/"+url.PathEscape(name)+"/", nil, nil)
		return err
	}
	return withAuth(ctx, c, func(a *auth.Service, _ *db.Store) error { return a.RevokeToken(ctx, name) })
}

// withAuth opens the store of the settings for one action.
func withAuth(ctx context.Context, c *cli.Command, do func(*auth.Service, *db.Store) error) error {
	return withStore(ctx, c, func(s settings, store *db.Store) error {
		a, err := auth.New(auth.Options{Store: store, Key: s.key})
		if err != nil {
			return err
		}
		return do(a, store)
	})
}

// withStore opens the store that the flags name while do runs.
func withStore(ctx context.Context, c *cli.Command, do func(settings, *db.Store) error) error {
	s, err := readSettings(c)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, s, nil, newLog(s.logLevel))
	if err != nil {
		return storeHelp(err)
	}
	return errors.Join(do(s, store), store.Close())
}
