package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/fault"
)

// Ids of the first token and the first user are fixed: of several processes or requests that make
// them at the same time, the store lets one win.
const (
	firstTokenID = "00000000-0000-7000-8000-000000000001"
	firstUserID  = "00000000-0000-7000-8000-000000000002"
)

// Keys in the store's meta table: once written, what they stand for never happens again.
const (
	metaInstallation = "auth.installation"
	metaFirstToken   = "auth.first_token"
	metaSetup        = "auth.setup"
)

const minBootstrap = 8

// FirstStart gives an empty store its admin token: bootstrap if that is not "", else a new one that
// is written to the file (mode 0600). It returns the file's path if it wrote one, and does nothing
// on a store that has been started before.
func (s *Service) FirstStart(ctx context.Context, bootstrap, file string) (written string, err error) {
	if bootstrap != "" && len(bootstrap) < minBootstrap {
		return "", fault.New(fault.Invalid, "PENSTOCK_BOOTSTRAP_TOKEN is too short: at least %d characters, for example the output of \"openssl rand -hex 32\".", minBootstrap)
	}
	tokens, err := s.store.CountTokens(ctx)
	if err != nil {
		return "", err
	}
	if _, err := s.store.Meta(ctx, metaFirstToken); err == nil || tokens > 0 {
		return "", nil
	} else if !fault.Is(err, fault.NotFound) {
		return "", err
	}
	secret := bootstrap
	if secret == "" {
		secret = tokenPrefix + rand.Text() + rand.Text()
		if err := writePrivate(file, secret+"\n"); err != nil {
			return "", fmt.Errorf("write the first admin token: %w", err)
		}
		written = file
	}
	t, err := newToken(firstTokenID, secret, TokenInput{Name: "initial-admin", Scopes: []Scope{Admin}, CreatedBy: "first start"})
	if err != nil {
		return "", err
	}
	if err := s.store.AddToken(ctx, t); fault.Is(err, fault.Conflict) { // another process was first
		if written != "" {
			_ = os.Remove(written)
		}
		return "", nil
	} else if err != nil {
		return "", err
	}
	_, err = s.store.SetMetaOnce(ctx, metaFirstToken, t.CreatedAt.Format(time.RFC3339))
	return written, err
}

// writePrivate replaces the file by one that only its owner can read.
func writePrivate(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// SetupToken returns the one-time token of the set-up page, the same on every process and after a
// restart, and "" once set-up is done.
func (s *Service) SetupToken(ctx context.Context) (string, error) {
	done, err := s.setupDone(ctx)
	if err != nil || done {
		return "", err
	}
	return s.derive(ctx, "set-up")
}

var errSetup = fault.New(fault.Forbidden, "This set-up link is not valid, or set-up is already done. Sign in, or take the link from the server's console.")

// CheckSetup reports whether token opens the set-up page.
func (s *Service) CheckSetup(ctx context.Context, token string) error {
	want, err := s.SetupToken(ctx)
	if err != nil {
		return err
	}
	if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return errSetup
	}
	return nil
}

// Setup makes the first administrator and signs them in. Of several attempts one wins; after that it
// is refused for ever, also when all users are gone.
func (s *Service) Setup(w http.ResponseWriter, r *http.Request, token, name, password string) error {
	ctx := r.Context()
	if err := s.CheckSetup(ctx, token); err != nil {
		return err
	}
	user, err := s.newUser(ctx, firstUserID, name, password, RoleAdmin)
	if err != nil {
		return err
	}
	if err := s.store.AddUser(ctx, user); fault.Is(err, fault.Conflict) {
		return errSetup
	} else if err != nil {
		return err
	}
	if _, err := s.store.SetMetaOnce(ctx, metaSetup, user.Name); err != nil {
		return err
	}
	return s.startSession(w, r, user)
}

// setupDone holds from the first user on, for ever.
func (s *Service) setupDone(ctx context.Context) (bool, error) {
	_, err := s.store.Meta(ctx, metaSetup)
	if err == nil {
		return true, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return false, err
	}
	users, err := s.store.CountUsers(ctx)
	if err != nil || users == 0 {
		return false, err
	}
	_, err = s.store.SetMetaOnce(ctx, metaSetup, "users exist")
	return true, err
}

func (s *Service) newUser(ctx context.Context, id, name, password string, role Role) (db.User, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl) {
		return db.User{}, fault.About("name", fault.New(fault.Invalid, "The name must have 1 to 255 characters."))
	}
	if err := checkPassword(password); err != nil {
		return db.User{}, fault.About("password", err)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return db.User{}, err
	}
	now := time.Now().UTC()
	return db.User{ID: id, Name: name, PasswordHash: hash, Role: string(role), CreatedAt: now, UpdatedAt: now}, nil
}

// installation returns the id of this store, made at the first call.
func (s *Service) installation(ctx context.Context) (string, error) {
	id, err := s.store.Meta(ctx, metaInstallation)
	if !fault.Is(err, fault.NotFound) {
		return id, err
	}
	if _, err := s.store.SetMetaOnce(ctx, metaInstallation, uuid.NewString()); err != nil {
		return "", err
	}
	return s.store.Meta(ctx, metaInstallation)
}
