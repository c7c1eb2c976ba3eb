package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"penstock/db"
	"penstock/drivers"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) channelNew(w http.ResponseWriter, r *http.Request) error {
	page := views.ChannelPage{New: true, Active: true, Driver: r.URL.Query().Get("driver")}
	return s.channelRender(w, r, http.StatusOK, page, json.RawMessage("{}"), nil)
}

func (s *Server) channelPage(w http.ResponseWriter, r *http.Request) error {
	return s.channelShow(w, r, r.PathValue("name"), nil)
}

// channelShow shows the stored channel, with the outcome of a test just made.
func (s *Server) channelShow(w http.ResponseWriter, r *http.Request, name string, outcome *views.Outcome) error {
	c, err := s.store.Channel(r.Context(), name)
	if err != nil {
		return err
	}
	page := views.ChannelPage{
		Name: c.Name, Driver: c.Driver, Description: c.Description, Active: c.IsActive, State: testState(*c), Error: c.TestError, Outcome: outcome,
	}
	states, err := s.store.ChannelStates(r.Context())
	if err != nil {
		return err
	}
	if state := states[c.Name]; state != nil && c.IsActive && state.State != db.ChannelOK {
		page.Trouble, page.TroubleText, page.TroubleSince = string(state.State), state.Error, state.Since
	}
	return s.channelRender(w, r, http.StatusOK, page, c.Config, nil)
}

// channelRender draws the form from the driver's schema, with the settings and what is wrong with them.
func (s *Server) channelRender(w http.ResponseWriter, r *http.Request, status int, page views.ChannelPage, config json.RawMessage, problems map[string]string) error {
	title := page.Name
	if page.New {
		title = "New channel"
	}
	page.Page = s.frame(w, r, "settings", title)
	for _, kind := range s.engine.ChannelKinds() {
		page.Kinds = append(page.Kinds, views.Option{Value: kind.Name, Label: kind.Title})
		if kind.Name != page.Driver {
			continue
		}
		page.Title = kind.Title
		settings, err := settingsOf(kind.Schema)
		if err != nil {
			return err
		}
		for _, one := range settings {
			page.Fields = append(page.Fields, one.field(config, problems["config/"+one.name]))
		}
	}
	if page.Driver != "" && !slices.ContainsFunc(page.Kinds, func(o views.Option) bool { return o.Value == page.Driver }) {
		return fault.New(fault.NotFound, "There is no driver %q.", page.Driver)
	}
	return s.render(w, r, status, views.Channel(page), "")
}

func (s *Server) channelSave(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	page := views.ChannelPage{
		New: name == "", Name: cmp.Or(name, field(r, "name")), Driver: field(r, "driver"), Description: field(r, "description"), Active: field(r, "active") != "",
	}
	config, err := s.formConfig(r, page.Driver)
	if err != nil {
		return err
	}
	_, _, err = s.engine.SaveChannel(r.Context(), engine.ChannelInput{
		Name: page.Name, Driver: page.Driver, Config: config, Description: &page.Description, IsActive: &page.Active,
		MustCreate: page.New, MustExist: !page.New, Actor: actor(r), Admin: isAdmin(r),
	})
	if err != nil {
		return refused(err, func(status int, problem string) error {
			page.Problem = problem
			return s.channelRender(w, r, status, page, config, fault.Of(err).Fields)
		})
	}
	return s.done(w, r, views.ChannelURL(page.Name), "channel-saved")
}

func (s *Server) channelDeleteForm(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if field(r, "confirm") != name {
		return fault.New(fault.Invalid, "Not deleted: type the name %s to confirm.", name)
	}
	if err := s.engine.DeleteChannel(r.Context(), name); err != nil {
		return err
	}
	return s.done(w, r, "/admin/settings", "channel-deleted")
}

// formConfig makes the configuration of what the form says. What is empty is left out: a secret that is left
// out keeps its stored value.
func (s *Server) formConfig(r *http.Request, driver string) (json.RawMessage, error) {
	i := slices.IndexFunc(s.engine.ChannelKinds(), func(k drivers.Kind[notify.Driver]) bool { return k.Name == driver })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "There is no driver %q.", driver)
	}
	settings, err := settingsOf(s.engine.ChannelKinds()[i].Schema)
	if err != nil {
		return nil, err
	}
	config := map[string]any{}
	for _, one := range settings {
		if v := one.value(field(r, "config."+one.name)); v != nil {
			config[one.name] = v
		}
	}
	return json.Marshal(config)
}

// setting is one property of a driver's schema.
type setting struct {
	name   string
	Title  string `json:"title"`
	About  string `json:"description"`
	Type   string `json:"type"`
	Enum   []any  `json:"enum"`
	Hidden bool   `json:"writeOnly"`
}

// settingsOf reads the properties of a schema in the order they are written.
func settingsOf(schema json.RawMessage) ([]setting, error) {
	var doc struct {
		Properties json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(schema, &doc); err != nil || len(doc.Properties) == 0 {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(doc.Properties))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var all []setting
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var one setting
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		one.name, _ = key.(string)
		all = append(all, one)
	}
	return all, nil
}

func (one setting) kind() string {
	switch {
	case one.Hidden:
		return "secret"
	case len(one.Enum) > 0:
		return "select"
	case one.Type == "boolean":
		return "check"
	case one.Type == "integer" || one.Type == "number":
		return "number"
	case one.Type == "array" || one.Type == "object":
		return "lines"
	}
	return "text"
}

// field shows the setting as config has it. Secrets are never shown.
func (one setting) field(config json.RawMessage, problem string) views.FormField {
	f := views.FormField{Name: one.name, Title: cmp.Or(one.Title, one.name), Hint: one.About, Kind: one.kind(), Problem: problem}
	var stored map[string]json.RawMessage
	_ = json.Unmarshal(config, &stored) // what is not an object has no settings
	raw, there := stored[one.name]
	switch f.Kind {
	case "secret":
		f.Stored = there
		return f
	case "select":
		f.Options = []views.Option{{Label: "as the driver does by itself"}}
		for _, v := range one.Enum {
			if text, ok := v.(string); ok {
				f.Options = append(f.Options, views.Option{Value: text, Label: text})
			}
		}
	case "lines":
		f.Hint = strings.TrimSpace(f.Hint + " One to a line" + map[bool]string{true: ", like: Name: value."}[one.Type == "object"])
		f.Value = linesOf(raw)
		return f
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	f.Value = text
	return f
}

// linesOf writes a list or an object a line each; references to secrets are masked.
func linesOf(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, "\n")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return ""
	}
	for name := range object {
		list = append(list, name+": [secret]")
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// value is what the text of the form means, nil for nothing.
func (one setting) value(text string) any {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	switch {
	case one.Hidden:
		return text
	case one.Type == "boolean":
		return true
	case one.Type == "integer" || one.Type == "number":
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case one.Type == "array":
		var list []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		return list
	case one.Type == "object":
		object := map[string]string{}
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(line, ":"); ok {
				object[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		return object
	}
	return text
}

func testState(c db.Channel) string {
	switch {
	case c.TestError != "":
		return "failed"
	case !c.TestedAt.IsZero():
		return "passed"
	}
	return "untested"
}
