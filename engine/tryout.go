package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidwall/gjson"

	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/notify"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// ChannelTest is what the test of a channel did.
type ChannelTest struct {
	notify.Receipt
	Exchanges []outbound.Exchange // exactly what was sent and answered, without secrets
}

const (
	channelTestTime  = 15 * time.Second
	providerTestTime = 30 * time.Second
)

// TestChannel sends a test message through the channel and records the outcome. What it did comes with an
// error too.
func (e *Engine) TestChannel(ctx context.Context, name string) (ChannelTest, error) {
	var test ChannelTest
	ch, err := e.store.Channel(ctx, name)
	if err != nil {
		return test, err
	}
	d, err := e.buildDriver(ctx, ch.Driver, ch.Config)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, channelTestTime)
		defer cancel()
		limited, recording := outbound.Record(limited)
		key := "test/" + newID()
		test.Receipt, err = d.Send(limited, notify.Message{
			Key: key, DedupKey: key, Action: notify.Trigger, Title: "Test message from Penstock",
			Text:     fmt.Sprintf("This is a test of the channel %q. If you can read it, the channel works.", name),
			Severity: "info", Source: "penstock", URL: e.o.PublicURL,
		})
		test.Exchanges = exchanges(recording, e.channelSecrets(ctx, ch.Driver, ch.Config))
	}
	text := ""
	if err != nil {
		text = fault.Of(err).Message
	} else if werr := e.works(ctx, name, false); werr != nil {
		return test, werr
	}
	if werr := e.store.ChannelTested(ctx, name, time.Now().UTC(), text); werr != nil {
		return test, werr
	}
	e.compiled.forget()
	return test, err
}

// channelSecrets are the secrets of a configuration that was just built.
func (e *Engine) channelSecrets(ctx context.Context, driver string, config json.RawMessage) (secrets []drivers.Secret) {
	k, err := e.o.Notify.Get(driver)
	if err != nil {
		return nil
	}
	_, _ = k.MapSecrets(config, func(_ string, value json.RawMessage) (json.RawMessage, error) {
		text, err := e.reveal(ctx, value)
		secrets = append(secrets, drivers.NewSecret(gjson.ParseBytes(text).String()))
		return text, err
	})
	return secrets
}

// exchanges are what was recorded, without the secrets, wherever they stand.
func exchanges(recording *outbound.Recording, secrets []drivers.Secret) []outbound.Exchange {
	list, credentials := recording.Exchanges()
	for _, c := range credentials {
		secrets = append(secrets, drivers.NewSecret(c))
	}
	for i, x := range list {
		list[i] = outbound.Exchange{Request: notify.Redact(notify.Clean(x.Request), secrets...), Answer: notify.Redact(notify.Clean(x.Answer), secrets...)}
	}
	return list
}

// Provider is an analyser with the settings of the server, as a node without provider_config uses it.
type Provider struct {
	Name, Title string
	Missing     []string // settings without which it cannot be asked
	Model       string   // "" for one that asks no model
	Address     string   // where the server sends to, "" for the vendor's own address
	UsedBy      []string // active definitions
	Problem     string   // why the settings of the server are refused
}

// Providers lists the analysers.
func (e *Engine) Providers(ctx context.Context) ([]Provider, error) {
	var list []Provider
	for _, k := range e.o.AI.All() {
		p := Provider{Name: k.Name, Title: k.Title}
		built, err := k.Build(ctx, nil)
		if err != nil {
			p.Problem = fault.Of(err).Message
		}
		if r, ok := built.(ai.Readiness); ok {
			p.Missing = r.Missing()
		}
		if t, ok := built.(ai.Target); ok {
			p.Model, p.Address = t.Target()
		}
		p.UsedBy, err = e.usersOf(ctx, func(node gjson.Result) bool {
			return node.Get("type").String() == "intelligence" && (node.Get("config.provider").String() == k.Name || node.Get("config.fallback").String() == k.Name)
		})
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// ProviderTest is what the test of an analyser did.
type ProviderTest struct {
	Analysis  ai.Analysis
	Took      time.Duration
	Exchanges []outbound.Exchange // exactly what was sent and answered, without secrets
}

// testAlert is what a tested analyser is asked about.
var testAlert = ai.Request{
	Prompt: "This is a test of the connection. Answer with one short recommendation.",
	Alerts: []map[string]any{{
		"name": "DiskFull", "host": "example-1", "status": "firing", "severity": "warning",
		"labels": map[string]any{"mountpoint": "/var"}, "annotations": map[string]any{"summary": "/var on example-1 is 91 % full"},
	}},
}

// TestProvider asks an analyser about an alert that is made up, with the settings of the server. What it did
// comes with an error too.
func (e *Engine) TestProvider(ctx context.Context, name string) (ProviderTest, error) {
	var test ProviderTest
	k, err := e.o.AI.Get(name)
	if err != nil {
		return test, err
	}
	p, err := k.Build(ctx, nil)
	if err != nil {
		return test, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTestTime)
	defer cancel()
	ctx, recording := outbound.Record(ctx)
	start := time.Now()
	for chunk, chunkErr := range p.Analyze(ctx, testAlert) {
		if err = chunkErr; err == nil && chunk.Result != nil {
			test.Analysis = *chunk.Result
		}
	}
	test.Took, test.Exchanges = time.Since(start), exchanges(recording, nil)
	return test, outbound.Classify(err)
}
