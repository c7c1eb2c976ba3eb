package auth_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
)

const password = "correct horse battery"

// browser keeps cookies, from one address.
type browser struct {
	t       *testing.T
	s       *auth.Service
	peer    string
	cookies map[string]string
}

func newBrowser(t *testing.T, s *auth.Service, peer string) *browser {
	return &browser{t, s, peer, map[string]string{}}
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, "/", nil)
	r.RemoteAddr = b.peer + ":40000"
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// reply is what a browser keeps of an answer.
type reply struct {
	header  http.Header
	cookies []*http.Cookie
}

// do calls f and takes the answer's cookies.
func (b *browser) do(f func(http.ResponseWriter, *http.Request) error) (reply, error) {
	b.t.Helper()
	w := httptest.NewRecorder()
	err := f(w, b.request())
	result := w.Result()
	defer func() { _ = result.Body.Close() }()
	res := reply{result.Header, result.Cookies()}
	for _, c := range res.cookies {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return res, err
}

func (b *browser) login(name, password string) error {
	b.t.Helper()
	_, err := b.do(func(w http.ResponseWriter, r *http.Request) error { return b.s.Login(w, r, name, password) })
	return err
}

func (b *browser) who() string {
	b.t.Helper()
	p, err := b.s.Request(b.request())
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Name
}

// withAdmin makes a service whose first administrator is ann.
func withAdmin(t *testing.T, publicURL string) (*auth.Service, *db.Store, *browser) {
	t.Helper()
	s, store, _ := service(t, publicURL)
	token, err := s.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ann := newBrowser(t, s, "192.0.2.1")
	if _, err := ann.do(func(w http.ResponseWriter, r *http.Request) error { return s.Setup(w, r, token, "ann", password) }); err != nil {
		t.Fatal(err)
	}
	return s, store, ann
}

func TestSetup(t *testing.T) {
	t.Parallel()
	t.Run("makes an administrator and signs in", func(t *testing.T) {
		t.Parallel()
		s, _, ann := withAdmin(t, "")
		p, err := s.Request(ann.request())
		if err != nil || p.Name != "ann" || !p.Has(auth.Admin) || p.Kind != auth.KindSession {
			t.Fatalf("got %+v, %v", p, err)
		}
	})
	t.Run("the link is the same after a restart and ends with its use", func(t *testing.T) {
		t.Parallel()
		s, store, _ := service(t, "")
		first, _ := s.SetupToken(t.Context())
		again, err := auth.New(auth.Options{Store: store, Key: []byte("0123456789abcdef0123456789abcdef")})
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := again.SetupToken(t.Context()); first == "" || second != first {
			t.Errorf("%q, then %q", first, second)
		}
		other, err := auth.New(auth.Options{Store: store, Key: []byte("another key, another link")})
		if err != nil {
			t.Fatal(err)
		}
		if third, _ := other.SetupToken(t.Context()); third == first {
			t.Error("the link does not depend on the key")
		}
	})
	t.Run("of many racers one wins", func(t *testing.T) {
		t.Parallel()
		s, store, _ := service(t, "")
		token, _ := s.SetupToken(t.Context())
		var wg sync.WaitGroup
		won := make(chan string, 50)
		for i := range 50 {
			wg.Go(func() {
				name := "racer" + string(rune('a'+i%26)) + string(rune('a'+i/26))
				b := newBrowser(t, s, "192.0.2.1")
				_, err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.Setup(w, r, token, name, password) })
				if err == nil {
					won <- name
				} else if !fault.Is(err, fault.Forbidden) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(won)
		users, err := store.Users(t.Context())
		if err != nil || len(users) != 1 || len(won) != 1 {
			t.Fatalf("%d users, %d winners, %v", len(users), len(won), err)
		}
		if winner := <-won; users[0].Name != winner {
			t.Errorf("%s won, %s is stored", winner, users[0].Name)
		}
	})
	t.Run("never opens again", func(t *testing.T) {
		t.Parallel()
		s, store, ann := withAdmin(t, "")
		disable := func(u *db.User, _ []db.User) error { u.DisabledAt = time.Now(); return nil }
		if _, err := store.UpdateUser(t.Context(), "ann", disable); err != nil {
			t.Fatal(err)
		}
		if token, err := s.SetupToken(t.Context()); token != "" || err != nil {
			t.Errorf("got %q, %v", token, err)
		}
		_, err := ann.do(func(w http.ResponseWriter, r *http.Request) error { return s.Setup(w, r, "", "eve", password) })
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses a wrong token, a short password, a bad name, and stays open", func(t *testing.T) {
		t.Parallel()
		s, _, _ := service(t, "")
		token, _ := s.SetupToken(t.Context())
		for _, test := range []struct {
			token, name, password string
			want                  fault.Code
		}{
			{"", "ann", password, fault.Forbidden},
			{token + "x", "ann", password, fault.Forbidden},
			{token, "ann", "short", fault.Invalid},
			{token, "ann", strings.Repeat("x", 1025), fault.Invalid},
			{token, " ", password, fault.Invalid},
			{token, "a\nb", password, fault.Invalid},
		} {
			b := newBrowser(t, s, "192.0.2.1")
			_, err := b.do(func(w http.ResponseWriter, r *http.Request) error {
				return s.Setup(w, r, test.token, test.name, test.password)
			})
			if !fault.Is(err, test.want) {
				t.Errorf("%+v: got %v", test, err)
			}
		}
		if err := s.CheckSetup(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestSession(t *testing.T) {
	t.Parallel()
	t.Run("the cookie is bound to the host and hidden from scripts", func(t *testing.T) {
		t.Parallel()
		for url, name := range map[string]string{"https://penstock.example.com": "__Host-penstock_session", "http://penstock.example.com": "penstock_session"} {
			s, _, _ := withAdmin(t, url)
			res, err := newBrowser(t, s, "192.0.2.9").do(func(w http.ResponseWriter, r *http.Request) error {
				return s.Login(w, r, "ann", password)
			})
			if err != nil {
				t.Fatal(err)
			}
			c := res.cookies[0]
			if c.Name != name || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != strings.HasPrefix(url, "https") {
				t.Errorf("%s: %+v", url, c)
			}
		}
	})
	t.Run("a session set before sign-in is not taken over", func(t *testing.T) {
		t.Parallel()
		s, _, _ := withAdmin(t, "")
		b := newBrowser(t, s, "192.0.2.9")
		b.cookies["penstock_session"] = "chosen-by-somebody-else"
		if err := b.login("ann", password); err != nil {
			t.Fatal(err)
		}
		if b.cookies["penstock_session"] == "chosen-by-somebody-else" || b.who() != "ann" {
			t.Errorf("cookie %q, signed in as %q", b.cookies["penstock_session"], b.who())
		}
	})
	t.Run("signing in again ends the earlier session", func(t *testing.T) {
		t.Parallel()
		s, _, ann := withAdmin(t, "")
		stolen := newBrowser(t, s, "198.51.100.7")
		stolen.cookies["penstock_session"] = ann.cookies["penstock_session"]
		if err := ann.login("ann", password); err != nil {
			t.Fatal(err)
		}
		if stolen.who() != "" || ann.who() != "ann" {
			t.Errorf("old session: %q, new session: %q", stolen.who(), ann.who())
		}
	})
	t.Run("signing out ends it on the server", func(t *testing.T) {
		t.Parallel()
		s, _, ann := withAdmin(t, "")
		stolen := newBrowser(t, s, "198.51.100.7")
		stolen.cookies["penstock_session"] = ann.cookies["penstock_session"]
		res, err := ann.do(s.Logout)
		if err != nil || res.header.Get("Clear-Site-Data") == "" {
			t.Fatal(res.header, err)
		}
		if stolen.who() != "" || len(ann.cookies) != 0 {
			t.Errorf("still signed in as %q; cookies %v", stolen.who(), ann.cookies)
		}
	})
	for rule, change := range map[string]func(*db.User){
		"a new password ends it":   func(u *db.User) { u.PasswordHash = "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA" },
		"a disabled account too":   func(u *db.User) { u.DisabledAt = time.Now() },
		"and a change of the role": func(u *db.User) { u.Role = string(auth.RoleViewer) },
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			_, store, ann := withAdmin(t, "")
			if _, err := store.UpdateUser(t.Context(), "ann", func(u *db.User, _ []db.User) error { change(u); return nil }); err != nil {
				t.Fatal(err)
			}
			if got := ann.who(); got != "" {
				t.Errorf("still signed in as %q", got)
			}
		})
	}
	t.Run("lasts twelve idle hours and seven days at most", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, _, ann := withAdmin(t, "")
			idle := newBrowser(t, ann.s, "192.0.2.2")
			if err := idle.login("ann", password); err != nil {
				t.Fatal(err)
			}
			for range 13 {
				time.Sleep(time.Hour)
				if ann.who() != "ann" {
					t.Fatal("an active session has ended")
				}
			}
			if idle.who() != "" {
				t.Error("an idle session lives")
			}
			for range 7 * 24 {
				time.Sleep(time.Hour)
				ann.who()
			}
			if ann.who() != "" {
				t.Error("a session lives longer than seven days")
			}
		})
	})
	t.Run("the store holds no cookie in clear", func(t *testing.T) {
		t.Parallel()
		_, store, ann := withAdmin(t, "")
		if _, _, ok, err := store.FindSession(t.Context(), ann.cookies["penstock_session"]); ok || err != nil {
			t.Errorf("found under the cookie's value: %v %v", ok, err)
		}
	})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	t.Run("refuses unknown, wrong and oversized alike", func(t *testing.T) {
		t.Parallel()
		s, _, _ := withAdmin(t, "")
		messages := map[string]bool{}
		for _, c := range [][2]string{{"ann", "wrong password"}, {"eve", password}, {"ann", ""}, {"ann", strings.Repeat("x", 10<<20)}, {"", ""}} {
			err := newBrowser(t, s, "192.0.2.9").login(c[0], c[1])
			if !fault.Is(err, fault.Unauthorized) {
				t.Fatalf("%q: %v", c[0], err)
			}
			messages[fault.Of(err).Message] = true
		}
		if len(messages) != 1 {
			t.Errorf("the messages differ: %v", messages)
		}
	})
	t.Run("guessing one account from one address is slowed, its owner is not", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, _, _ := withAdmin(t, "")
			attacker := newBrowser(t, s, "203.0.113.5")
			tried := 0
			for range 1000 {
				if err := attacker.login("ann", "wrong password"); fault.Is(err, fault.Unauthorized) {
					tried++
				} else if !fault.Is(err, fault.RateLimited) {
					t.Fatal(err)
				}
			}
			if tried > 5 {
				t.Errorf("%d of 1,000 guesses were tried", tried)
			}
			if err := attacker.login("ann", password); !fault.Is(err, fault.RateLimited) {
				t.Errorf("a throttled guess may be right: %v", err)
			}
			if err := newBrowser(t, s, "192.0.2.77").login("ann", password); err != nil {
				t.Errorf("the owner is locked out elsewhere: %v", err)
			}
			time.Sleep(16 * time.Second)
			if err := attacker.login("ann", password); err != nil {
				t.Errorf("locked for ever: %v", err)
			}
		})
	})
	t.Run("spraying over many accounts is slowed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, _, _ := withAdmin(t, "")
			tried := 0
			for i := range 500 {
				err := newBrowser(t, s, "203.0.113.6").login("user"+strings.Repeat("x", i), "wrong password")
				if fault.Is(err, fault.Unauthorized) {
					tried++
				}
			}
			if tried > 31 {
				t.Errorf("%d of 500 were tried", tried)
			}
		})
	})
	t.Run("a forwarded address is not believed", func(t *testing.T) {
		t.Parallel()
		s, _, _ := withAdmin(t, "")
		tried := 0
		for i := range 20 {
			b := newBrowser(t, s, "203.0.113.7")
			_, err := b.do(func(w http.ResponseWriter, r *http.Request) error {
				r.Header.Set("X-Forwarded-For", "10.0.0."+string(rune('0'+i%10)))
				return s.Login(w, r, "ann", "wrong password")
			})
			if fault.Is(err, fault.Unauthorized) {
				tried++
			}
		}
		if tried > 6 {
			t.Errorf("%d of 20 were tried", tried)
		}
	})
	t.Run("an unknown account costs the same hash as a known one", func(t *testing.T) {
		s, _, _ := withAdmin(t, "")
		// Argon2id takes 19 MiB: who does not hash does not allocate. Time itself would measure the machine.
		allocated := func(name string) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = newBrowser(t, s, "192.0.2.1").login(name, "wrong password")
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		for _, name := range []string{"ann", "nobody"} {
			if got := allocated(name); got < 19<<20 {
				t.Errorf("%s: %d bytes", name, got)
			}
		}
	})
}
