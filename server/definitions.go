package server

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
)

func (s *Server) definitionRoutes() []route {
	return []route{
		{"GET /orchestration/definitions/", s.definitionList},
		{"GET /orchestration/definitions/{name}/", s.definitionGet},
		{"PUT /orchestration/definitions/{name}/", s.definitionPut},
		{"DELETE /orchestration/definitions/{name}/", s.definitionDelete},
		{"POST /orchestration/definitions/{name}/validate/", s.definitionValidate},
		{"POST /orchestration/validate/", s.filesValidate},
		{"POST /orchestration/definitions/{name}/execute/", s.definitionExecute},
		{"GET /schemas/pipeline-1.0.json", s.definitionSchema},
	}
}

// definitionRow is a definition in the list.
type definitionRow struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Version     int               `json:"version"`
	IsActive    bool              `json:"is_active"`
	NodeCount   int               `json:"node_count"`
	Tags        map[string]string `json:"tags"`
	UpdatedAt   time.Time         `json:"updated_at"`
}

// definitionDetail is a definition with its document. Secrets in it are references.
type definitionDetail struct {
	definitionRow
	CreatedBy string                 `json:"created_by"`
	CreatedAt time.Time              `json:"created_at"`
	Config    json.RawMessage        `json:"config"`
	Schedules []engine.ScheduleState `json:"schedules"`
	Warnings  []definition.Issue     `json:"warnings,omitempty"` // of the save
}

func rowOf(d db.PipelineDefinition) definitionRow {
	tags := d.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return definitionRow{d.Name, d.Description, d.Version, d.IsActive, d.NodeCount, tags, d.UpdatedAt.UTC()}
}

func (s *Server) detailOf(ctx context.Context, d db.PipelineDefinition) (definitionDetail, error) {
	byDefinition, err := s.store.SchedulesByDefinition(ctx, []string{d.ID})
	if err != nil {
		return definitionDetail{}, err
	}
	schedules, err := scheduleStates(byDefinition[d.ID])
	return definitionDetail{definitionRow: rowOf(d), CreatedBy: d.CreatedBy, CreatedAt: d.CreatedAt.UTC(), Config: d.Config, Schedules: schedules}, err
}

// definitionList answers with all definitions: there are as many as people have written.
func (s *Server) definitionList(w http.ResponseWriter, r *http.Request) error {
	filter := db.DefinitionFilter{}
	if text := r.URL.Query().Get("active"); text != "" {
		active, err := strconv.ParseBool(text)
		if err != nil {
			return fault.New(fault.Invalid, "active=%q is neither true nor false.", text)
		}
		filter.Active = &active
	}
	rows := []definitionRow{}
	for {
		page, err := s.store.Definitions(r.Context(), filter)
		if err != nil {
			return err
		}
		for _, d := range page.Items {
			rows = append(rows, rowOf(d))
		}
		if !page.HasNext {
			break
		}
		filter.After = page.Cursors[len(page.Cursors)-1]
	}
	return writeJSON(w, http.StatusOK, struct {
		Definitions []definitionRow `json:"definitions"`
		Count       int             `json:"count"`
	}{rows, len(rows)})
}

func (s *Server) definitionGet(w http.ResponseWriter, r *http.Request) error {
	d, err := s.store.Definition(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	detail, err := s.detailOf(r.Context(), *d)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, detail)
}

// definitionPut creates (201) or replaces (200). What the body leaves out keeps its stored value.
func (s *Server) definitionPut(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name            string            `json:"name"`
		Config          json.RawMessage   `json:"config"`
		Description     *string           `json:"description"`
		Tags            map[string]string `json:"tags"`
		IsActive        *bool             `json:"is_active"`
		Message         string            `json:"message"`
		ExpectedVersion *int              `json:"expected_version"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := sameName(body.Name, name); err != nil {
		return err
	}
	d, created, warnings, err := s.engine.SaveDefinition(r.Context(), engine.DefinitionInput{
		Name: name, Description: body.Description, Config: body.Config, Tags: body.Tags, IsActive: body.IsActive,
		Message: body.Message, ExpectedVersion: body.ExpectedVersion, Actor: actor(r), Admin: isAdmin(r),
	})
	if err != nil {
		return err
	}
	detail, err := s.detailOf(r.Context(), *d)
	if err != nil {
		return err
	}
	detail.Warnings = warnings
	return writeJSON(w, createdOr(created, w, r), detail)
}

// definitionDelete takes ?expected_version=, so that a newer version is not deleted unseen.
func (s *Server) definitionDelete(w http.ResponseWriter, r *http.Request) error {
	var expected *int
	if text := r.URL.Query().Get("expected_version"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fault.New(fault.Invalid, "expected_version=%q is not a number.", text)
		}
		expected = &n
	}
	if err := s.engine.DeleteDefinition(r.Context(), r.PathValue("name"), expected); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// definitionValidate checks the stored document, or the draft in the body.
func (s *Server) definitionValidate(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	var body struct {
		Config json.RawMessage `json:"config"`
	}
	if hasBody(r) {
		if err := readJSON(w, r, &body); err != nil {
			return err
		}
	}
	if body.Config == nil {
		d, err := s.store.Definition(r.Context(), name)
		if err != nil {
			return err
		}
		body.Config = d.Config
	}
	v, err := s.engine.Validate(r.Context(), name, body.Config)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Name string `json:"name"`
		engine.Validation
	}{name, v})
}

// filesValidate checks a set of files that name each other, as penstock apply would.
func (s *Server) filesValidate(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Files map[string]engine.AppliedFile `json:"files"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	for file, f := range body.Files {
		if f.Name == "" {
			f.Name = strings.TrimSuffix(file, path.Ext(file))
			body.Files[file] = f
		}
	}
	problems, err := s.engine.CheckFiles(r.Context(), body.Files)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Valid    bool                `json:"valid"`
		Problems engine.FileProblems `json:"problems"`
	}{len(problems) == 0, append(engine.FileProblems{}, problems...)})
}

// definitionExecute starts a run and waits for it, 30 seconds if the caller does not say how long.
func (s *Server) definitionExecute(w http.ResponseWriter, r *http.Request) error {
	p, err := readPatience(r)
	if err != nil {
		return err
	}
	if !p.asked {
		p.wait = defaultWait
	}
	var body struct {
		Payload     json.RawMessage `json:"payload"`
		Source      string          `json:"source"`
		TraceID     string          `json:"trace_id"`
		Environment string          `json:"environment"`
		IncidentID  string          `json:"incident_id"`
	}
	if hasBody(r) {
		if err := readJSON(w, r, &body); err != nil {
			return err
		}
	}
	run, err := s.engine.Execute(r.Context(), engine.ExecuteInput{
		Definition: r.PathValue("name"), Payload: body.Payload, Source: body.Source, Environment: body.Environment,
		TraceID: body.TraceID, IncidentID: body.IncidentID, IdempotencyKey: r.Header.Get("Idempotency-Key"),
		Trigger: db.TriggerAPI, Actor: actor(r),
	})
	if err != nil {
		return err
	}
	return s.answerRun(w, r, run.ID, p)
}

// definitionSchema publishes the JSON Schema that editors complete and check documents with.
func (s *Server) definitionSchema(w http.ResponseWriter, r *http.Request) error {
	catalog, err := s.engine.Catalog(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/schema+json; charset=utf-8")
	_, err = w.Write(definition.Schema(catalog))
	return gone(err)
}

// sameName refuses a body that names another thing than the address does.
func sameName(body, path string) error {
	if body != "" && body != path {
		return fault.New(fault.Invalid, "The body is named %q and the address %q. Leave the name out or use the same.", body, path)
	}
	return nil
}

func createdOr(created bool, w http.ResponseWriter, r *http.Request) int {
	if !created {
		return http.StatusOK
	}
	w.Header().Set("Location", r.URL.EscapedPath())
	return http.StatusCreated
}
