package engine

import (
	"context"
	"fmt"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/fault"
)

// VersionDiff is what changed from one version of a definition to another.
type VersionDiff struct {
	From, To *db.PipelineDefinitionVersion
	Changes  []definition.Difference
	Text     string // unified
}

// DiffVersions compares two versions of a definition. from 0 is the one before to, to 0 the newest.
func (e *Engine) DiffVersions(ctx context.Context, name string, from, to int) (*VersionDiff, error) {
	def, err := e.store.Definition(ctx, name)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = def.Version
	}
	if from == 0 {
		from = max(to-1, 1)
	}
	var d VersionDiff
	if d.From, err = e.store.DefinitionVersionByNumber(ctx, def.ID, from); err != nil {
		return nil, fault.About("from", fault.Of(err))
	}
	if d.To, err = e.store.DefinitionVersionByNumber(ctx, def.ID, to); err != nil {
		return nil, fault.About("to", fault.Of(err))
	}
	d.Changes, d.Text, err = definition.Diff(fmt.Sprintf("%s version %d", name, from), d.From.Config, fmt.Sprintf("%s version %d", name, to), d.To.Config)
	return &d, err
}

// RollBack makes a new version with the document of an earlier one, checked like any other document.
func (e *Engine) RollBack(ctx context.Context, number int, in DefinitionInput) (*db.PipelineDefinition, []definition.Issue, error) {
	def, err := e.store.Definition(ctx, in.Name)
	if err != nil {
		return nil, nil, err
	}
	version, err := e.store.DefinitionVersionByNumber(ctx, def.ID, number)
	if err != nil {
		return nil, nil, fault.About("version", fault.Of(err))
	}
	in.Config, in.MustExist = version.Config, true
	if in.Message == "" {
		in.Message = fmt.Sprintf("Rolled back to version %d", number)
	}
	saved, _, warnings, err := e.SaveDefinition(ctx, in)
	return saved, warnings, err
}
