package nodes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/drivers"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/engine/expr"
	"penstock/fault"
)

type notifyConfig struct {
	Driver       string          `json:"driver,omitempty" jsonschema:"title=Driver,description=How to send. Without it\\, channel names a stored channel."`
	Channel      string          `json:"channel,omitempty" jsonschema:"title=Channel,format=channel,minLength=1,description=Without driver: the name of a stored channel. With driver: a destination of it\\, like #incidents or an address."`
	DriverConfig json.RawMessage `json:"driver_config,omitempty" jsonschema:"title=Driver settings,description=Settings of the driver. Without them a stored channel of the driver is used: default\\, else the one named like the driver."`
	Title        string          `json:"title,omitempty" jsonschema:"title=Title,format=template,minLength=1,description=Template of the title. Without it: the incident's\\, else the most urgent recommendation's."`
	Message      string          `json:"message,omitempty" jsonschema:"title=Message,format=template,minLength=1,description=Template of the text. Without it the text is built from what the run knows\\, newest first."`
	Update       *bool           `json:"update,omitempty" jsonschema:"title=Update in place,default=true,description=Whether the message edits the earlier one of this pipeline about the same incident in the same channel\\, where the receiver can (a Slack app). false sends a new one. A resolve always edits."`
	Severity     string          `json:"severity,omitempty" jsonschema:"title=Severity,format=template,minLength=1,description=Template that gives critical\\, error\\, warning or info. Without it: the incident's\\, else by the recommendations."`
}

const notifyAbout = "Tells people. Without templates the message says what the run knows: transformed values, recommendations, incident, context figures. " +
	"A resolved incident sends a resolve. Without a written max_retries it is tried for 24 hours. Output: driver, channel, status (success, failed, or skipped with its reason), message_id and response."

func notifyType(d Deps) engine.NodeType {
	return define(definition.Type{
		Name: "notify", Title: "Notify", Description: notifyAbout, Timeout: 10 * time.Second, SideEffects: true, KeepsTrying: true,
		Schema: patched(drivers.SchemaOf[notifyConfig](), settingsOf("driver", "driver_config", d.Notify)...),
	}, func(cfg notifyConfig, c *definition.Checker) {
		for at, source := range cfg.templates() {
			if source != "" {
				c.Template("/"+at, source)
			}
		}
		checkTarget(cfg, c, d)
	}, func(cfg notifyConfig) (engine.Node, error) {
		n := &notifyNode{notifyConfig: cfg, templates: map[string]*expr.Template{}}
		sum := sha256.Sum256(cfg.DriverConfig)
		n.own = cfg.Driver + ":" + hex.EncodeToString(sum[:4])
		for name, source := range cfg.templates() {
			if source == "" {
				continue
			}
			t, err := expr.CompileTemplate(source)
			if err != nil {
				return nil, err
			}
			n.templates[name] = t
		}
		return n, nil
	})
}

func (cfg notifyConfig) templates() map[string]string {
	return map[string]string{"title": cfg.Title, "message": cfg.Message, "severity": cfg.Severity}
}

// checkTarget looks whether the message has somewhere to go.
func checkTarget(cfg notifyConfig, c *definition.Checker, d Deps) {
	if cfg.Driver == "" {
		switch {
		case len(cfg.DriverConfig) > 0:
			c.Error("/driver", definition.CodeMissingKey, "driver_config needs driver, the name of what it sets up. One of: %s.", words(d.Notify.Names()))
		case cfg.Channel == "":
			c.Error("/channel", definition.CodeMissingKey, "Nothing says where the message goes. Write channel (the name of a stored channel) or driver (one of: %s).", words(d.Notify.Names()))
		default:
			checkChannel(cfg.Channel, c)
		}
		return
	}
	kind, err := d.Notify.Get(cfg.Driver)
	if err != nil {
		return // the schema has said so
	}
	if len(cfg.DriverConfig) > 0 {
		if missing := checkSettings(c, "/driver_config", kind, cfg.DriverConfig); len(missing) > 0 {
			c.Warn("/driver_config", definition.CodeMissingSetting, "%s cannot send until driver_config has %s.", kind.Title, words(missing))
		}
		return
	}
	if stored, ok := c.Channel(cfg.Channel); ok && stored.Driver == cfg.Driver {
		c.Warn("/channel", definition.CodeBadValue, "%q is also the name of a stored channel. With driver it is a destination of %s; to use the stored channel, leave driver out.", cfg.Channel, kind.Title)
	}
	for _, name := range []string{"default", cfg.Driver} {
		if stored, ok := c.Channel(name); ok && stored.Driver == cfg.Driver && stored.IsActive {
			warnOfChannel(name, stored, "/driver", c)
			return
		}
	}
	if missing := checkSettings(c, "/driver", kind, nil); len(missing) > 0 {
		c.Warn("/driver", definition.CodeMissingSetting, "No channel is configured for %s: store one named %q or \"default\" with this driver, or write driver_config with %s. Until then the node fails.", kind.Title, cfg.Driver, words(missing))
	}
}

func checkChannel(name string, c *definition.Checker) {
	stored, ok := c.Channel(name)
	if !ok {
		known := slices.Sorted(maps.Keys(c.Catalog.Channels))
		hint := "No channel is stored yet; create it first."
		if len(known) > 0 {
			hint = "Stored channels: " + words(known) + "."
		}
		c.Error("/channel", definition.CodeUnknownChannel, "There is no channel %q. %s", name, hint)
		return
	}
	warnOfChannel(name, stored, "/channel", c)
}

func warnOfChannel(name string, stored definition.Channel, at string, c *definition.Checker) {
	switch {
	case !stored.IsActive:
		c.Warn(at, definition.CodeInactiveChannel, "The channel %q is not active; the node fails until it is.", name)
	case len(stored.Missing) > 0:
		c.Warn(at, definition.CodeMissingSetting, "The channel %q cannot send until it has %s.", name, words(stored.Missing))
	case stored.Untested:
		c.Warn(at, definition.CodeUntestedChannel, "No test of the channel %q has passed. Test it before it is needed.", name)
	}
}

type notifyNode struct {
	notifyConfig
	own       string                    // what the settings in the node are called where a channel has a name
	templates map[string]*expr.Template // those that are written
}

func (n *notifyNode) Run(ctx context.Context, in engine.Input) (engine.Output, error) {
	to := in.Target
	var err error
	if to == nil {
		to = &engine.Target{}
		*to, err = n.Target(ctx, in)
	}
	channel := to.Destination
	if channel == "" && to.Channel != n.own {
		channel = to.Channel
	}
	out := engine.Output{Data: map[string]any{"driver": to.Driver, "channel": channel, "status": "failed", "message_id": "", "response": ""}}
	if err != nil {
		return out, err
	}
	m, notes := n.message(ctx, in)
	done, err := in.Services.Deliver(ctx, *to, m, n.Update == nil || *n.Update)
	out.Errors, out.Data["message_id"], out.Data["response"] = notes, done.MessageID, done.Response
	switch {
	case err != nil:
	case done.Status == db.NotificationSkipped:
		out.Data["status"], out.Data["reason"] = "skipped", done.Reason
	default:
		out.Data["status"] = "success"
	}
	return out, err
}

// Target finds where the message goes. An alert about a channel is not sent through that channel, nor
// to the console, which reaches nobody, while another channel works.
func (n *notifyNode) Target(ctx context.Context, in engine.Input) (to engine.Target, err error) {
	s := in.Services
	to = engine.Target{Driver: n.Driver, Channel: cmp.Or(n.Channel, n.Driver)}
	switch {
	case n.Driver == "":
		to.Driver, to.Sender, err = s.Channel(ctx, n.Channel)
	case len(n.DriverConfig) > 0:
		to.Channel, to.Destination = n.own, n.Channel
		to.Sender, err = s.Driver(ctx, n.Driver, n.DriverConfig)
	default:
		to.Channel, to.Destination = n.Driver, n.Channel
		var name string
		name, to.Sender, err = s.DefaultChannel(ctx, n.Driver)
		to.Channel = cmp.Or(name, to.Channel)
		if fault.Is(err, fault.NotFound) && n.needsNothing(ctx, s, &to) {
			to.Channel, err = n.own, nil
		}
	}
	if about := engine.AboutChannel(in); about != "" && (about == to.Channel || to.Driver == "console") {
		alarm, note, none := s.AlarmChannel(ctx, in, about)
		switch {
		case none == nil:
			to, err = alarm, nil
			if note != "" {
				in.Log(note)
			}
		case about == to.Channel:
			to, err = engine.Target{Channel: to.Channel, Driver: to.Driver}, none
		}
	}
	return to, err
}

// needsNothing takes the driver as it is, if it can send without any settings (console).
func (n *notifyNode) needsNothing(ctx context.Context, s engine.Services, to *engine.Target) bool {
	d, err := s.Driver(ctx, n.Driver, nil)
	if err != nil {
		return false
	}
	if r, ok := d.(notify.Readiness); !ok || len(r.Missing()) > 0 {
		return false
	}
	to.Sender = d
	return true
}

// message is what the node sends. A page must not fail for its wording: a template that cannot be
// filled, or is empty in the end, gives way to the built text, with a note.
func (n *notifyNode) message(ctx context.Context, in engine.Input) (notify.Message, []string) {
	built := compose(in)
	m := built.Message
	var notes []string
	fill := func(name string) (string, bool) {
		t := n.templates[name]
		if t == nil {
			return "", false
		}
		text, more, err := t.Render(ctx, in.Vars)
		for _, note := range more {
			notes = append(notes, name+": "+note)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s: %s The built one was used.", name, fault.Of(err).Message))
			return "", false
		}
		if strings.TrimSpace(text) == "" {
			notes = append(notes, name+" is empty, so the built one was used.")
			return "", false
		}
		return text, true
	}
	ofAI := func(name string) (outputs []string) {
		for _, id := range n.templates[name].Nodes() {
			if unverified(upstream(in, id)) {
				outputs = append(outputs, "output of "+id)
			}
		}
		return outputs
	}
	var labelled []string
	if text, ok := fill("title"); ok {
		m.Title, labelled = text, ofAI("title")
	} else if built.aiTitle {
		labelled = append(labelled, "the title")
	}
	if text, ok := fill("message"); ok {
		m.Text, labelled = text, append(labelled, ofAI("message")...)
	}
	if len(labelled) > 0 {
		m.Text += "\n\n" + unverifiedLabel + ": " + words(unique(labelled)) + "."
	}
	if text, ok := fill("severity"); ok {
		notes = append(notes, n.severity(in, &m, text, ofAI("severity"))...)
	}
	if m.Resolved() && !strings.HasPrefix(m.Title, resolvedPrefix) {
		m.Title = resolvedPrefix + m.Title
	}
	return m, notes
}

// severity takes what the severity template gave, unless it is no severity, or an AI would decide
// that of an incident.
func (n *notifyNode) severity(in engine.Input, m *notify.Message, text string, ofAI []string) []string {
	severity, ok := alerts.ParseSeverity(text)
	switch {
	case !ok:
		return []string{fmt.Sprintf("severity: %q is none of critical, error, warning, info, so it stayed %s.", notify.Cut(notify.OneLine(text), 80), m.Severity)}
	case len(ofAI) > 0 && in.Incident != nil:
		return []string{fmt.Sprintf("severity: an AI never decides that of an incident, so it stayed %s in spite of the %s.", m.Severity, words(ofAI))}
	}
	m.Severity = severity
	return nil
}

// unique keeps the first of equal texts.
func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
