package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"penstock/auth"
	"penstock/db"
)

func userCommand() *cli.Command {
	password := &cli.BoolFlag{Name: "password-stdin", Usage: "read the password from standard input (default: make one and print it)"}
	role := &cli.StringFlag{Name: "role", Usage: "viewer, responder, editor or admin", Required: true}
	return &cli.Command{
		Name:  "user",
		Usage: "make and list the users who sign in with a password",
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "make a user", ArgsUsage: "NAME", Flags: append([]cli.Flag{role, password}, storeFlags()...),
				Action: withUser(func(ctx context.Context, c *cli.Command, a *auth.Service, name string) error {
					return withPassword(c, func(text string) error {
						_, err := a.CreateUser(ctx, auth.UserInput{Name: name, Password: text, Role: auth.Role(c.String("role"))})
						return err
					})
				}),
			},
			{
				Name: "password", Usage: "give a user another password; ends their sessions", ArgsUsage: "NAME", Flags: append([]cli.Flag{password}, storeFlags()...),
				Action: withUser(func(ctx context.Context, c *cli.Command, a *auth.Service, name string) error {
					return withPassword(c, func(text string) error {
						_, err := a.SetPassword(ctx, name, text)
						return err
					})
				}),
			},
			{
				Name: "role", Usage: "change what a user may do; ends their sessions", ArgsUsage: "NAME", Flags: append([]cli.Flag{role}, storeFlags()...),
				Action: withUser(func(ctx context.Context, c *cli.Command, a *auth.Service, name string) error {
					_, err := a.SetRole(ctx, name, auth.Role(c.String("role")))
					return err
				}),
			},
			{
				Name: "disable", Usage: "lock a user out, at once", ArgsUsage: "NAME", Flags: storeFlags(),
				Action: withUser(func(ctx context.Context, _ *cli.Command, a *auth.Service, name string) error {
					_, err := a.SetDisabled(ctx, name, true)
					return err
				}),
			},
			{
				Name: "enable", Usage: "let a user in again", ArgsUsage: "NAME", Flags: storeFlags(),
				Action: withUser(func(ctx context.Context, _ *cli.Command, a *auth.Service, name string) error {
					_, err := a.SetDisabled(ctx, name, false)
					return err
				}),
			},
			{Name: "list", Usage: "list users", Flags: storeFlags(), Action: userList},
		},
	}
}

func withUser(do func(context.Context, *cli.Command, *auth.Service, string) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		name := c.Args().First()
		if name == "" || c.Args().Len() > 1 {
			return fmt.Errorf("user %s needs the NAME of one user, after the flags", c.Name)
		}
		return withAuth(ctx, c, func(a *auth.Service, _ *db.Store) error { return do(ctx, c, a, name) })
	}
}

// withPassword reads the password from standard input, or makes one and prints it once it is in use.
func withPassword(c *cli.Command, use func(string) error) error {
	if !c.Bool("password-stdin") {
		text := rand.Text()
		if err := use(text); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.Root().Writer, text)
		return err
	}
	line, err := bufio.NewReader(c.Root().Reader).ReadString('\n')
	if text := strings.TrimRight(line, "\r\n"); text != "" {
		return use(text)
	}
	return errors.Join(errors.New("standard input holds no password"), err)
}

func userList(ctx context.Context, c *cli.Command) error {
	return withAuth(ctx, c, func(_ *auth.Service, store *db.Store) error {
		users, err := store.Users(ctx)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "NAME\tROLE\tCREATED\tSTATE")
		for _, u := range users {
			state := "active"
			if !u.DisabledAt.IsZero() {
				state = "disabled " + day(&u.DisabledAt)
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", u.Name, u.Role, day(&u.CreatedAt), state)
		}
		return t.Flush()
	})
}
