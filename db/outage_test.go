package db_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"penstock/db"
	"penstock/db/dbtest"
	"penstock/fault"
)

func TestAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		s, down, up := openBreakable(t, url)
		r := startedRun(t, s)
		must(t, s.Ping(t.Context()))

		down()
		began := time.Now()
		err := s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{newRun()}})
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the answer took %v, want about 2 s at most", took)
		}
		if f := fault.Of(err); f.Code != fault.Unavailable || f.After <= 0 {
			t.Errorf("accept while down: %v, want unavailable and when to try again", err)
		}
		var commits []*db.Commit
		for n := range int64(20) {
			commits = append(commits, s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, n+1)}}))
		}
		soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := commits[0].Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a run write while down: %v, want it to wait", err)
		}
		if err := s.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("ping while down: %v, want unavailable", err)
		}

		up()
		for _, c := range commits {
			must(t, c.Wait(t.Context()))
		}
		if events := value(s.Events(t.Context(), r.ID, 0, 100))(t); len(events) != 20 {
			t.Errorf("%d events are stored, want 20", len(events))
		}
		must(t, s.Ping(t.Context()))
		must(t, s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{newRun()}}))
	})
}

func TestAnAcceptanceOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	p := newProxy(t, dbtest.Postgres(t))
	s := dbtest.Open(t, db.Options{URL: p.url})
	for range 20 {
		d, r := newDelivery(), newRun()
		r.DeliveryID, r.IdempotencyKey = d.ID, d.ID
		ended := make(chan error, 1)
		go func() { ended <- s.Accept(t.Context(), db.Acceptance{Delivery: d, Runs: []db.Run{r}}) }()
		p.down() // before the commit, in it or after it
		p.up()
		must(t, <-ended)
		value(s.Run(t.Context(), r.ID))(t)
		value(s.Delivery(t.Context(), d.ID))(t)
	}
}

func TestAnIntakeThatLosesItsConnectionLocksNothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t, dbtest.Postgres(t))
	s := dbtest.Open(t, db.Options{URL: p.url})
	inc := newIncident("db1")
	keys := db.IntakeKeys{Groups: []string{inc.GroupKey}}
	err := s.TakeIn(t.Context(), keys, func(*db.Tx, *db.IntakeState) (db.IntakeChanges, error) {
		p.down() // between what is read and what is written
		p.up()
		return db.IntakeChanges{Incidents: []db.Incident{inc}}, nil
	})
	if !db.IsDown(err) {
		t.Errorf("the intake: %v, want that the database does not answer", err)
	}
	met(t, s, keys, 0, 0, 0)
	p.down()
	err = s.TakeIn(t.Context(), keys, func(*db.Tx, *db.IntakeState) (none db.IntakeChanges, err error) { return none, nil })
	if !db.IsDown(err) {
		t.Errorf("an intake while the database is away: %v, want that it does not answer", err)
	}
}

func TestCloseWhileDown(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		s, down, up := openBreakable(t, url)
		defer up()
		r := startedRun(t, s)
		down()
		c := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 1)}})
		must(t, s.Close())
		if err := c.Wait(t.Context()); !errors.Is(err, db.ErrClosed) || !fault.Is(err, fault.Unavailable) {
			t.Errorf("a write that could not be committed before Close: %v, want ErrClosed and unavailable", err)
		}
		late := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, 2)}})
		if err := late.Wait(t.Context()); !errors.Is(err, db.ErrClosed) {
			t.Errorf("a write after Close: %v, want ErrClosed", err)
		}
		if err := s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{newRun()}}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("accept after Close: %v, want unavailable", err)
		}
	})
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		s := dbtest.Open(t, db.Options{URL: url})
		r := startedRun(t, s)
		for n := range int64(600) { // more than one batch
			s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Events: []db.RunEvent{event(r.ID, n+1)}})
		}
		must(t, s.Close())
		again := dbtest.Open(t, db.Options{URL: url})
		if events := value(again.Events(t.Context(), r.ID, 0, 1000))(t); len(events) != 600 {
			t.Errorf("%d events are stored, want 600", len(events))
		}
	})
}

func TestALockedTableIsAnsweredSoon(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	s := dbtest.Open(t, db.Options{URL: url})
	r := startedRun(t, s)
	lock := value(openURL(t, url).BeginTx(t.Context(), nil))(t)
	value(lock.ExecContext(t.Context(), "LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"))(t)
	began := time.Now()
	_, err := s.Run(t.Context(), r.ID)
	if took := time.Since(began); !fault.Is(err, fault.Unavailable) || took > 5*time.Second {
		t.Errorf("read of a locked table: %v after %v, want unavailable after about 2 s", err, took)
	}
	c := s.WriteRun(db.RunWrite{RunID: r.ID, Epoch: r.Epoch, Run: &db.RunChange{Status: db.RunCompleted}})
	if err := s.Accept(t.Context(), db.Acceptance{Runs: []db.Run{newRun()}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("accept into a locked table: %v, want unavailable", err)
	}
	if err := s.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ping while no run can be stored: %v, want unavailable", err)
	}
	must(t, lock.Rollback())
	must(t, c.Wait(t.Context()))
	must(t, s.Ping(t.Context()))
}

// openBreakable opens a store and returns what takes the database away and gives it back: the lock of another
// program on the SQLite file, the network before PostgreSQL.
func openBreakable(t *testing.T, url string) (s *db.Store, down, up func()) {
	t.Helper()
	if !strings.HasPrefix(url, "sqlite:") {
		p := newProxy(t, url)
		return dbtest.Open(t, db.Options{URL: p.url}), p.down, p.up
	}
	s = dbtest.Open(t, db.Options{URL: url})
	conn := value(openURL(t, url).Conn(t.Context()))(t)
	exec := func(statement string) func() {
		return func() { value(conn.ExecContext(context.WithoutCancel(t.Context()), statement))(t) }
	}
	return s, exec("BEGIN IMMEDIATE"), exec("ROLLBACK")
}

// proxy stands before PostgreSQL and can be cut.
type proxy struct {
	url             string
	network, server string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	config := value(pgx.ParseConfig(server))(t)
	p := &proxy{conns: map[net.Conn]bool{}}
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	listener := value(net.Listen("tcp", "127.0.0.1:0"))(t)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: listener.Addr().String(), Path: config.Database, RawQuery: "sslmode=disable"}
	p.url = u.String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.down()
		wg.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.cut {
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	wg.Wait()
}

func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}
