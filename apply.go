package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"penstock/engine"
)

// apply does over REST what engine.Apply does on the store: channels and sources first, then definitions.
func (s remote) apply(ctx context.Context, dir string, prune, dryRun bool, out io.Writer) error {
	files, err := engine.ReadFiles(dir)
	if err != nil {
		return err
	}
	if dryRun {
		if err := s.check(ctx, files); err != nil {
			return err
		}
	}
	var problems []error
	channels := true
	for _, path := range engine.FileOrder(files) {
		if channels && files[path].Driver == "" {
			if channels = false; len(problems) > 0 {
				break // definitions may name the channels that are missing now
			}
		}
		what, err := s.applyOne(ctx, files[path], dryRun)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", filepath.Base(path), err))
			continue
		}
		_, _ = fmt.Fprintf(out, "%s: %s\n", filepath.Base(path), what)
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	if !prune {
		return nil
	}
	return s.prune(ctx, files, dryRun, out)
}

// check asks whether the files can be saved, as a set: they may name each other.
func (s remote) check(ctx context.Context, files map[string]engine.AppliedFile) error {
	set := map[string]engine.AppliedFile{}
	for path, f := range files {
		set[filepath.Base(path)] = f
	}
	var answer struct{ Problems engine.FileProblems }
	if _, err := s.call(ctx, http.MethodPost, "/orchestration/validate/", map[string]any{"files": set}, &answer); err != nil {
		return err
	}
	if len(answer.Problems) > 0 {
		return answer.Problems
	}
	return nil
}

func (s remote) applyOne(ctx context.Context, f engine.AppliedFile, dryRun bool) (string, error) {
	kind, path, body := "definition "+f.Name, "/orchestration/definitions/"+url.PathEscape(f.Name)+"/", map[string]any{"config": f.Config}
	switch f.Kind() {
	case engine.FileSource:
		kind, path = "source "+f.Name, "/orchestration/sources/"+url.PathEscape(f.Name)+"/"
		body = map[string]any{"expect_every_seconds": *f.ExpectEvery}
		if f.Grace != nil {
			body["grace_seconds"] = *f.Grace
		}
		if f.Driver != "" {
			body["driver"] = f.Driver
		}
	case engine.FileChannel:
		kind, path = "channel "+f.Name, "/orchestration/channels/"+url.PathEscape(f.Name)+"/"
		body["driver"] = f.Driver
		if f.Config == nil {
			body["config"] = map[string]any{}
		}
	}
	if dryRun {
		return kind + " would be saved", nil
	}
	if f.Description != nil {
		body["description"] = *f.Description
	}
	if f.IsActive != nil {
		body["is_active"] = *f.IsActive
	}
	if f.Tags != nil {
		body["tags"] = f.Tags
	}
	if f.Message != "" {
		body["message"] = f.Message
	}
	status, err := s.call(ctx, http.MethodPut, path, body, nil)
	if status == http.StatusCreated {
		return kind + " created", err
	}
	return kind + " up to date", err
}

func (s remote) prune(ctx context.Context, files map[string]engine.AppliedFile, dryRun bool, out io.Writer) error {
	keep := map[string]bool{engine.DefaultDefinition: true}
	for _, f := range files {
		keep[f.Name] = keep[f.Name] || f.Kind() == engine.FileDefinition
	}
	var list struct {
		Definitions []struct{ Name string }
	}
	if _, err := s.call(ctx, http.MethodGet, "/orchestration/definitions/", nil, &list); err != nil {
		return err
	}
	var gone []string
	for _, d := range list.Definitions {
		switch {
		case keep[d.Name]:
		case dryRun:
			_, _ = fmt.Fprintf(out, "definition %s would be deleted\n", d.Name)
		default:
			gone = append(gone, d.Name)
		}
	}
	return engine.DeleteAll(gone, func(name string) (used bool, err error) {
		status, err := s.call(ctx, http.MethodDelete, "/orchestration/definitions/"+url.PathEscape(name)+"/", nil, nil)
		if err == nil {
			_, _ = fmt.Fprintf(out, "definition %s deleted\n", name)
		}
		return status == http.StatusConflict, err
	})
}
