// Package generic sends a message as JSON to any HTTP endpoint.
package generic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"penstock/drivers"
	"penstock/drivers/notify"
)

// Config are the settings of the driver.
type Config struct {
	Endpoint string                    `json:"endpoint,omitempty" jsonschema:"title=Endpoint,description=Address that receives the message (http or https). Put credentials into headers\\, not here."`
	Method   string                    `json:"method,omitempty" jsonschema:"title=Method,description=HTTP method of the request.,enum=POST,enum=PUT,enum=PATCH,default=POST"`
	Headers  map[string]drivers.Secret `json:"headers,omitempty" jsonschema:"title=Headers,description=Extra request headers by name\\, for example Authorization. Their values are stored as secrets."`
}

// Kind is the generic driver.
func Kind(deps notify.Deps) drivers.Kind[notify.Driver] {
	return drivers.Define("generic", "Webhook (generic)", func(_ context.Context, c Config) (notify.Driver, error) {
		if c.Endpoint != "" {
			if err := notify.CheckURL("endpoint", c.Endpoint); err != nil {
				return nil, err
			}
		}
		d := &driver{deps: deps, config: c, header: http.Header{}, secrets: slices.Collect(maps.Values(c.Headers))}
		for name, value := range c.Headers {
			if why := refuseHeader(name, value.Reveal()); why != "" {
				return nil, notify.BadSetting("headers", fmt.Sprintf("cannot hold %q: %s.", name, why))
			}
			d.header.Set(name, value.Reveal())
		}
		return d, nil
	})
}

type driver struct {
	deps    notify.Deps
	config  Config
	header  http.Header
	secrets []drivers.Secret
}

// body is what receivers get; its keys are part of the product's interface.
type body struct {
	Title    string            `json:"title"`
	Message  string            `json:"message"`
	Severity string            `json:"severity"`
	Status   string            `json:"status"`
	Tags     map[string]string `json:"tags"`
	Context  map[string]any    `json:"context"`
	Incident map[string]any    `json:"incident"`
	Alerts   []map[string]any  `json:"alerts"`
}

// textLimit is far above what people read and below the body limit of common receivers.
const textLimit = 256 << 10

func (d *driver) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if missing := d.Missing(); missing != nil {
		return notify.Receipt{}, notify.NotReady("The webhook", missing)
	}
	b := body{
		Title: m.Title, Message: notify.Cut(m.Text, textLimit), Severity: string(m.Severity), Status: m.Status,
		Tags: m.Tags, Context: m.Context, Incident: m.Incident, Alerts: m.Alerts,
	}
	if b.Tags == nil {
		b.Tags = map[string]string{}
	}
	if b.Context == nil {
		b.Context = map[string]any{}
	}
	if b.Alerts == nil {
		b.Alerts = []map[string]any{}
	}
	receipt, answer, err := d.deps.Do(ctx, notify.Post{
		Method: d.config.Method, URL: d.config.Endpoint, Header: d.header, Body: b, Key: m.Key, Secrets: d.secrets,
	})
	receipt.MessageID = notify.Redact(messageID(answer), d.secrets...)
	return receipt, err
}

func (d *driver) Missing() []string {
	if d.config.Endpoint == "" {
		return []string{"endpoint"}
	}
	return nil
}

// messageID finds the receiver's id for the message in its answer, if the answer is JSON with one.
func messageID(answer []byte) string {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber() // ids may be larger than a float can hold
	if decoder.Decode(&fields) != nil {
		return ""
	}
	for _, key := range []string{"id", "message_id"} {
		switch id := fields[key].(type) {
		case string:
			return notify.Cut(notify.OneLine(id), 255)
		case json.Number:
			return id.String()
		}
	}
	return ""
}

// ours are headers that the request itself decides.
var ours = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Idempotency-Key", "Content-Type", "Accept-Encoding"}

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func refuseHeader(name, value string) string {
	switch {
	case name == "" || strings.Trim(name, tokenCharacters) != "":
		return "it is not a header name"
	case slices.Contains(ours, textproto.CanonicalMIMEHeaderKey(name)):
		return "this header is set by Penstock"
	case strings.ContainsFunc(value, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }):
		return "its value contains a line break or another control character"
	}
	return ""
}
