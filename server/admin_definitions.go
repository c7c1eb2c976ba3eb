package server

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/views"
)

// definitionNew begins with a preset, a copy of another definition, or the first preset.
func (s *Server) definitionNew(w http.ResponseWriter, r *http.Request) error {
	page := views.DefinitionPage{Page: s.frame(w, r, "definitions", "New definition"), New: true, Active: true, CanEdit: true}
	q := r.URL.Query()
	if from := q.Get("from"); from != "" {
		if !may(r, "GET /admin/definitions/{name}/") {
			return fault.New(fault.Forbidden, "Copying a definition needs the scope read.")
		}
		def, err := s.store.Definition(r.Context(), from)
		if err != nil {
			return err
		}
		page.Name, page.Description, page.Tags, page.Config = def.Name+"-copy", def.Description, tagsText(def.Tags), pretty(def.Config)
		if !isAdmin(r) {
			page.Secrets = secretsIn(def.Config)
		}
		return s.definitionRender(w, r, http.StatusOK, page)
	}
	page.Preset, page.Chosen = cmp.Or(q.Get("preset"), firstPreset(s.presets)), q.Get("preset") != ""
	for _, preset := range s.presets {
		if preset.Name == page.Preset {
			page.Config = pretty(preset.Config)
			page.Description = describe(preset.Config)
		}
	}
	if page.Config == "" && q.Get("preset") != "" {
		return fault.New(fault.NotFound, "There is no preset %q.", page.Preset)
	}
	page.Config = cmp.Or(page.Config, "{\n  \"version\": \"1.0\",\n  \"nodes\": []\n}")
	return s.definitionRender(w, r, http.StatusOK, page)
}

var secretRef = regexp.MustCompile(`\{\s*"(?:secret|env)"\s*:\s*"([^"]*)"\s*\}`)

// secretsIn are the names of the secrets that a document refers to.
func secretsIn(config []byte) (names []string) {
	for _, found := range secretRef.FindAllSubmatch(config, -1) {
		names = append(names, string(found[1]))
	}
	return names
}

func firstPreset(presets []Preset) string {
	if len(presets) == 0 {
		return ""
	}
	return presets[0].Name
}

// describe is what a document says of itself.
func describe(config []byte) string {
	var doc struct{ Description string }
	_ = json.Unmarshal(config, &doc) // shipped with the program
	return doc.Description
}

func (s *Server) definitionCreate(w http.ResponseWriter, r *http.Request) error {
	return s.definitionStore(w, r, views.DefinitionPage{New: true})
}

func (s *Server) definitionSave(w http.ResponseWriter, r *http.Request) error {
	return s.definitionStore(w, r, views.DefinitionPage{Name: r.PathValue("name")})
}

// definitionStore saves what the editor sent. What is refused comes back with the text and the reason.
func (s *Server) definitionStore(w http.ResponseWriter, r *http.Request, page views.DefinitionPage) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page.Page = s.frame(w, r, "definitions", cmp.Or(page.Name, "New definition"))
	page.CanEdit, page.Changed = true, true
	page.Description, page.Tags, page.Active, page.Config, page.Message = field(r, "description"), field(r, "tags"), r.PostFormValue("active") == "yes", field(r, "config"), field(r, "message")
	in := engine.DefinitionInput{
		Description: &page.Description, Config: json.RawMessage(page.Config), IsActive: &page.Active, Message: page.Message,
		MustCreate: page.New, MustExist: !page.New, Actor: actor(r), Admin: isAdmin(r),
	}
	if page.New {
		page.Name = field(r, "name")
	} else {
		version, err := strconv.Atoi(r.PostFormValue("expected_version"))
		if err != nil {
			return fault.New(fault.Invalid, "expected_version is not a number. Load the page again.")
		}
		page.Version, in.ExpectedVersion = version, &version
	}
	in.Name = page.Name
	var def *db.PipelineDefinition
	created, err := false, s.changedTags(r, page, &in)
	if err == nil {
		def, created, _, err = s.engine.SaveDefinition(r.Context(), in)
	}
	if err == nil {
		flash := "saved"
		if created {
			flash = "created"
		}
		next := views.DefinitionURL(def.Name)
		if !may(r, "GET /admin/definitions/{name}/") { // may edit, not read: the one page it may see
			next = "/admin/definitions/new"
		}
		return s.done(w, r, next, flash)
	}
	f := fault.Of(err)
	if _, invalid := errors.AsType[*engine.InvalidError](err); invalid {
		page.Problem = "The document has errors; they are listed beside it."
	} else if f.Code == fault.Internal || f.Code == fault.Unavailable || !page.New && f.Code == fault.NotFound {
		return err
	} else {
		page.Problem = f.Message
	}
	if f.Code == fault.Conflict && !page.New {
		if page.Conflict, err = s.conflict(r, page.Name); err != nil {
			return err
		}
		page.Version = page.Conflict.Version
	}
	return s.definitionRender(w, r, status(f.Code), page)
}

// changedTags reads the tags that were written, if they are not those that are stored.
func (s *Server) changedTags(r *http.Request, page views.DefinitionPage, in *engine.DefinitionInput) error {
	if !r.PostForm.Has("tags") {
		return nil
	}
	if !page.New {
		def, err := s.store.Definition(r.Context(), page.Name)
		if err != nil {
			return err
		}
		if page.Tags == tagsText(def.Tags) {
			return nil
		}
	}
	tags, err := tagsFrom(page.Tags)
	in.Tags = tags
	return err
}

// conflict is what is stored now, after somebody else saved it.
func (s *Server) conflict(r *http.Request, name string) (*views.Conflict, error) {
	def, err := s.store.Definition(r.Context(), name)
	if err != nil {
		return nil, err
	}
	version, err := s.store.DefinitionVersionByNumber(r.Context(), def.ID, def.Version)
	if err != nil {
		return nil, err
	}
	return &views.Conflict{Version: version.Number, Author: version.Author, Config: pretty(version.Config)}, nil
}

func (s *Server) definitionPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	def, err := s.store.Definition(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	page := views.DefinitionPage{
		Page: s.frame(w, r, "definitions", def.Name), Name: def.Name, Description: def.Description, Tags: tagsText(def.Tags), Active: def.IsActive,
		Version: def.Version, Config: pretty(def.Config), CanEdit: may(r, "POST /admin/definitions/{name}/"),
	}
	if text := r.URL.Query().Get("version"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil {
			return fault.New(fault.Invalid, "version=%q is not a number.", text)
		}
		if number != def.Version {
			version, err := s.store.DefinitionVersionByNumber(ctx, def.ID, number)
			if err != nil {
				return err
			}
			page.Shown, page.Config = number, pretty(version.Config)
		}
	}
	return s.definitionRender(w, r, http.StatusOK, page)
}

// definitionRender adds what every state of the page shows: checks, versions, runs.
func (s *Server) definitionRender(w http.ResponseWriter, r *http.Request, code int, page views.DefinitionPage) error {
	ctx := r.Context()
	checks, err := s.checksOf(r, page.Name, page.Config)
	if err != nil {
		return err
	}
	page.Checks = checks
	id := ""
	if !page.New {
		def, err := s.store.Definition(ctx, page.Name)
		if err != nil {
			return err
		}
		id = def.ID
	}
	if page.CanEdit && page.Shown == 0 {
		if page.Editor, err = s.editor(r, page.Name, id, page.Config); err != nil {
			return err
		}
	}
	if page.New {
		for _, preset := range s.presets {
			page.Presets = append(page.Presets, views.PresetCard{Name: preset.Name, Title: preset.Title, Description: describe(preset.Config)})
		}
	}
	page.CanDuplicate = may(r, "GET /admin/definitions/new")
	page.CanRun = may(r, "POST /admin/definitions/{name}/execute")
	if !page.New {
		versions, err := s.store.DefinitionVersions(ctx, id, db.Page{First: 10})
		if err != nil {
			return err
		}
		page.MoreVersions = versions.HasNext
		for _, v := range versions.Items {
			page.Versions = append(page.Versions, versionRow(&v))
		}
		if page.Schedules, err = s.scheduleRows(ctx, id); err != nil {
			return err
		}
		runs, err := s.runRows(ctx, db.RunFilter{DefinitionID: id, Page: db.Page{First: gridRuns}})
		if err != nil {
			return err
		}
		page.Runs = runs[:min(10, len(runs))]
		if page.Grid, err = s.grid(ctx, runs, nodesOf(page.Config)); err != nil {
			return err
		}
	}
	return s.render(w, r, code, views.Definition(page), views.ChecksFragment)
}

// nodesOf are the nodes of a document, in its order.
func nodesOf(config string) (ids []string) {
	if doc, _ := definition.Decode([]byte(config)); doc != nil {
		for _, n := range doc.Nodes {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// draftValidate answers while somebody types: issues with their lines, and the graph.
func (s *Server) draftValidate(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	checks, err := s.checksOf(r, field(r, "name"), field(r, "config"))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Definition(views.DefinitionPage{New: true, Checks: checks}), views.ChecksFragment)
}

func (s *Server) checksOf(r *http.Request, name, config string) (views.Checks, error) {
	found, err := s.engine.Validate(r.Context(), name, []byte(config))
	if err != nil {
		return views.Checks{}, err
	}
	checks := views.Checks{Errors: len(found.Errors), Warnings: len(found.Warnings)}
	perNode := map[string]int{}
	for _, issue := range append(found.Errors, found.Warnings...) {
		line := lineOf([]byte(config), issue.Path)
		if issue.Code == definition.CodeSyntax {
			line = syntaxLine([]byte(config))
		}
		checks.Issues = append(checks.Issues, views.Issue{Severity: string(issue.Severity), Message: issue.Message, Where: issue.Path, Line: line})
		if issue.Severity == definition.SeverityError && issue.NodeID != "" {
			perNode[issue.NodeID]++
		}
	}
	if doc, _ := definition.Decode([]byte(config)); doc != nil && len(doc.Nodes) > 0 {
		graph := s.definitionGraph(doc, perNode)
		checks.Graph = &graph
	}
	return checks, nil
}

func (s *Server) definitionDeleteForm(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if r.PostFormValue("confirm") != name {
		return fault.New(fault.Invalid, "Not deleted: the name you typed is not %q.", name)
	}
	version, err := strconv.Atoi(r.PostFormValue("expected_version"))
	if err != nil {
		return fault.New(fault.Invalid, "expected_version is not a number. Load the page again.")
	}
	if err := s.engine.DeleteDefinition(r.Context(), name, &version); err != nil {
		return err
	}
	return s.done(w, r, "/admin/definitions", "deleted")
}

func (s *Server) executeForm(w http.ResponseWriter, r *http.Request) error {
	def, err := s.store.Definition(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	page := views.ExecutePage{Name: def.Name, Payload: "{}", From: r.URL.Query().Get("from")}
	if r.URL.Query().Get("example") == "alert" {
		page.Payload = exampleAlert
	}
	if page.From != "" {
		run, payload, err := s.engine.RunWithPayload(r.Context(), page.From)
		if err != nil {
			return err
		}
		page.Payload, page.Environment = cmp.Or(withoutSecrets(payload), "{}"), run.Environment
	}
	return s.executeRender(w, r, http.StatusOK, def.ID, page)
}

// exampleAlert is an alert that is made up, for a first run.
const exampleAlert = `{
  "title": "Disk is filling up",
  "severity": "critical",
  "host": "db-1.example.com",
  "description": "/var/lib/postgresql is 93 % full and grows by 1.8 GB an hour.",
  "labels": {"team": "database"}
}`

func (s *Server) executeRender(w http.ResponseWriter, r *http.Request, code int, definitionID string, page views.ExecutePage) error {
	page.Page = s.frame(w, r, "definitions", "Run "+page.Name)
	runs, err := s.runRows(r.Context(), db.RunFilter{DefinitionID: definitionID, Page: db.Page{First: 5}})
	if err != nil {
		return err
	}
	page.Samples = runs
	page.Key = cmp.Or(page.Key, rand.Text())
	return s.render(w, r, code, views.Execute(page), "")
}

// executeRun starts a run by hand and leads to its page.
func (s *Server) executeRun(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	def, err := s.store.Definition(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	page := views.ExecutePage{Name: def.Name, Payload: field(r, "payload"), Environment: field(r, "environment"), Key: r.PostFormValue("key"), From: field(r, "from")}
	var payload json.RawMessage
	if page.From != "" {
		_, had, err := s.engine.RunWithPayload(r.Context(), page.From)
		if err != nil {
			return err
		}
		if payload, err = editedPayload(had, page.Payload); err != nil {
			page.Problem = fault.Of(err).Message
			return s.executeRender(w, r, http.StatusUnprocessableEntity, def.ID, page)
		}
		if payload == nil { // as it was
			payload = had
		}
	} else if page.Payload != "" {
		payload = json.RawMessage(page.Payload)
		if line := syntaxLine(payload); line > 0 {
			page.Problem = "The payload is not valid JSON: look at line " + strconv.Itoa(line) + "."
			return s.executeRender(w, r, http.StatusUnprocessableEntity, def.ID, page)
		}
	}
	run, err := s.engine.Execute(r.Context(), engine.ExecuteInput{
		Definition: def.Name, Payload: payload, Source: "admin", Environment: page.Environment, Trigger: db.TriggerManual, Actor: actor(r),
		IdempotencyKey: onceKey(page),
	})
	if err != nil {
		f := fault.Of(err)
		if f.Code == fault.Internal || f.Code == fault.Unavailable {
			return err
		}
		page.Problem = f.Message
		return s.executeRender(w, r, status(f.Code), def.ID, page)
	}
	return s.done(w, r, views.RunURL(run.ID), "")
}

// onceKey makes a double click one run. A form that went back in the browser and was changed is
// another one.
func onceKey(page views.ExecutePage) string {
	if page.Key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(page.Key + "\x00" + page.Environment + "\x00" + page.Payload))
	return "admin-" + hex.EncodeToString(sum[:])
}
