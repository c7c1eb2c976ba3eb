package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"penstock/db"
	"penstock/fault"
)

// Options of a [Service]. Store is required.
type Options struct {
	Store     *db.Store
	PublicURL string       // with https, cookies are Secure and carry the __Host- prefix
	Key       []byte       // secret of this installation, from which the set-up link is derived
	Log       *slog.Logger // nil: discard
}

// Service authenticates callers against the store. It is safe for concurrent use.
type Service struct {
	store    *db.Store
	key      []byte
	log      *slog.Logger
	sessions *scs.SessionManager
	hasher   *hasher

	known       *lru.Cache[string, knownToken] // by hash
	lookUps     atomic.Pointer[singleflight.Group]
	wrongTokens *throttle // by peer
	wrongLogins *throttle // by account and peer
	wrongPeers  *throttle // by peer, over all accounts
}

// New makes a service.
func New(o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	known, err := lru.New[string, knownToken](10_000)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(o.PublicURL)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The public URL %q cannot be read.", o.PublicURL)
	}
	s := &Service{
		store: o.Store, key: o.Key, log: o.Log,
		sessions:    newSessions(o.Store, u.Scheme == "https"),
		hasher:      newHasher(2),
		known:       known,
		wrongTokens: newThrottle(time.Second, 60),
		wrongLogins: newThrottle(15*time.Second, 5),
		wrongPeers:  newThrottle(2*time.Second, 30),
	}
	s.forget()
	return s, nil
}

// Request authenticates an HTTP request by its headers, or by its session cookie if it has none.
// The principal is nobody, without an error, when the request carries no credential at all or a
// session that has ended.
func (s *Service) Request(r *http.Request) (Principal, error) { return s.request(r, tokenFresh) }

// Confirm is Request for a caller who stays, as on a WebSocket: a token that was revoked on another
// process is refused within a second. All streams of a token ask the store together once a second.
func (s *Service) Confirm(r *http.Request) (Principal, error) { return s.request(r, tokenConfirmed) }

func (s *Service) request(r *http.Request, fresh time.Duration) (Principal, error) {
	c := Credentials{Authorization: r.Header.Values("Authorization"), APIKey: r.Header.Values("X-Api-Key"), Peer: r.RemoteAddr}
	if len(c.Authorization)+len(c.APIKey) > 0 {
		return s.authenticate(r.Context(), c, fresh)
	}
	return s.fromSession(r)
}

// derive makes a secret for one purpose from the installation's key. It is the same on every process.
func (s *Service) derive(ctx context.Context, purpose string) (string, error) {
	id, err := s.installation(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(purpose + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// Run removes sessions that have ended, now and then, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	every := time.NewTicker(time.Hour)
	defer every.Stop()
	for {
		if n, err := s.store.DeleteExpiredSessions(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("ended sessions were not removed", "err", err)
		} else if n > 0 {
			s.log.Debug("ended sessions removed", "count", n)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}
