package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"penstock/fault"
)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// definitionTag is a tag of a definition, in a table of its own because lists are filtered by it.
type definitionTag struct {
	bun.BaseModel `bun:"table:definition_tags,alias:dt"`

	DefinitionID string `bun:"definition_id,pk"`
	Key          string `bun:"key,pk"`
	Value        string `bun:"value"`
}

// DefinitionFilter selects definitions; the zero value is all.
type DefinitionFilter struct {
	Active *bool
	Search string            // in name and description
	Tags   map[string]string // all of them
	Page
}

// DefinitionSave is what [Store.SaveDefinition] does. Nil fields keep what is there.
type DefinitionSave struct {
	Name            string
	Description     *string
	Config          json.RawMessage
	NodeCount       int // of Config
	Tags            map[string]string
	IsActive        *bool // nil for a new definition: active
	Message, Author string
	ExpectedVersion *int // refuse if the newest version is another
	MustCreate      bool
	MustExist       bool
	Secrets         []Secret // stored in the same transaction
	// Schedules reads the schedules of a configuration, each at the beginning of its time.
	Schedules func(config json.RawMessage) ([]Schedule, error)
}

// Definition returns the definition of that name.
func (s *Store) Definition(ctx context.Context, name string) (*PipelineDefinition, error) {
	d := new(PipelineDefinition)
	err := s.read.NewSelect().Model(d).Where("name = ?", name).Where("deleted_at IS NULL").Scan(ctx)
	if err != nil {
		return nil, found(err, "read definition", "There is no pipeline definition %q.", name)
	}
	return d, nil
}

// DefinitionByID returns a definition, also a deleted one.
func (s *Store) DefinitionByID(ctx context.Context, id string) (*PipelineDefinition, error) {
	d := new(PipelineDefinition)
	if err := s.read.NewSelect().Model(d).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read definition", "There is no pipeline definition with the id %q.", id)
	}
	return d, nil
}

// DefinitionIDs returns the ids of the definition with the name and of deleted ones that had it.
func (s *Store) DefinitionIDs(ctx context.Context, name string) (ids []string, err error) {
	err = s.read.NewSelect().Model((*PipelineDefinition)(nil)).Column("id").Where("name = ?", name).Scan(ctx, &ids)
	return ids, wrap(err, "read definitions")
}

// DefinitionsByID returns definitions, also deleted ones, by their ids.
func (s *Store) DefinitionsByID(ctx context.Context, ids []string) (map[string]*PipelineDefinition, error) {
	var ds []PipelineDefinition
	err := s.read.NewSelect().Model(&ds).Where("id IN (?)", bun.List(ids)).Scan(ctx)
	return byID(ds, func(d *PipelineDefinition) string { return d.ID }), wrap(err, "read definitions")
}

// Definitions lists definitions, the last changed first.
func (s *Store) Definitions(ctx context.Context, f DefinitionFilter) (Connection[PipelineDefinition], error) {
	var ds []PipelineDefinition
	q := f.apply(s.read.NewSelect().Model(&ds))
	return list(ctx, q, &ds, f.Page, "updated_at", func(d *PipelineDefinition) (time.Time, string) { return d.UpdatedAt, d.ID })
}

// CountDefinitions counts what [Store.Definitions] lists on all pages.
func (s *Store) CountDefinitions(ctx context.Context, f DefinitionFilter) (int, error) {
	n, err := f.apply(s.read.NewSelect().Model((*PipelineDefinition)(nil))).Count(ctx)
	return int(n), wrap(err, "count definitions")
}

func (f DefinitionFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	q.Where("deleted_at IS NULL")
	if f.Active != nil {
		q.Where("is_active = ?", *f.Active)
	}
	contains(q, f.Search, "name", "description")
	for key, value := range f.Tags {
		q.Where("EXISTS (SELECT 1 FROM definition_tags AS dt WHERE dt.definition_id = pd.id AND dt.key = ? AND dt.value = ?)", key, value)
	}
	return q
}

// DefinitionVersion returns a version by its id.
func (s *Store) DefinitionVersion(ctx context.Context, id string) (*PipelineDefinitionVersion, error) {
	v := new(PipelineDefinitionVersion)
	if err := s.read.NewSelect().Model(v).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read definition version", "There is no definition version with the id %q.", id)
	}
	return v, nil
}

// DefinitionVersionByNumber returns a version of a definition.
func (s *Store) DefinitionVersionByNumber(ctx context.Context, definitionID string, number int) (*PipelineDefinitionVersion, error) {
	v := new(PipelineDefinitionVersion)
	err := s.read.NewSelect().Model(v).Where("definition_id = ?", definitionID).Where("number = ?", number).Scan(ctx)
	if err != nil {
		return nil, found(err, "read definition version", "The definition has no version %d.", number)
	}
	return v, nil
}

// DefinitionVersions lists the versions of a definition, the newest first.
func (s *Store) DefinitionVersions(ctx context.Context, definitionID string, p Page) (Connection[PipelineDefinitionVersion], error) {
	var vs []PipelineDefinitionVersion
	q := s.read.NewSelect().Model(&vs).Where("definition_id = ?", definitionID)
	return list(ctx, q, &vs, p, "created_at", func(v *PipelineDefinitionVersion) (time.Time, string) { return v.CreatedAt, v.ID })
}

// SaveDefinition creates a definition or changes it. A new version is made only if the configuration differs in
// more than white space. What it returns is what is stored now.
func (s *Store) SaveDefinition(ctx context.Context, in DefinitionSave) (d *PipelineDefinition, created bool, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		d, created, err = tx.saveDefinition(tx.ctx(ctx), in)
		return err
	})
	if isUnique(err) { // somebody else created it at this moment
		err = fault.Wrap(err, fault.Conflict, "Pipeline definition %q was saved by somebody else at the same time. Load it and save again.", in.Name)
	}
	if err != nil {
		return nil, false, wrap(err, "save definition")
	}
	return d, created, nil
}

func (tx *Tx) saveDefinition(ctx context.Context, in DefinitionSave) (*PipelineDefinition, bool, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := new(PipelineDefinition)
	err := tx.forUpdate(tx.idb.NewSelect().Model(d).Where("name = ?", in.Name).Where("deleted_at IS NULL")).Scan(ctx)
	create := errors.Is(err, sql.ErrNoRows)
	switch {
	case err != nil && !create:
		return nil, false, wrap(err, "read definition")
	case create && in.MustExist:
		return nil, false, fault.New(fault.NotFound, "There is no pipeline definition %q.", in.Name)
	case !create && in.MustCreate:
		return nil, false, &fault.Error{Code: fault.Conflict, Message: "A pipeline definition with this name exists.", Fields: map[string]string{"name": "Name is taken."}}
	case create && in.Config == nil:
		return nil, false, fault.New(fault.Invalid, "A new pipeline definition needs a configuration.")
	case in.ExpectedVersion != nil && *in.ExpectedVersion != d.Version:
		return nil, false, staleVersion(in.Name, *in.ExpectedVersion, d.Version)
	}
	if create {
		d = &PipelineDefinition{ID: newID(), Name: in.Name, IsActive: true, CreatedBy: in.Author, CreatedAt: now}
	}
	before := *d
	if in.Description != nil {
		d.Description = *in.Description
	}
	if in.IsActive != nil {
		d.IsActive = *in.IsActive
	}
	tagsChanged := in.Tags != nil && !maps.Equal(in.Tags, d.Tags)
	if in.Tags != nil {
		d.Tags = in.Tags
	}
	var version *PipelineDefinitionVersion
	if in.Config != nil {
		if version, err = nextVersion(d, in, now); err != nil {
			return nil, false, err
		}
	}
	if !create && version == nil && !tagsChanged && d.Description == before.Description && d.IsActive == before.IsActive {
		return d, false, tx.saveSecrets(ctx, in.Secrets) // nothing is different: its place in lists stays
	}
	d.UpdatedAt = now
	if create {
		_, err = tx.idb.NewInsert().Model(d).Exec(ctx)
	} else {
		_, err = tx.idb.NewUpdate().Model(d).WherePK().Exec(ctx)
	}
	if err != nil {
		return nil, false, wrap(err, "write definition")
	}
	if version != nil {
		if _, err := tx.idb.NewInsert().Model(version).Exec(ctx); err != nil {
			return nil, false, wrap(err, "write definition version")
		}
	}
	if tagsChanged {
		if err := tx.saveTags(ctx, d); err != nil {
			return nil, false, err
		}
	}
	if in.Schedules != nil && (version != nil || d.IsActive != before.IsActive) {
		entries, err := in.Schedules(d.Config)
		if err != nil {
			return nil, false, err
		}
		if err := tx.saveSchedules(ctx, d, entries); err != nil {
			return nil, false, err
		}
	}
	return d, create, tx.saveSecrets(ctx, in.Secrets)
}

func staleVersion(name string, expected, current int) error {
	f := fault.New(fault.Conflict, "Version %d of pipeline definition %q was expected, but there is none of this name.", expected, name)
	if current != 0 {
		f = fault.New(fault.Conflict, "Pipeline definition %q is at version %d, not %d: somebody else has saved it. Load it and save again.", name, current, expected)
	}
	return fault.About("expected_version", f)
}

// nextVersion puts the configuration into d and returns the version to store, nil if nothing is different.
func nextVersion(d *PipelineDefinition, in DefinitionSave, now time.Time) (*PipelineDefinitionVersion, error) {
	var before, after bytes.Buffer
	if err := json.Compact(&after, in.Config); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The configuration is not JSON: %s.", err)
	}
	if d.Config != nil {
		if err := json.Compact(&before, d.Config); err != nil {
			return nil, err
		}
		if bytes.Equal(before.Bytes(), after.Bytes()) {
			return nil, nil
		}
	}
	sum := sha256.Sum256(after.Bytes())
	d.Config, d.NodeCount = in.Config, in.NodeCount
	d.Version++
	return &PipelineDefinitionVersion{
		ID: newID(), DefinitionID: d.ID, DefinitionName: d.Name, Number: d.Version, Config: in.Config,
		Checksum: hex.EncodeToString(sum[:]), Author: in.Author, Message: in.Message, CreatedAt: now,
	}, nil
}

func (tx *Tx) saveTags(ctx context.Context, d *PipelineDefinition) error {
	if _, err := tx.idb.NewDelete().Model((*definitionTag)(nil)).Where("definition_id = ?", d.ID).Exec(ctx); err != nil {
		return wrap(err, "write tags")
	}
	if len(d.Tags) == 0 {
		return nil
	}
	var tags []definitionTag
	for key, value := range d.Tags {
		tags = append(tags, definitionTag{DefinitionID: d.ID, Key: key, Value: value})
	}
	_, err := tx.idb.NewInsert().Model(&tags).Exec(ctx)
	return wrap(err, "write tags")
}

// DeleteDefinition frees the name. The versions stay for the runs pinned to them.
func (s *Store) DeleteDefinition(ctx context.Context, name string, expectedVersion *int) error {
	return s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		d := new(PipelineDefinition)
		if err := tx.forUpdate(tx.idb.NewSelect().Model(d).Where("name = ?", name).Where("deleted_at IS NULL")).Scan(ctx); err != nil {
			return found(err, "delete definition", "There is no pipeline definition %q.", name)
		}
		if expectedVersion != nil && *expectedVersion != d.Version {
			return staleVersion(name, *expectedVersion, d.Version)
		}
		d.DeletedAt = time.Now()
		d.IsActive = false
		if _, err := tx.idb.NewUpdate().Model(d).Column("deleted_at", "is_active").WherePK().Exec(ctx); err != nil {
			return wrap(err, "delete definition")
		}
		return tx.saveSchedules(ctx, d, nil)
	})
}
