package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"penstock/db"
	"penstock/drivers/alerts/strictjson"
	"penstock/engine/definition"
	"penstock/fault"
)

// AppliedFile is a file of [Engine.Apply]. It holds a source if it has the key expect_every_seconds at the top, a
// channel if it has the key driver, else a definition.
// The name is the key name, else the file's name without its ending.
type AppliedFile struct {
	Name        string            `json:"name,omitempty"`
	Driver      string            `json:"driver,omitempty"`
	Config      json.RawMessage   `json:"config,omitempty"`
	Description *string           `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	IsActive    *bool             `json:"is_active,omitempty"`
	Message     string            `json:"message,omitempty"`
	ExpectEvery *int              `json:"expect_every_seconds,omitempty"`
	Grace       *int              `json:"grace_seconds,omitempty"`
}

// Kinds of files.
const (
	FileSource     = "source"
	FileChannel    = "channel"
	FileDefinition = "definition"
)

// Kind is what the file holds.
func (f AppliedFile) Kind() string {
	switch {
	case f.ExpectEvery != nil:
		return FileSource
	case f.Driver != "":
		return FileChannel
	}
	return FileDefinition
}

// Apply makes the store hold what the files of dir say (*.json, *.yaml, *.yml; not below it):
// channels and sources first, then definitions. All files are read and checked before anything is written.
// prune deletes definitions that are in no file; dryRun only says what would be done.
func (e *Engine) Apply(ctx context.Context, dir string, prune, dryRun bool, actor string, out io.Writer) error {
	files, err := ReadFiles(dir)
	if err != nil {
		return err
	}
	problems, err := e.CheckFiles(ctx, files)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return problems
	}
	keep := map[string]bool{}
	for _, path := range FileOrder(files) {
		f := files[path]
		what := f.Kind() + " " + f.Name + " would be saved"
		if !dryRun {
			if what, err = e.applyOne(ctx, f, actor); err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(path), err)
			}
		}
		_, _ = fmt.Fprintf(out, "%s: %s\n", filepath.Base(path), what)
		keep[f.Name] = keep[f.Name] || f.Kind() == FileDefinition
	}
	if !prune {
		return nil
	}
	return e.prune(ctx, keep, dryRun, out)
}

// FileOrder is the order in which files are applied: sources and channels first, because definitions name these,
// and definitions behind those that they run.
func FileOrder(files map[string]AppliedFile) []string {
	paths := slices.Sorted(maps.Keys(files))
	byName := map[string]string{}
	for _, path := range paths {
		if f := files[path]; f.Kind() == FileDefinition {
			byName[f.Name] = path
		}
	}
	var order []string
	placed := map[string]bool{"": true}
	var place func(path string)
	place = func(path string) {
		if placed[path] {
			return
		}
		placed[path] = true
		for _, node := range gjson.GetBytes(files[path].Config, "nodes").Array() {
			if node.Get("type").String() == "pipeline" {
				place(byName[node.Get("config.definition").String()])
			}
		}
		order = append(order, path)
	}
	for _, definitions := range []bool{false, true} {
		for _, path := range paths {
			if (files[path].Kind() == FileDefinition) == definitions {
				place(path)
			}
		}
	}
	return order
}

// FileProblem is why a file of a set cannot be applied.
type FileProblem struct {
	File   string             `json:"file"`
	Error  string             `json:"error"`
	Issues []definition.Issue `json:"errors,omitempty"` // of a definition
}

// FileProblems is what is wrong with a set of files.
type FileProblems []FileProblem

func (list FileProblems) Error() string {
	var lines []string
	for _, p := range list {
		for _, issue := range p.Issues {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", p.File, cmp.Or(issue.Path, "/"), issue.Message))
		}
		if len(p.Issues) == 0 {
			lines = append(lines, p.File+": "+p.Error)
		}
	}
	return strings.Join(lines, "\n")
}

// CheckFiles checks all files before anything is written, as if what they hold existed already.
func (e *Engine) CheckFiles(ctx context.Context, files map[string]AppliedFile) (problems FileProblems, err error) {
	catalog, err := e.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	paths := slices.Sorted(maps.Keys(files))
	report := func(path string, err error) {
		p := FileProblem{File: filepath.Base(path), Error: fault.Of(err).Message}
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			p.Issues = invalid.Validation.Errors
		}
		problems = append(problems, p)
	}
	seen := map[string]string{}
	for _, path := range paths {
		f := files[path]
		if first, twice := seen[f.Kind()+f.Name]; twice {
			report(path, fault.New(fault.Invalid, "%s has a %s %q too.", filepath.Base(first), f.Kind(), f.Name))
		}
		seen[f.Kind()+f.Name] = path
		if err := checkName(f.Name); err != nil && f.Kind() != FileSource { // a source is checked as a whole
			report(path, err)
		}
		if f.Kind() == FileSource {
			if _, err := e.checkSource(db.Source{Name: f.Name}, f.source("")); err != nil {
				report(path, err)
			}
		}
		if f.Kind() != FileChannel {
			continue
		}
		kind, err := e.o.Notify.Get(f.Driver)
		if err != nil {
			report(path, err)
			continue
		}
		if problems := kind.Validate(f.Config); len(problems) > 0 {
			report(path, fault.New(fault.Unprocessable, "config%s: %s.", problems[0].Path, problems[0].Message))
		}
		catalog.Channels[f.Name] = definition.Channel{Driver: f.Driver, IsActive: f.IsActive == nil || *f.IsActive}
	}
	catalog.Callees = map[definition.Call]definition.Callee{}
	for _, f := range files {
		if f.Kind() == FileDefinition {
			catalog.Callees[definition.Call{Definition: f.Name}] = definition.Callee{
				IsActive: f.IsActive == nil || *f.IsActive, Calls: definition.Calls(f.Config, catalog.Types),
			}
		}
	}
	for _, path := range paths {
		if f := files[path]; f.Kind() == FileDefinition {
			if err := e.findCallees(ctx, catalog, f.Config); err != nil {
				return nil, err
			}
			catalog.Name = f.Name
			_, issues := definition.Check(f.Config, catalog)
			if _, err := check(issues); err != nil {
				report(path, err)
			}
		}
	}
	return problems, nil
}

// ReadFiles reads the files of a directory for [Engine.Apply], by path.
func ReadFiles(dir string) (map[string]AppliedFile, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s cannot be read as a directory.", dir)
	}
	defer func() { _ = root.Close() }()
	files := map[string]AppliedFile{}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		ending := filepath.Ext(entry.Name())
		if entry.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, ending) {
			continue
		}
		data, err := root.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		doc, issues := definition.JSON(data)
		if len(issues) > 0 {
			return nil, fault.New(fault.Invalid, "%s: %s", entry.Name(), issues[0].Message)
		}
		var f AppliedFile
		var probe map[string]json.RawMessage
		if err := json.Unmarshal(doc, &probe); err != nil {
			return nil, fault.New(fault.Invalid, "%s: the file must hold an object.", entry.Name())
		}
		if _, bare := probe["nodes"]; bare {
			f.Config = doc
		} else if err := strictjson.Unmarshal(doc, &f); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s: is neither a definition (nodes), nor {name, config, …}, nor a channel {name, driver, config}, nor a source {name, expect_every_seconds, …}. %s", entry.Name(), fault.Of(err).Message)
		}
		if f.Name == "" {
			f.Name = strings.TrimSuffix(entry.Name(), ending)
		}
		files[filepath.Join(dir, entry.Name())] = f
	}
	if len(files) == 0 {
		return nil, fault.New(fault.Invalid, "%s holds no .json, .yaml or .yml file.", dir)
	}
	return files, nil
}

func (e *Engine) applyOne(ctx context.Context, f AppliedFile, actor string) (string, error) {
	switch f.Kind() {
	case FileSource:
		_, created, err := e.SaveSource(ctx, f.source(actor))
		return "source " + f.Name + done(created), err
	case FileChannel:
		_, created, err := e.SaveChannel(ctx, ChannelInput{Name: f.Name, Driver: f.Driver, Config: f.Config,
			Description: f.Description, IsActive: f.IsActive, Actor: actor, Admin: true})
		return "channel " + f.Name + done(created), err
	}
	def, created, warnings, err := e.SaveDefinition(ctx, DefinitionInput{Name: f.Name, Config: f.Config, Description: f.Description,
		Tags: f.Tags, IsActive: f.IsActive, Message: f.Message, Actor: actor, Admin: true})
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("definition %s%s, version %d", f.Name, done(created), def.Version)
	for _, w := range warnings {
		text += fmt.Sprintf("\n  warning %s: %s", w.Path, w.Message)
	}
	return text, nil
}

func (f AppliedFile) source(actor string) SourceInput {
	in := SourceInput{Name: f.Name, Description: f.Description, ExpectEvery: f.ExpectEvery, Grace: f.Grace, IsActive: f.IsActive, Actor: actor}
	if f.Driver != "" {
		in.Driver = &f.Driver
	}
	return in
}

func done(created bool) string {
	if created {
		return " created"
	}
	return " up to date"
}

// prune deletes the definitions that are not kept, except the one that works what names none.
func (e *Engine) prune(ctx context.Context, keep map[string]bool, dryRun bool, out io.Writer) error {
	page := db.Page{First: 100}
	var gone []string
	for {
		list, err := e.store.Definitions(ctx, db.DefinitionFilter{Page: page})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			if !keep[d.Name] && d.Name != DefaultDefinition {
				gone = append(gone, d.Name)
			}
		}
		if !list.HasNext {
			break
		}
		page.After = list.Cursors[len(list.Cursors)-1]
	}
	if dryRun {
		for _, name := range gone {
			_, _ = fmt.Fprintf(out, "definition %s would be deleted\n", name)
		}
		return nil
	}
	return DeleteAll(gone, func(name string) (bool, error) {
		err := e.DeleteDefinition(ctx, name, nil)
		if err == nil {
			_, _ = fmt.Fprintf(out, "definition %s deleted\n", name)
		}
		return fault.Is(err, fault.Conflict), err
	})
}

// DeleteAll deletes definitions of which some run others. One that is still used is tried again when
// others are gone.
func DeleteAll(names []string, remove func(name string) (used bool, err error)) error {
	for len(names) > 0 {
		var left []string
		var conflict error
		for _, name := range names {
			used, err := remove(name)
			switch {
			case used:
				left, conflict = append(left, name), err
			case err != nil:
				return err
			}
		}
		if len(left) == len(names) {
			return conflict
		}
		names = left
	}
	return nil
}
