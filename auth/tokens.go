package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"penstock/db"
	"penstock/fault"
)

const (
	tokenPrefix = "pst_"
	// A token is looked up again when what is known of it is older than this: how long a revocation
	// by another process may take.
	tokenFresh = 5 * time.Second
	// The same for those who stay.
	tokenConfirmed = time.Second
	// The time of a token's last use is written at most this often.
	tokenTouch = time.Minute
)

// knownToken is what the store said of a token that was valid.
type knownToken struct {
	principal Principal
	expires   time.Time
	checked   time.Time
	touched   time.Time
}

// Credentials are the headers that can carry a token.
type Credentials struct {
	Authorization []string // every value
	APIKey        []string // every value of X-Api-Key
	Peer          string   // remote address, for throttling
}

var (
	errWrong  = fault.New(fault.Unauthorized, "The credential is wrong, expired or revoked.")
	errDouble = fault.New(fault.Unauthorized, "The request carries more than one credential. Send exactly one.")
	errScheme = fault.New(fault.Unauthorized, "The Authorization header is neither \"Bearer <token>\" nor Basic with the token as password.")
)

// Authenticate finds the token's principal. Errors: fault.Unauthorized for none, several or a wrong
// one, fault.RateLimited for a peer that guesses, fault.Unavailable if the store cannot be asked.
func (s *Service) Authenticate(ctx context.Context, c Credentials) (Principal, error) {
	return s.authenticate(ctx, c, tokenFresh)
}

// authenticate believes what was known of the token for as long as fresh says.
func (s *Service) authenticate(ctx context.Context, c Credentials, fresh time.Duration) (Principal, error) {
	secret, err := c.token()
	if err != nil {
		return Principal{}, err
	}
	hash := hashToken(secret)
	now := time.Now()
	known, ok := s.known.Get(hash)
	if ok && now.Sub(known.checked) < fresh && known.valid(now) {
		return known.principal, nil
	}
	peer := peerKey(c.Peer)
	if !ok { // a token that was valid a moment ago is no guess
		if err := s.wrongTokens.check(peer); err != nil {
			return Principal{}, err
		}
	}
	lookUps := s.lookUps.Load()
	found, err := s.lookUpOnce(ctx, lookUps, hash, known.touched, now)
	switch {
	case err == nil && found.valid(now):
		if s.lookUps.Load() == lookUps {
			s.known.Add(hash, found)
		}
		return found.principal, nil
	case err == nil || fault.Is(err, fault.NotFound):
		s.known.Remove(hash)
		s.wrongTokens.failed(peer)
		return Principal{}, errWrong
	}
	return Principal{}, err
}

// lookUpLimit is how long a caller waits for a store that does not answer, before it is told so.
const lookUpLimit = 2 * time.Second

// lookUpOnce asks the store once, however many callers come with one token at the same moment: a store that comes back
// must not be run down by those who waited for it.
func (s *Service) lookUpOnce(ctx context.Context, lookUps *singleflight.Group, hash string, touched, now time.Time) (knownToken, error) {
	found := lookUps.DoChan(hash, func() (any, error) {
		return s.lookUp(context.WithoutCancel(ctx), hash, touched, now)
	})
	select {
	case r := <-found:
		return r.Val.(knownToken), r.Err
	case <-ctx.Done():
		return knownToken{}, context.Cause(ctx)
	}
}

func (s *Service) lookUp(ctx context.Context, hash string, touched, now time.Time) (knownToken, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
	t, err := s.store.TokenByHash(ctx, hash)
	if err != nil {
		return knownToken{}, err
	}
	if !t.RevokedAt.IsZero() {
		return knownToken{}, errWrongToken
	}
	k := knownToken{
		principal: Principal{Kind: KindToken, ID: t.ID, Name: t.Name},
		expires:   t.ExpiresAt, checked: now, touched: touched,
	}
	for _, scope := range t.Scopes {
		k.principal.Scopes = append(k.principal.Scopes, Scope(scope))
	}
	if k.valid(now) && now.Sub(touched) >= tokenTouch {
		k.touched = now
		// A store that cannot be written must not lock everybody out of looking at it.
		touch, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := s.store.TouchToken(touch, t.ID, now); err != nil {
			s.log.Warn("the last use of a token was not recorded", "token", t.Name, "err", err)
		}
	}
	return k, nil
}

// forget makes every token be looked up anew, also by those who would join a look-up that has begun.
func (s *Service) forget() {
	s.lookUps.Store(new(singleflight.Group))
	s.known.Purge()
}

var errWrongToken = fault.New(fault.NotFound, "The token is revoked.")

func (k knownToken) valid(now time.Time) bool { return k.expires.IsZero() || now.Before(k.expires) }

// token takes the secret out of the headers.
func (c Credentials) token() (string, error) {
	switch {
	case len(c.Authorization)+len(c.APIKey) > 1:
		return "", errDouble
	case len(c.APIKey) == 1 && c.APIKey[0] != "":
		return c.APIKey[0], nil
	case len(c.Authorization) == 0 || c.Authorization[0] == "":
		return "", ErrNoCredential
	}
	scheme, value, _ := strings.Cut(c.Authorization[0], " ")
	value = strings.TrimSpace(value)
	switch {
	case value == "":
	case strings.EqualFold(scheme, "Bearer"):
		return value, nil
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(value)
		if _, password, ok := strings.Cut(string(pair), ":"); err == nil && ok && password != "" {
			return password, nil
		}
	}
	return "", errScheme
}

// TokenInput describes a new token.
type TokenInput struct {
	Name      string
	Scopes    []Scope
	ExpiresAt time.Time // zero: never
	CreatedBy string
}

// CreateToken makes a token and returns its text, which is shown this once and never again.
func (s *Service) CreateToken(ctx context.Context, in TokenInput) (secret string, t db.APIToken, err error) {
	random := make([]byte, 32)
	rand.Read(random)
	secret = tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	t, err = newToken(uuid.Must(uuid.NewV7()).String(), secret, in)
	if err != nil {
		return "", db.APIToken{}, err
	}
	return secret, t, s.store.AddToken(ctx, t)
}

func newToken(id, secret string, in TokenInput) (db.APIToken, error) {
	name := strings.TrimSpace(in.Name)
	switch {
	case name == "" || len(name) > 255:
		return db.APIToken{}, fault.About("name", fault.New(fault.Invalid, "A token needs a name of 1 to 255 characters that says who uses it."))
	case len(in.Scopes) == 0:
		return db.APIToken{}, fault.About("scopes", fault.New(fault.Invalid, "A token needs at least one scope: ingest, read, operate, edit or admin."))
	case !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(time.Now()):
		return db.APIToken{}, fault.New(fault.Invalid, "The token would already have expired at %s.", in.ExpiresAt.UTC().Format(time.RFC3339))
	}
	// Enough of it to be recognised, too little to be guessed.
	shown := len(tokenPrefix)
	if strings.HasPrefix(secret, tokenPrefix) {
		shown += 6
	}
	t := db.APIToken{
		ID: id, Name: name, Prefix: secret[:shown], Hash: hashToken(secret),
		CreatedBy: in.CreatedBy, CreatedAt: time.Now().UTC(), ExpiresAt: in.ExpiresAt.UTC(),
	}
	for _, scope := range in.Scopes {
		t.Scopes = append(t.Scopes, string(scope))
	}
	slices.Sort(t.Scopes)
	t.Scopes = slices.Compact(t.Scopes)
	return t, nil
}

// RevokeToken ends a token, named by its id or its name, at once on this process and within a few
// seconds on the others.
func (s *Service) RevokeToken(ctx context.Context, idOrName string) error {
	defer s.forget()
	return s.store.RevokeToken(ctx, idOrName)
}

func hashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
