package auth_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

// service makes a service on a store of its own and counts the store's statements.
func service(t *testing.T, publicURL string) (*auth.Service, *db.Store, *atomic.Int64) {
	t.Helper()
	statements := new(atomic.Int64)
	store := dbtest.Open(t, db.Options{URL: dbtest.SQLite(t), OnQuery: func(string) { statements.Add(1) }})
	s, err := auth.New(auth.Options{Store: store, PublicURL: publicURL, Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	return s, store, statements
}

func newToken(t *testing.T, s *auth.Service, in auth.TokenInput) string {
	t.Helper()
	if in.Name == "" {
		in.Name = "test"
	}
	if in.Scopes == nil {
		in.Scopes = []auth.Scope{auth.Read}
	}
	secret, _, err := s.CreateToken(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func bearer(secret string) auth.Credentials {
	return auth.Credentials{Authorization: []string{"Bearer " + secret}, Peer: "192.0.2.1:1234"}
}

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	s, _, _ := service(t, "")
	secret := newToken(t, s, auth.TokenInput{Name: "prometheus", Scopes: []auth.Scope{auth.Ingest}})
	for _, test := range []struct {
		rule       string
		auth, keys []string
		ok         bool
	}{
		{"Bearer", []string{"Bearer " + secret}, nil, true},
		{"the scheme's case does not matter", []string{"bearer " + secret}, nil, true},
		{"Basic with the token as password and any user", []string{basic("alertmanager:" + secret)}, nil, true},
		{"Basic without a user", []string{basic(":" + secret)}, nil, true},
		{"X-Api-Key", nil, []string{secret}, true},
		{"nothing", nil, nil, false},
		{"empty header", []string{""}, nil, false},
		{"Bearer without a token", []string{"Bearer "}, nil, false},
		{"a prefix of the token", []string{"Bearer " + secret[:len(secret)-1]}, nil, false},
		{"the token and more", []string{"Bearer " + secret + "x"}, nil, false},
		{"the token in another case", []string{"Bearer " + strings.ToUpper(secret)}, nil, false},
		{"the token as Basic user", []string{basic(secret + ":")}, nil, false},
		{"Basic that is not base64", []string{"Basic %%%"}, nil, false},
		{"another scheme", []string{"Token " + secret}, nil, false},
		{"two Authorization headers", []string{"Bearer " + secret, "Bearer " + secret}, nil, false},
		{"Authorization and X-Api-Key", []string{"Bearer " + secret}, []string{secret}, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			p, err := s.Authenticate(t.Context(), auth.Credentials{Authorization: test.auth, APIKey: test.keys, Peer: test.rule})
			if test.ok {
				if err != nil || p.Name != "prometheus" || !p.Has(auth.Ingest) || p.Has(auth.Read) || p.Kind != auth.KindToken {
					t.Fatalf("got %+v, %v", p, err)
				}
				return
			}
			if !fault.Is(err, fault.Unauthorized) || !p.IsAnonymous() {
				t.Fatalf("got %+v, %v", p, err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Fatal("the token is in the error")
			}
		})
	}
}

func TestTokenAtRest(t *testing.T) {
	t.Parallel()
	s, store, _ := service(t, "")
	secret := newToken(t, s, auth.TokenInput{Name: "ci", Scopes: []auth.Scope{auth.Edit}, CreatedBy: "ann"})
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, "pst_"))
	if err != nil || len(raw) != 32 {
		t.Fatalf("%q is not pst_ and 32 bytes: %v", secret, err)
	}
	tokens, err := store.Tokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	got := tokens[0]
	if strings.Contains(got.Hash, secret) || len(got.Hash) != 64 || !strings.HasPrefix(secret, got.Prefix) || len(got.Prefix) > 10 {
		t.Errorf("stored: %+v", got)
	}
	if got.CreatedBy != "ann" {
		t.Errorf("created by %q", got.CreatedBy)
	}
}

func TestNewTokenIsChecked(t *testing.T) {
	t.Parallel()
	s, _, _ := service(t, "")
	for rule, in := range map[string]auth.TokenInput{
		"no name":         {Scopes: []auth.Scope{auth.Read}},
		"no scope":        {Name: "x"},
		"already expired": {Name: "x", Scopes: []auth.Scope{auth.Read}, ExpiresAt: time.Now().Add(-time.Second)},
	} {
		if _, _, err := s.CreateToken(t.Context(), in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", rule, err)
		}
	}
}

func TestTokenLookUp(t *testing.T) {
	t.Parallel()
	t.Run("a hot token costs no statement", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, _, statements := service(t, "")
			secret := newToken(t, s, auth.TokenInput{})
			mustPass(t, s, secret)
			before := statements.Load()
			for range 1000 {
				mustPass(t, s, secret)
			}
			if n := statements.Load() - before; n != 0 {
				t.Errorf("1,000 requests cost %d statements", n)
			}
		})
	})
	t.Run("a token revoked on another process is not confirmed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, store, _ := service(t, "")
			other, err := auth.New(auth.Options{Store: store, Key: []byte("0123456789abcdef0123456789abcdef")})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/graphql", nil)
			r.Header.Set("Authorization", "Bearer "+newToken(t, s, auth.TokenInput{Name: "shared"}))
			if p, err := s.Confirm(r); err != nil || p.Name != "shared" {
				t.Fatalf("%+v, %v", p, err)
			}
			if err := other.RevokeToken(t.Context(), "shared"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if _, err := s.Confirm(r); !fault.Is(err, fault.Unauthorized) {
				t.Errorf("confirmed after the revocation: %v", err)
			}
			if _, err := s.Request(r); !fault.Is(err, fault.Unauthorized) {
				t.Errorf("remembered after it was found out: %v", err)
			}
		})
	})
	t.Run("the time of use is written once a minute", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, store, _ := service(t, "")
			secret := newToken(t, s, auth.TokenInput{})
			used := func() time.Time {
				tokens, err := store.Tokens(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return tokens[0].UsedAt
			}
			mustPass(t, s, secret)
			first := used()
			if first.IsZero() {
				t.Fatal("the first use is not written")
			}
			for range 9 {
				time.Sleep(6 * time.Second)
				mustPass(t, s, secret)
			}
			if got := used(); !got.Equal(first) {
				t.Errorf("written again after %s", got.Sub(first))
			}
			time.Sleep(7 * time.Second)
			mustPass(t, s, secret)
			if got := used(); got.Sub(first) < time.Minute {
				t.Errorf("not written again: %s after %s", got, first)
			}
		})
	})
	t.Run("revoked here it is dead at once", func(t *testing.T) {
		t.Parallel()
		s, _, _ := service(t, "")
		secret := newToken(t, s, auth.TokenInput{Name: "old"})
		mustPass(t, s, secret)
		if err := s.RevokeToken(t.Context(), "old"); err != nil {
			t.Fatal(err)
		}
		mustFail(t, s, secret)
	})
	t.Run("revoked by another process it is dead after five seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, store, _ := service(t, "")
			secret := newToken(t, s, auth.TokenInput{Name: "old"})
			mustPass(t, s, secret)
			if err := store.RevokeToken(t.Context(), "old"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			mustFail(t, s, secret)
		})
	})
	t.Run("an expired one is dead, cached or not", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, _, _ := service(t, "")
			secret := newToken(t, s, auth.TokenInput{ExpiresAt: time.Now().Add(3 * time.Second)})
			mustPass(t, s, secret)
			time.Sleep(3 * time.Second)
			mustFail(t, s, secret)
		})
	})
}

func mustPass(t *testing.T, s *auth.Service, secret string) {
	t.Helper()
	if _, err := s.Authenticate(t.Context(), bearer(secret)); err != nil {
		t.Fatal(err)
	}
}

func mustFail(t *testing.T, s *auth.Service, secret string) {
	t.Helper()
	if _, err := s.Authenticate(t.Context(), bearer(secret)); !fault.Is(err, fault.Unauthorized) {
		t.Fatalf("got %v, want unauthorized", err)
	}
}

func TestGuessing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, statements := service(t, "")
		known, unused := newToken(t, s, auth.TokenInput{Name: "a"}), newToken(t, s, auth.TokenInput{Name: "b"})
		mustPass(t, s, known)
		refused, before := 0, statements.Load()
		for range 10_000 {
			_, err := s.Authenticate(t.Context(), bearer("pst_guess"))
			if fault.Is(err, fault.RateLimited) {
				refused++
				if fault.Of(err).After <= 0 {
					t.Fatal("no time to wait is given")
				}
			} else if !fault.Is(err, fault.Unauthorized) {
				t.Fatal(err)
			}
		}
		if asked := statements.Load() - before; refused < 9_900 || asked > 100 {
			t.Errorf("of 10,000 guesses %d were throttled and %d asked the store", refused, asked)
		}
		mustPass(t, s, known) // who was right a moment ago is not a guesser
		if _, err := s.Authenticate(t.Context(), bearer(unused)); !fault.Is(err, fault.RateLimited) {
			t.Errorf("a throttled peer learns that a guess is right: %v", err)
		}
		elsewhere := bearer(unused)
		elsewhere.Peer = "198.51.100.7:1"
		if _, err := s.Authenticate(t.Context(), elsewhere); err != nil {
			t.Errorf("another peer is throttled too: %v", err)
		}
		time.Sleep(2 * time.Second)
		mustPass(t, s, unused)
	})
}

// TestManyCallersLookATokenUpOnce: those who waited for a store must not run it down when it is back.
func TestManyCallersLookATokenUpOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var lookUps atomic.Int64
		asked, answer := make(chan struct{}, 100), make(chan struct{})
		store := dbtest.Open(t, db.Options{URL: url, OnQuery: func(query string) {
			if strings.HasPrefix(query, "SELECT") && strings.Contains(query, "api_tokens") {
				lookUps.Add(1)
				asked <- struct{}{}
				<-answer
			}
		}})
		s, err := auth.New(auth.Options{Store: store, Key: []byte("0123456789abcdef0123456789abcdef")})
		if err != nil {
			t.Fatal(err)
		}
		token := bearer(newToken(t, s, auth.TokenInput{}))
		const callers = 50
		ended := make(chan error, callers)
		for range callers {
			go func() {
				_, err := s.Authenticate(t.Context(), token)
				ended <- err
			}()
		}
		<-asked
		close(answer)
		for range callers {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := lookUps.Load(); n > 3 { // some may come when the first have been answered
			t.Errorf("%d callers looked one token up %d times", callers, n)
		}
	})
}
