package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Client calls the REST API. It is safe for concurrent use.
type Client struct {
	URL, Token string
	HTTP       *http.Client
}

// Send sends a request and returns its answer, whatever the status.
func (c *Client) Send(ctx context.Context, method, path string, body []byte) (status int, header http.Header, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.HTTP.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

// Call sends in as JSON, unless it is nil, and decodes the answer into out, unless that is nil. An
// answer that is not 2xx is an error that quotes it.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	var err error
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	status, _, answer, err := c.Send(ctx, method, path, body)
	switch {
	case err != nil:
		return err
	case status/100 != 2:
		return fmt.Errorf("%s %s: %d: %s", method, path, status, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, path, err, answer)
	}
	return nil
}

// Channel creates or replaces a channel.
func (c *Client) Channel(ctx context.Context, name, driver string, config any) error {
	return c.Call(ctx, http.MethodPut, "/orchestration/channels/"+name+"/", map[string]any{"driver": driver, "config": config}, nil)
}

// Definition creates or replaces a definition.
func (c *Client) Definition(ctx context.Context, name, config string) error {
	return c.Call(ctx, http.MethodPut, "/orchestration/definitions/"+name+"/", map[string]any{"config": json.RawMessage(config)}, nil)
}
