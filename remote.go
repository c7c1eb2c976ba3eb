package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"penstock/engine/definition"
)

// remote is a running server, addressed by its REST API.
type remote struct{ url, token string }

const remoteHelp = "With --url (PENSTOCK_URL) a running server is asked; otherwise the store is opened directly,\n" +
	"which on SQLite is possible only while no server runs."

func remoteFlags() []cli.Flag {
	const category = "RUNNING SERVER"
	return []cli.Flag{
		text("url", "PENSTOCK_URL", "address of a running server", "", category),
		text("token", "PENSTOCK_TOKEN", "API token for it", "", category),
	}
}

func remoteOf(c *cli.Command) (remote, bool) {
	r := remote{strings.TrimRight(c.String("url"), "/"), c.String("token")}
	return r, r.url != ""
}

// call sends a request and decodes the answer into the value that into points at, if it is not nil.
func (s remote) call(ctx context.Context, method, path string, body, into any) (status int, err error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%w (is PENSTOCK_URL the address of a running server?)", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, remoteError(resp, data)
	}
	if into == nil || len(data) == 0 {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.Unmarshal(data, into)
}

func remoteError(resp *http.Response, data []byte) error {
	var p struct {
		Error            string
		Errors, Warnings []definition.Issue
	}
	if json.Unmarshal(data, &p) != nil || p.Error == "" {
		return fmt.Errorf("%s answered %s", resp.Request.URL.Host, resp.Status)
	}
	text := p.Error
	for _, issue := range append(p.Errors, p.Warnings...) {
		text += fmt.Sprintf("\n  %s: %s: %s", orRoot(issue.Path), issue.Severity, issue.Message)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		text += " Give the token by --token or PENSTOCK_TOKEN."
	}
	return errors.New(text)
}

// storeHelp tells who met another process's lock that there is another way.
func storeHelp(err error) error {
	if strings.Contains(err.Error(), "in use by another") && os.Getenv("PENSTOCK_URL") == "" {
		return fmt.Errorf("%w; with a running server give its address by --url (PENSTOCK_URL) and a token by --token (PENSTOCK_TOKEN)", err)
	}
	return err
}
