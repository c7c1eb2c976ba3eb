package db_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func wantFault(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: got %v, want an error marked %s", what, err, code)
	}
}

func TestSaveDefinition(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		config := json.RawMessage(`{"version": "1.0", "nodes": [{"id": "b"}, {"id": "a<b"}]}`)
		d, created, err := s.SaveDefinition(ctx, db.DefinitionSave{
			Name: "demo", Config: config, NodeCount: 2, Author: "ann", Message: "first", Tags: map[string]string{"team": "db"},
			Secrets: []db.Secret{{Name: "demo/url", Sealed: []byte{1, 0, 2}}},
		})
		must(t, err)
		if !created || d.Version != 1 || !d.IsActive || d.CreatedBy != "ann" {
			t.Errorf("created %v: %+v", created, d)
		}
		stored := value(s.Definition(ctx, "demo"))(t)
		if string(stored.Config) != string(config) || stored.Tags["team"] != "db" || stored.CreatedAt != d.CreatedAt {
			t.Errorf("stored as %+v, want %+v", stored, d)
		}
		if sealed := value(s.SecretValue(ctx, "demo/url"))(t); string(sealed) != "\x01\x00\x02" {
			t.Errorf("secret is %v", sealed)
		}

		d, created, err = s.SaveDefinition(ctx, db.DefinitionSave{
			Name: "demo", Config: json.RawMessage(`{"version":"1.0","nodes":[{"id":"b"},{"id":"a<b"}]}`), Description: new("words"), IsActive: new(false),
			ExpectedVersion: new(1), MustExist: true,
		})
		must(t, err)
		if created || d.Version != 1 || d.Description != "words" || d.IsActive || d.Tags["team"] != "db" || d.NodeCount != 2 {
			t.Errorf("white space made a version or a nil field changed something: %+v", d)
		}
		d, _, err = s.SaveDefinition(ctx, db.DefinitionSave{Name: "demo", Config: json.RawMessage(`{}`), Author: "bob", Tags: map[string]string{}})
		must(t, err)
		if d.Version != 2 || d.NodeCount != 0 || len(d.Tags) != 0 || d.CreatedBy != "ann" {
			t.Errorf("second version is %+v", d)
		}
		versions := value(s.DefinitionVersions(ctx, d.ID, db.Page{}))(t).Items
		if len(versions) != 2 || versions[0].Number != 2 || versions[0].Author != "bob" || versions[1].Message != "first" || len(versions[1].Checksum) != 64 {
			t.Errorf("versions are %+v", versions)
		}
		first := value(s.DefinitionVersionByNumber(ctx, d.ID, 1))(t)
		if string(first.Config) != string(config) || value(s.DefinitionVersion(ctx, first.ID))(t).Number != 1 {
			t.Errorf("version 1 is %+v", first)
		}

		refuse := func(what string, in db.DefinitionSave, code fault.Code) {
			t.Helper()
			_, _, err := s.SaveDefinition(ctx, in)
			wantFault(t, what, err, code)
		}
		refuse("a stale version", db.DefinitionSave{Name: "demo", Config: config, ExpectedVersion: new(1)}, fault.Conflict)
		refuse("a taken name", db.DefinitionSave{Name: "demo", Config: config, MustCreate: true}, fault.Conflict)
		refuse("an unknown name", db.DefinitionSave{Name: "other", Config: config, MustExist: true}, fault.NotFound)
		refuse("an expected version of nothing", db.DefinitionSave{Name: "other", Config: config, ExpectedVersion: new(3)}, fault.Conflict)
		refuse("no configuration", db.DefinitionSave{Name: "other"}, fault.Invalid)
		refuse("no JSON", db.DefinitionSave{Name: "other", Config: json.RawMessage(`{`)}, fault.Invalid)

		wantFault(t, "delete a stale version", s.DeleteDefinition(ctx, "demo", new(1)), fault.Conflict)
		must(t, s.DeleteDefinition(ctx, "demo", new(2)))
		wantFault(t, "delete again", s.DeleteDefinition(ctx, "demo", nil), fault.NotFound)
		_, err = s.Definition(ctx, "demo")
		wantFault(t, "read a deleted one", err, fault.NotFound)
		if byID := value(s.DefinitionByID(ctx, d.ID))(t); byID.IsActive || byID.DeletedAt.IsZero() {
			t.Errorf("the deleted definition is %+v", byID)
		}
		again, created, err := s.SaveDefinition(ctx, db.DefinitionSave{Name: "demo", Config: config, MustCreate: true, ExpectedVersion: new(0)})
		must(t, err)
		if !created || again.ID == d.ID || again.Version != 1 {
			t.Errorf("the name of a deleted definition was reused as %+v", again)
		}
		both := value(s.DefinitionsByID(ctx, []string{d.ID, again.ID, "none"}))(t)
		if len(both) != 2 || both[again.ID].Name != "demo" {
			t.Errorf("by id: %v", both)
		}
	})
}

func TestOneOfManySavesOfAVersionWins(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		for expected := range 2 { // to create, then to change
			var wg sync.WaitGroup
			won := make(chan int, 10)
			for i := range cap(won) {
				wg.Go(func() {
					_, _, err := s.SaveDefinition(t.Context(), db.DefinitionSave{Name: "demo", Config: json.RawMessage(fmt.Sprintf(`[%d]`, expected*100+i)), ExpectedVersion: &expected})
					if err == nil {
						won <- i
					} else {
						wantFault(t, "a save that comes too late", err, fault.Conflict)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Errorf("%d saves of version %d succeeded, want 1", len(won), expected+1)
			}
		}
	})
}

func TestDefinitionsAreFiltered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		for i, in := range []db.DefinitionSave{
			{Name: "alpha", Description: new("100% Disk_Full"), Tags: map[string]string{"team": "db", "tier": "1"}},
			{Name: "beta", Tags: map[string]string{"team": "web"}, IsActive: new(false)},
			{Name: "gamma", Tags: map[string]string{"team": "db"}},
		} {
			in.Config = json.RawMessage(fmt.Sprintf(`[%d]`, i))
			_, _, err := s.SaveDefinition(t.Context(), in)
			must(t, err)
		}
		must(t, s.DeleteDefinition(t.Context(), "gamma", nil))
		for name, c := range map[string]struct {
			filter db.DefinitionFilter
			want   string
		}{
			"all, the last changed first":    {db.DefinitionFilter{}, "[beta alpha]"},
			"active":                         {db.DefinitionFilter{Active: new(true)}, "[alpha]"},
			"by a tag":                       {db.DefinitionFilter{Tags: map[string]string{"team": "db"}}, "[alpha]"},
			"by all tags":                    {db.DefinitionFilter{Tags: map[string]string{"team": "web", "tier": "1"}}, "[]"},
			"search ignores the case":        {db.DefinitionFilter{Search: "DISK"}, "[alpha]"},
			"search takes % and _ literally": {db.DefinitionFilter{Search: "0% d"}, "[alpha]"},
			"search finds no pattern":        {db.DefinitionFilter{Search: "a_p"}, "[]"},
		} {
			found := value(s.Definitions(t.Context(), c.filter))(t)
			names := []string{}
			for _, d := range found.Items {
				names = append(names, d.Name)
			}
			if got := fmt.Sprint(names); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
			if n := value(s.CountDefinitions(t.Context(), c.filter))(t); n != len(names) {
				t.Errorf("%s: counted %d, listed %d", name, n, len(names))
			}
		}
	})
}
