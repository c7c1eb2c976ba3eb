package db

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
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

	cancel context.CancelFunc
	wait   sync.WaitGroup
	err    error
}

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
	l := &ExecutorLock{Notifications: notifications, cancel: cancel}
	l.wait.Go(func() {
		defer conn.Close(context.Background())
		defer close(notifications)
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

// DeadExecutors notes that this process works, and returns and forgets those that do not: their lock is free, or
// they hold it and have not asked for twenty seconds (on the clock of the database). Each is returned to one caller
// only. One that wakes up is back with its next call. On SQLite there are none.
func (s *Store) DeadExecutors(ctx context.Context, self string) ([]string, error) {
	if s.isSQLite() {
		return nil, nil
	}
	var dead []string
	err := s.write.NewRaw(`WITH working AS (
			INSERT INTO executors (id, started_at, seen_at) VALUES (?0, now(), now())
			ON CONFLICT (id) DO UPDATE SET seen_at = now() WHERE executors.seen_at IS NULL OR executors.seen_at < now() - interval '4 seconds'
		) DELETE FROM executors WHERE id <> ?0
			AND (seen_at < now() - interval '20 seconds' OR pg_try_advisory_xact_lock(hashtextextended(id, 2))) RETURNING id`, self).
		Scan(ctx, &dead)
	return dead, wrap(err, "find dead executors")
}

// Notify tells all processes, this one too. The payload is at most 7,999 bytes. On SQLite it does nothing.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	if s.isSQLite() {
		return nil
	}
	_, err := s.write.ExecContext(ctx, "SELECT pg_notify(?, ?)", channel, payload)
	return wrap(err, "notify")
}
