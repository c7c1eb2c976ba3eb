package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"penstock/db"
	"penstock/fault"
)

const (
	sessionIdle     = 12 * time.Hour // on-call nights are long
	sessionLifetime = 7 * 24 * time.Hour
	// The time of a session's last use is written at most this often.
	sessionTouch = 5 * time.Minute
)

func newSessions(store *db.Store, secure bool) *scs.SessionManager {
	// Not scs.New: it starts a goroutine for a store in memory that nobody stops.
	m := &scs.SessionManager{
		Store: sessionStore{store}, Codec: scs.GobCodec{}, HashTokenInStore: true,
		IdleTimeout: sessionIdle, Lifetime: sessionLifetime,
		Cookie: scs.SessionCookie{Name: "penstock_session", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Persist: true},
	}
	if secure {
		m.Cookie.Name = "__Host-penstock_session"
		m.Cookie.Secure = true
	}
	return m
}

var errLogin = fault.New(fault.Unauthorized, "The name or the password is wrong.")

// Login checks name and password and starts a session in a new cookie. A session that the request
// already had ends. An unknown name takes as long as a wrong password.
func (s *Service) Login(w http.ResponseWriter, r *http.Request, name, password string) error {
	user, err := s.checkLogin(r.Context(), peerKey(r.RemoteAddr), name, password)
	if err != nil {
		return err
	}
	return s.startSession(w, r, *user)
}

// ChangePassword gives the user who is signed in another password. All their sessions end; the one that
// asked goes on in a new cookie.
func (s *Service) ChangePassword(w http.ResponseWriter, r *http.Request, current, password string) error {
	user, err := s.SetOwnPassword(r.Context(), current, password)
	if err != nil {
		return err
	}
	return s.startSession(w, r, *user)
}

// SetOwnPassword gives the user who is signed in another password. All their sessions end.
func (s *Service) SetOwnPassword(ctx context.Context, current, password string) (*db.User, error) {
	p, _ := From(ctx)
	if p.Kind != KindSession {
		return nil, fault.New(fault.Invalid, "An API token has no password. Sign in to change yours.")
	}
	_, err := s.checkLogin(ctx, "user "+p.ID, p.Name, current)
	if errors.Is(err, errLogin) {
		return nil, fault.About("current_password", fault.New(fault.Invalid, "The present password is wrong."))
	}
	if err != nil {
		return nil, err
	}
	return s.SetPassword(ctx, p.Name, password)
}

// checkLogin returns the user whose password it is, or [errLogin]. A peer that is wrong too often has to wait.
func (s *Service) checkLogin(ctx context.Context, peer, name, password string) (*db.User, error) {
	name = strings.TrimSpace(name)
	account := strings.ToLower(name) + "\x00" + peer
	if err := errors.Join(s.wrongLogins.check(account), s.wrongPeers.check(peer)); err != nil {
		return nil, err
	}
	user, err := s.store.UserByName(ctx, name)
	hash := s.hasher.dummy
	switch {
	case err == nil && user.DisabledAt.IsZero():
		hash = user.PasswordHash
	case err != nil && !fault.Is(err, fault.NotFound):
		return nil, err
	}
	if len(password) > maxPassword {
		password = "" // no password is empty
	}
	ok, err := s.hasher.matches(ctx, password, hash)
	if err != nil {
		return nil, err
	}
	if !ok || hash == s.hasher.dummy {
		s.wrongLogins.failed(account)
		s.wrongPeers.failed(peer)
		return nil, errLogin
	}
	return user, nil
}

// Logout ends the session on the server and removes the cookie.
func (s *Service) Logout(w http.ResponseWriter, r *http.Request) error {
	ctx, err := s.load(r)
	if err != nil {
		return err
	}
	if err := s.sessions.Destroy(ctx); err != nil {
		return err
	}
	s.sessions.WriteSessionCookie(ctx, w, "", time.Time{})
	w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
	return nil
}

func (s *Service) startSession(w http.ResponseWriter, r *http.Request, user db.User) error {
	ctx, err := s.load(r)
	if err != nil {
		return err
	}
	ctx = With(ctx, principalOf(user))
	if err := s.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, "user", user.ID)
	s.sessions.Put(ctx, "proof", proof(user))
	token, err := s.commit(ctx)
	if err != nil {
		return err
	}
	// The cookie lasts as long as the session may; the store knows when it has been idle for too long.
	s.sessions.WriteSessionCookie(ctx, w, token, s.sessions.Deadline(ctx))
	return nil
}

func (s *Service) commit(ctx context.Context) (token string, err error) {
	s.sessions.Put(ctx, "seen", time.Now().Unix())
	token, _, err = s.sessions.Commit(ctx)
	return token, err
}

func (s *Service) load(r *http.Request) (context.Context, error) {
	return s.sessions.Load(r.Context(), s.cookie(r))
}

// cookie is the value of the session's cookie, "" without one.
func (s *Service) cookie(r *http.Request) string {
	c, err := r.Cookie(s.sessions.Cookie.Name)
	if err != nil {
		return ""
	}
	return c.Value
}

// fromSession returns the user of the request's session. A session ends with the user's account and
// with a change of the password.
func (s *Service) fromSession(r *http.Request) (Principal, error) {
	if s.cookie(r) == "" {
		return Principal{}, nil
	}
	ctx, err := s.load(r)
	if err != nil {
		return Principal{}, err
	}
	id := s.sessions.GetString(ctx, "user")
	if id == "" {
		return Principal{}, nil
	}
	user, err := s.store.User(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Principal{}, err
	}
	if err != nil || !user.DisabledAt.IsZero() || s.sessions.GetString(ctx, "proof") != proof(*user) {
		return Principal{}, s.sessions.Destroy(ctx)
	}
	p := principalOf(*user)
	if time.Since(time.Unix(s.sessions.GetInt64(ctx, "seen"), 0)) > sessionTouch {
		// A store that cannot be written must not sign everybody out.
		if _, err := s.commit(With(ctx, p)); err != nil {
			s.log.Warn("the last use of a session was not recorded", "user", user.Name, "err", err)
		}
	}
	return p, nil
}

func principalOf(u db.User) Principal {
	return Principal{Kind: KindSession, ID: u.ID, Name: u.Name, Scopes: Role(u.Role).Scopes()}
}

// proof changes with the password and the role.
func proof(u db.User) string {
	sum := sha256.Sum256([]byte(u.PasswordHash + "\x00" + u.Role))
	return hex.EncodeToString(sum[:8])
}

// sessionStore is scs's view of the store. Only the methods with a context are called; the user whose
// session it is comes as the principal of the context.
type sessionStore struct{ db *db.Store }

func (s sessionStore) FindCtx(ctx context.Context, hash string) ([]byte, bool, error) {
	data, _, ok, err := s.db.FindSession(ctx, hash)
	return data, ok, err
}

func (s sessionStore) CommitCtx(ctx context.Context, hash string, data []byte, expiry time.Time) error {
	p, _ := From(ctx)
	return s.db.SaveSession(ctx, hash, p.ID, data, expiry)
}

func (s sessionStore) DeleteCtx(ctx context.Context, hash string) error {
	return s.db.DeleteSession(ctx, hash)
}

func (s sessionStore) Find(hash string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), hash)
}

func (s sessionStore) Commit(hash string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), hash, data, expiry)
}

func (s sessionStore) Delete(hash string) error { return s.DeleteCtx(context.Background(), hash) }
