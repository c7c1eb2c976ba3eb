package db_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		c := db.Channel{Name: "ops", Driver: "slack", Config: json.RawMessage(`{"webhook_url": {"secret": "ops/url"}}`), IsActive: true, CreatedBy: "ann"}
		secret := db.Secret{Name: "ops/url", Sealed: []byte("sealed")}
		if created := value(s.SaveChannel(ctx, c, []db.Secret{secret}, true, false))(t); !created {
			t.Error("a new channel was not created")
		}
		must(t, s.ChannelTested(ctx, "ops", at, "no answer"))
		stored := value(s.Channel(ctx, "ops"))(t)
		if stored.ID == "" || string(stored.Config) != string(c.Config) || stored.TestedAt != at || stored.TestError != "no answer" || stored.CreatedAt.IsZero() {
			t.Errorf("stored as %+v", stored)
		}
		c.Description, c.CreatedBy = "words", "bob"
		if created := value(s.SaveChannel(ctx, c, nil, false, true))(t); created {
			t.Error("an existing channel was created")
		}
		same := value(s.Channel(ctx, "ops"))(t)
		if same.ID != stored.ID || same.CreatedBy != "ann" || same.Description != "words" || same.TestedAt != at {
			t.Errorf("after a change of the words: %+v", same)
		}
		c.Config = json.RawMessage(`{}`)
		value(s.SaveChannel(ctx, c, nil, false, false))(t)
		if got := value(s.Channel(ctx, "ops"))(t); !got.TestedAt.IsZero() || got.TestError != "" {
			t.Errorf("a changed channel still has the outcome of an old test: %+v", got)
		}
		_, err := s.SaveChannel(ctx, c, nil, true, false)
		wantFault(t, "a taken name", err, fault.Conflict)
		c.Name = "dev"
		_, err = s.SaveChannel(ctx, c, nil, false, true)
		wantFault(t, "an unknown name", err, fault.NotFound)
		value(s.SaveChannel(ctx, c, nil, false, false))(t)
		if all := value(s.Channels(ctx))(t); len(all) != 2 || all[0].Name != "dev" {
			t.Errorf("channels by name: %+v", all)
		}
		must(t, s.DeleteChannel(ctx, "ops"))
		wantFault(t, "delete again", s.DeleteChannel(ctx, "ops"), fault.NotFound)
		wantFault(t, "test a deleted one", s.ChannelTested(ctx, "ops", at, ""), fault.NotFound)
		_, err = s.Channel(ctx, "ops")
		wantFault(t, "read a deleted one", err, fault.NotFound)
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		for _, name := range []string{"ops/url", "ops/token", "Ops/url", "opsx", "o%s/url"} {
			must(t, s.PutSecret(ctx, db.Secret{Name: name, Sealed: []byte(name)}))
		}
		must(t, s.PutSecret(ctx, db.Secret{Name: "opsx", Sealed: []byte("new")}))
		if n := value(s.DeleteSecrets(ctx, "ops/"))(t); n != 2 {
			t.Errorf("%d secrets were deleted, want 2", n)
		}
		if _, err := s.DeleteSecrets(ctx, ""); err == nil {
			t.Error("an empty prefix would delete all secrets")
		}
		_, err := s.SecretValue(ctx, "ops/url")
		wantFault(t, "a deleted secret", err, fault.NotFound)
		if got := value(s.SecretValue(ctx, "opsx"))(t); string(got) != "new" {
			t.Errorf("a replaced secret is %q", got)
		}
		if got := value(s.SecretValue(ctx, "Ops/url"))(t); string(got) != "Ops/url" {
			t.Errorf("another secret is %q", got)
		}
	})
}

func TestMetaIsSetOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		_, err := s.Meta(ctx, "first_start")
		wantFault(t, "a fact that is not set", err, fault.NotFound)
		if !value(s.SetMetaOnce(ctx, "first_start", "a"))(t) || value(s.SetMetaOnce(ctx, "first_start", "b"))(t) {
			t.Error("the first call must win and the second must not")
		}
		if got := value(s.Meta(ctx, "first_start"))(t); got != "a" {
			t.Errorf("got %q", got)
		}
		must(t, s.CheckKey(ctx, "1234"))
		must(t, s.CheckKey(ctx, "1234"))
		if err := s.CheckKey(ctx, "5678"); err == nil || !strings.Contains(err.Error(), "id 1234, given 5678") {
			t.Errorf("another key: %v, want a refusal that names both", err)
		}
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		token := db.APIToken{ID: "1", Name: "ci", Prefix: "pst_", Hash: "h1", Scopes: []string{"read", "ingest"}, CreatedBy: "ann", CreatedAt: at}
		must(t, s.AddToken(ctx, token))
		token.ID, token.Hash = "2", "h2"
		wantFault(t, "a taken name", s.AddToken(ctx, token), fault.Conflict)
		must(t, s.TouchToken(ctx, "1", at))
		got := value(s.TokenByHash(ctx, "h1"))(t)
		if got.ID != "1" || !slices.Equal(got.Scopes, []string{"read", "ingest"}) || got.UsedAt != at || !got.RevokedAt.IsZero() {
			t.Errorf("token is %+v", got)
		}
		_, err := s.TokenByHash(ctx, "h2")
		wantFault(t, "an unknown hash", err, fault.NotFound)
		must(t, s.RevokeToken(ctx, "ci"))
		wantFault(t, "revoke by a name that is free again", s.RevokeToken(ctx, "ci"), fault.NotFound)
		revoked := value(s.TokenByHash(ctx, "h1"))(t).RevokedAt
		must(t, s.RevokeToken(ctx, "1"))
		if again := value(s.TokenByHash(ctx, "h1"))(t).RevokedAt; revoked.IsZero() || again != revoked {
			t.Errorf("revoked at %v, then %v", revoked, again)
		}
		token.CreatedAt = at.Add(time.Second)
		must(t, s.AddToken(ctx, token)) // the name is free again
		all := value(s.Tokens(ctx))(t)
		if n := value(s.CountTokens(ctx))(t); n != 2 || len(all) != 2 || all[0].ID != "2" {
			t.Errorf("%d tokens: %+v", n, all)
		}
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		if n := value(s.CountUsers(ctx))(t); n != 0 {
			t.Errorf("%d users at first", n)
		}
		ann := db.User{ID: "1", Name: "ann", PasswordHash: "x", Role: "admin", CreatedAt: at, UpdatedAt: at}
		must(t, s.AddUser(ctx, ann))
		bob := db.User{ID: "2", Name: "Bob", PasswordHash: "y", Role: "viewer", CreatedAt: at, UpdatedAt: at}
		must(t, s.AddUser(ctx, bob))
		wantFault(t, "a taken name", s.AddUser(ctx, db.User{ID: "3", Name: "ann", Role: "viewer", CreatedAt: at, UpdatedAt: at}), fault.Conflict)
		change := func(u *db.User, others []db.User) error {
			if len(others) != 1 || others[0] != ann {
				t.Errorf("the others are %+v", others)
			}
			u.Role, u.DisabledAt = "editor", at
			return nil
		}
		changed := value(s.UpdateUser(ctx, "Bob", change))(t)
		if got := value(s.User(ctx, "2"))(t); *got != *changed || got.Role != "editor" || got.DisabledAt != at || got.CreatedAt != at || !got.UpdatedAt.After(at) {
			t.Errorf("user is %+v", got)
		}
		_, err := s.UpdateUser(ctx, "Bob", func(u *db.User, _ []db.User) error {
			u.Role = "viewer"
			return fault.New(fault.Conflict, "no")
		})
		wantFault(t, "a refused change", err, fault.Conflict)
		if got := value(s.User(ctx, "2"))(t); got.Role != "editor" {
			t.Errorf("after a refused change: %+v", got)
		}
		_, err = s.UpdateUser(ctx, "eve", change)
		wantFault(t, "an unknown user", err, fault.NotFound)
		if err := s.AddUser(ctx, db.User{ID: "4", Name: "eve", Role: "root", CreatedAt: at, UpdatedAt: at}); err == nil {
			t.Error("a role that does not exist was stored")
		}
		if got := value(s.UserByName(ctx, "ann"))(t); *got != ann {
			t.Errorf("user is %+v", got)
		}
		_, err = s.UserByName(ctx, "eve")
		wantFault(t, "an unknown name", err, fault.NotFound)
		_, err = s.User(ctx, "9")
		wantFault(t, "an unknown id", err, fault.NotFound)
		if all := value(s.Users(ctx))(t); len(all) != 2 {
			t.Errorf("users: %+v", all)
		}
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, s *db.Store) {
		ctx := t.Context()
		later := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		find := func(hash string) string {
			t.Helper()
			data, expiry, ok, err := s.FindSession(ctx, hash)
			must(t, err)
			if ok && expiry != later {
				t.Errorf("session %s ends at %v, want %v", hash, expiry, later)
			}
			if !ok {
				return "none"
			}
			return string(data)
		}
		must(t, s.SaveSession(ctx, "a", "", []byte("1"), later.Add(-time.Minute)))
		must(t, s.SaveSession(ctx, "a", "ann", []byte("2"), later))
		must(t, s.SaveSession(ctx, "b", "ann", []byte("3"), later))
		must(t, s.SaveSession(ctx, "c", "bob", []byte("4"), later))
		must(t, s.SaveSession(ctx, "old", "bob", []byte("5"), time.Now().Add(-time.Second)))
		for hash, want := range map[string]string{"a": "2", "b": "3", "c": "4", "old": "none", "never": "none"} {
			if got := find(hash); got != want {
				t.Errorf("session %s is %q, want %q", hash, got, want)
			}
		}
		if n := value(s.DeleteExpiredSessions(ctx))(t); n != 1 {
			t.Errorf("%d expired sessions, want 1", n)
		}
		if n := value(s.DeleteSessionsByUser(ctx, "ann"))(t); n != 2 {
			t.Errorf("%d sessions of ann, want 2", n)
		}
		must(t, s.DeleteSession(ctx, "c"))
		must(t, s.DeleteSession(ctx, "c"))
		if got := find("c"); got != "none" {
			t.Errorf("a deleted session is %q", got)
		}
	})
}
