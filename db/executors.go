package db

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
)

// ControlChannel is the PostgreSQL channel on which processes tell each other what to do; see [Store.Notify].
const ControlChannel = "penstock_control"

// Notification is what [Store.Notify] or a commit of events sent.
type Notification struct {
	Channel string // EventChannel or ControlChannel
	Payload string
}

// ExecutorLock proves to the other processes that this one is alive: a connection that holds a lock which ends
// with it. It also hears the notifications.
type ExecutorLock struct {
	// Notifications is closed when the connection is lost; the caller then opens a new lock, and reads what it may have missed.
	Notifications <-chan Notification

	store *Store
	id    string
	signs map[string]sign // of the other processes

	cancel context.CancelFunc
	wait   sync.WaitGroup
	err    error
}

// sign is the newest sign of life of a process, and when it was first seen.
type sign struct {
	text string
	at   time.Time
}

// silent is how long a process that holds its lock may show no sign of life.
const silent = 20 * time.Second

// OpenExecutor registers a process under an id that no other process has, and listens. It returns nil on
// SQLite, where there is only one process.
func (s *Store) OpenExecutor(ctx context.Context, id string) (*ExecutorLock, error) {
	if s.isSQLite() {
		return nil, nil
	}
	config := s.config.Copy()
	// The server notices within seconds that the host of this process is gone.
	config.RuntimeParams["tcp_keepalives_idle"] = "5"
	config.RuntimeParams["tcp_keepalives_interval"] = "2"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, wrap(err, "open executor")
	}
	// The lock comes before the row: a row without a lock is a dead process.
	_, err = conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 2))", id)
	if err == nil {
		_, err = conn.Exec(ctx, "INSERT INTO executors (id, started_at) VALUES ($1, now()) ON CONFLICT (id) DO NOTHING", id)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "LISTEN "+EventChannel+"; LISTEN "+ControlChannel)
	}
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, wrap(err, "open executor")
	}
	notifications := make(chan Notification, 256)
	listen, cancel := context.WithCancel(context.Background())
	l := &ExecutorLock{Notifications: notifications, store: s, id: id, signs: map[string]sign{}, cancel: cancel}
	l.wait.Go(func() {
		defer conn.Close(context.Background())
		defer close(notifications)
		defer func() {
			if listen.Err() == nil {
				return // the connection is lost
			}
			// The server would free the lock some time after the connection has ended.
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock_all()")
		}()
		for {
			n, err := conn.WaitForNotification(listen)
			if err != nil {
				l.err = err
				return
			}
			select {
			case notifications <- Notification{n.Channel, n.Payload}:
			case <-listen.Done():
			}
		}
	})
	return l, nil
}

// Err returns why Notifications was closed.
func (l *ExecutorLock) Err() error {
	l.wait.Wait()
	return l.err
}

// Close frees the lock. The row stays, so that another process takes over what this one left.
func (l *ExecutorLock) Close() {
	l.cancel()
	l.wait.Wait()
}

// Dead notes that this process works, and returns and forgets those that do not: their lock is free, or they hold it
// and have shown no new sign of life for twenty seconds. These are counted on the clock of this process, at the moment
// now: no other clock has to be right. Each is returned to one caller only. One that wakes up is back with its next call.
func (l *ExecutorLock) Dead(ctx context.Context, now time.Time) (dead []string, err error) {
	hung, args := "FALSE", []any{l.id}
	var mute []string
	for id, s := range l.signs {
		if s.text != "" && now.Sub(s.at) > silent {
			mute = append(mute, id+" "+s.text)
		}
	}
	if len(mute) > 0 {
		hung, args = "id || ' ' || seen_at::text IN (?1)", append(args, bun.List(mute))
	}
	var rows []struct {
		ID   string
		Seen string
		Dead bool
	}
	err = l.store.write.NewRaw(`WITH working AS (
			INSERT INTO executors (id, started_at, seen_at) VALUES (?0, now(), now())
			ON CONFLICT (id) DO UPDATE SET seen_at = now()
			WHERE executors.seen_at IS NULL OR executors.seen_at NOT BETWEEN now() - interval '4 seconds' AND now()
		), gone AS (
			DELETE FROM executors WHERE id <> ?0 AND (`+hung+` OR pg_try_advisory_xact_lock(hashtextextended(id, 2))) RETURNING id
		) SELECT id, coalesce(seen_at::text, '') AS seen, id IN (SELECT id FROM gone) AS dead FROM executors WHERE id <> ?0`, args...).
		Scan(ctx, &rows)
	if err != nil {
		return nil, wrap(err, "find dead executors")
	}
	signs := map[string]sign{}
	for _, r := range rows {
		if r.Dead {
			dead = append(dead, r.ID)
		} else if before := l.signs[r.ID]; before.text == r.Seen {
			signs[r.ID] = before
		} else {
			signs[r.ID] = sign{r.Seen, now}
		}
	}
	l.signs = signs
	return dead, nil
}

// Notify tells all processes, this one too. The payload is at most 7,999 bytes. On SQLite it does nothing.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	if s.isSQLite() {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "SELECT pg_notify(?, ?)", channel, payload)
	return wrap(err, "notify")
}
