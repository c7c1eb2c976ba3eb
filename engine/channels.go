package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"penstock/db"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine/definition"
	"penstock/fault"
)

// redacted is how a secret is shown, and how a caller says "as it was".
const redacted = "[secret]"

// SaveChannel creates or changes a channel. Secret text is sealed and replaced by a reference.
func (e *Engine) SaveChannel(ctx context.Context, in ChannelInput) (*db.Channel, bool, error) {
	if err := checkName(in.Name); err != nil {
		return nil, false, err
	}
	stored, err := e.store.Channel(ctx, in.Name)
	if err != nil && (in.MustExist || !fault.Is(err, fault.NotFound)) {
		return nil, false, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	ch := db.Channel{ID: newID(), Name: in.Name, IsActive: true, CreatedBy: in.Actor, CreatedAt: now, Config: json.RawMessage("{}")}
	if stored != nil {
		ch = *stored
	}
	sameDriver := in.Driver == "" || in.Driver == ch.Driver
	ch.UpdatedAt, ch.Driver = now, or(in.Driver, ch.Driver)
	if in.Description != nil {
		ch.Description = *in.Description
	}
	if in.IsActive != nil {
		ch.IsActive = *in.IsActive
	}
	kind, err := e.o.Notify.Get(ch.Driver)
	if err != nil {
		return nil, false, fault.About("driver", fault.Wrap(err, fault.Unprocessable, "driver: %s", fault.Of(err).Message))
	}
	var secrets []db.Secret
	if in.Config != nil || !sameDriver {
		config := in.Config
		if config == nil {
			config = json.RawMessage("{}")
		}
		if problems := kind.Validate(config); len(problems) > 0 {
			f := fault.New(fault.Unprocessable, "config%s: %s.", problems[0].Path, problems[0].Message)
			f.Fields = map[string]string{}
			for _, p := range problems {
				f.Fields["config"+p.Path] = p.Message
			}
			return nil, false, f
		}
		kept := map[string]json.RawMessage{}
		if sameDriver {
			if _, err := kind.MapSecrets(ch.Config, func(path string, value json.RawMessage) (json.RawMessage, error) {
				kept[path] = value
				return value, nil
			}); err != nil {
				return nil, false, err
			}
		}
		moved := sameDriver && stored != nil && movedTarget(stored.Config, config)
		for path, old := range kept { // a secret that is left out stays
			key := strings.TrimPrefix(path, "/")
			if strings.Contains(key, "/") || gjson.GetBytes(config, key).Exists() {
				continue
			}
			if config, err = sjson.SetRawBytes(config, key, old); err != nil {
				return nil, false, err
			}
		}
		ch.Config, err = kind.MapSecrets(config, func(path string, value json.RawMessage) (json.RawMessage, error) {
			_, isRef := drivers.ParseRef(value)
			if keeps := string(value) == `"`+redacted+`"`; keeps || isRef {
				old, ok := kept[path]
				switch {
				case keeps && !ok:
					return nil, fault.About("config"+path, fault.New(fault.Unprocessable, "config%s: there is no stored secret to keep; write it out.", path))
				case ok && moved && (keeps || string(old) == string(value)):
					return nil, errMoved("config" + path)
				case keeps:
					return old, nil
				}
			}
			ref, secret, err := e.lift("channel/"+ch.Name+path, value, in.Admin)
			if secret != nil {
				secrets = append(secrets, *secret)
			}
			return ref, err
		})
		if err != nil {
			return nil, false, err
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, ch.Config); err != nil {
			return nil, false, err
		}
		ch.Config = compact.Bytes()
		ch.TestedAt, ch.TestError = time.Time{}, ""
	}
	created, err := e.store.SaveChannel(ctx, ch, secrets, in.MustCreate, in.MustExist)
	if err != nil {
		return nil, false, err
	}
	e.compiled.forget()
	e.gates.of(in.Name).forget() // what waits may try the new settings at once
	saved, err := e.store.Channel(ctx, in.Name)
	return saved, created, err
}

// DeleteChannel removes a channel and its secrets. One that an active definition names is kept
// (fault.Conflict): deliveries for that definition would be refused from then on.
func (e *Engine) DeleteChannel(ctx context.Context, name string) error {
	users, err := e.usersOf(ctx, func(node gjson.Result) bool {
		return node.Get("config.channel").String() == name && !node.Get("config.driver").Exists()
	})
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fault.New(fault.Conflict, "The channel %q is used by %s. Change them first, or make the channel inactive.", name, strings.Join(users, ", "))
	}
	if err := e.store.DeleteChannel(ctx, name); err != nil {
		return err
	}
	e.compiled.forget()
	if err := e.works(ctx, name, true); err != nil { // an alarm about it would never end
		return err
	}
	_, err = e.store.DeleteSecrets(ctx, "channel/"+name+"/") // or a new channel of this name could send them elsewhere
	return err
}

// usersOf lists the active definitions whose newest version has a node that uses something.
func (e *Engine) usersOf(ctx context.Context, uses func(node gjson.Result) bool) (names []string, err error) {
	active := true
	for page := (db.Page{First: 200}); ; {
		list, err := e.store.Definitions(ctx, db.DefinitionFilter{Active: &active, Page: page})
		if err != nil {
			return nil, err
		}
		for _, d := range list.Items {
			if slices.ContainsFunc(gjson.GetBytes(d.Config, "nodes").Array(), uses) {
				names = append(names, d.Name)
			}
		}
		if !list.HasNext {
			return names, nil
		}
		page.After = list.Cursors[len(list.Cursors)-1]
	}
}

// ReachesPeople reports whether an active definition has a notify node whose channel, or own driver, is more
// than the console and is not in trouble.
func (e *Engine) ReachesPeople(ctx context.Context) (bool, error) {
	channels, err := e.store.Channels(ctx)
	if err != nil {
		return false, err
	}
	states, err := e.store.ChannelStates(ctx)
	if err != nil {
		return false, err
	}
	usable := map[string]bool{}
	for _, c := range channels {
		state := states[c.Name]
		usable[c.Name] = c.IsActive && c.Driver != "console" && (state == nil || state.State == db.ChannelOK)
	}
	users, err := e.usersOf(ctx, func(node gjson.Result) bool {
		if node.Get("type").String() != "notify" {
			return false
		}
		if driver := node.Get("config.driver").String(); driver != "" && driver != "console" {
			return true
		}
		return !node.Get("config.driver").Exists() && usable[node.Get("config.channel").String()]
	})
	return len(users) > 0, err
}

// ChannelKinds are the drivers that a channel can have.
func (e *Engine) ChannelKinds() []drivers.Kind[notify.Driver] { return e.o.Notify.All() }

// SourceKinds are the drivers that read what sources send.
func (e *Engine) SourceKinds() []drivers.Kind[alerts.Source] { return e.o.Sources.All() }

// channelInfo is a channel as validation sees it.
func (e *Engine) channelInfo(ctx context.Context, ch *db.Channel) definition.Channel {
	info := definition.Channel{Driver: ch.Driver, IsActive: ch.IsActive, Untested: untested(ch)}
	kind, err := e.o.Notify.Get(ch.Driver)
	if err != nil {
		return info
	}
	// Settings are there or not; what the secrets hold does not matter here.
	config, err := kind.MapSecrets(ch.Config, func(string, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`"` + redacted + `"`), nil
	})
	if err != nil {
		return info
	}
	if d, err := kind.Build(ctx, config); err == nil {
		if r, ok := d.(notify.Readiness); ok {
			info.Missing = r.Missing()
		}
	}
	return info
}

// targets are the settings that say where secrets are sent.
var targets = []string{"endpoint", "base_url", "host", "port"}

// movedTarget reports whether settings send to another place than before.
func movedTarget(before, after json.RawMessage) bool {
	return slices.ContainsFunc(targets, func(key string) bool {
		return gjson.GetBytes(before, key).String() != gjson.GetBytes(after, key).String()
	})
}

func errMoved(path string) error {
	return fault.About(path, fault.New(fault.Unprocessable, "%s: the target has changed, so the secret must be entered again.", path))
}

// lift seals secret text and returns the reference to it; references stay as they are.
func (e *Engine) lift(name string, value json.RawMessage, admin bool) (json.RawMessage, *db.Secret, error) {
	if ref, ok := drivers.ParseRef(value); ok {
		switch {
		case admin:
		case ref.Env != "":
			return nil, nil, fault.New(fault.Forbidden, "Only an admin may refer to an environment variable ({\"env\": %q}).", ref.Env)
		case ref.Secret != name: // it would be sent wherever the writer likes
			return nil, nil, fault.New(fault.Forbidden, "Only an admin may refer to a secret of another place ({\"secret\": %q}). Write the secret out.", ref.Secret)
		}
		return value, nil, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, nil, fault.New(fault.Unprocessable, "A secret is text, {\"secret\": name} or {\"env\": name}.")
	}
	if text == "" {
		return value, nil, nil
	}
	sealed, err := e.o.Sealer.Seal(name, []byte(text))
	if err != nil {
		return nil, nil, err
	}
	ref, err := json.Marshal(drivers.Ref{Secret: name})
	return ref, &db.Secret{Name: name, Sealed: sealed}, err
}

// reveal puts secret text in the place of a reference.
func (e *Engine) reveal(ctx context.Context, value json.RawMessage) (json.RawMessage, error) {
	ref, ok := drivers.ParseRef(value)
	if !ok {
		return value, nil
	}
	if ref.Env != "" {
		text := e.o.Env(ref.Env)
		if text == "" {
			return nil, fault.New(fault.Unprocessable, "The environment variable %s is not set.", ref.Env)
		}
		return json.Marshal(text)
	}
	sealed, err := e.store.SecretValue(ctx, ref.Secret)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.Unprocessable, "There is no secret %q.", ref.Secret)
		}
		return nil, err
	}
	text, err := e.o.Sealer.Open(ref.Secret, sealed)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unprocessable, "The secret %q cannot be opened with this server's key.", ref.Secret)
	}
	return json.Marshal(string(text))
}

func (e *Engine) buildDriver(ctx context.Context, kind string, config json.RawMessage) (notify.Driver, error) {
	k, err := e.o.Notify.Get(kind)
	if err != nil {
		return nil, err
	}
	return buildKind(ctx, e, k, config)
}

func buildKind[T any](ctx context.Context, e *Engine, k drivers.Kind[T], config json.RawMessage) (T, error) {
	resolved, err := k.MapSecrets(config, func(_ string, value json.RawMessage) (json.RawMessage, error) {
		return e.reveal(ctx, value)
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return k.Build(ctx, resolved)
}

// services is what the engine does for one attempt of a node. It has copies: attempts run beside
// each other and beside the run's own goroutine.
type services struct {
	e      *Engine
	run    db.Run
	nodeID string
	plan   *plan
	batch  *parsed
	intake *intakeOutcome // of a run whose delivery has been taken in
	taken  *taken

	delivery *delivery // of a [Notifier]
}

// untested reports whether no test of the channel as it is has passed.
func untested(ch *db.Channel) bool { return ch.TestedAt.IsZero() || ch.TestError != "" }

// built keeps drivers of stored channels until something changes, so that a message does not cost
// queries and unsealing.
type built struct {
	kind   string
	driver notify.Driver
}

func (s *services) Channel(ctx context.Context, name string) (string, notify.Driver, error) {
	b, err := s.e.compiled.channel(ctx, s.e, name)
	return b.kind, b.driver, err
}

func (e *Engine) buildChannel(ctx context.Context, name string) (built, error) {
	ch, err := e.store.Channel(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return built{}, fault.New(fault.NotFound, "There is no channel %q. Create it under Settings, or with PUT /orchestration/channels/%s/.", name, name)
	}
	if err != nil {
		return built{}, fault.Retry(err, 0)
	}
	if !ch.IsActive {
		return built{}, fault.New(fault.NotFound, "The channel %q is not active.", name)
	}
	d, err := e.buildDriver(ctx, ch.Driver, ch.Config)
	return built{ch.Driver, d}, err
}

func (s *services) DefaultChannel(ctx context.Context, driver string) (string, notify.Driver, error) {
	for _, name := range []string{"default", driver} {
		kind, d, err := s.Channel(ctx, name)
		if err == nil && kind == driver {
			return name, d, nil
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", nil, err
		}
	}
	return "", nil, fault.New(fault.NotFound, "No channel is configured for %s: create one named %q, or name a channel in the node.", driver, driver)
}

func (s *services) Driver(ctx context.Context, kind string, config json.RawMessage) (notify.Driver, error) {
	return s.e.buildDriver(ctx, kind, config)
}

func (s *services) Provider(ctx context.Context, kind string, config json.RawMessage) (ai.Provider, error) {
	k, err := s.e.o.AI.Get(kind)
	if err != nil {
		return nil, err
	}
	return buildKind(ctx, s.e, k, config)
}

func (s *services) PublicURL() string { return s.e.o.PublicURL }
