package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"
)

// session is a browser's session. The cookie holds a token, this table its hash.
type session struct {
	bun.BaseModel `bun:"table:sessions,alias:ses"`

	Hash      string    `bun:"hash,pk"`
	UserID    string    `bun:"user_id,nullzero"`
	Data      []byte    `bun:"data"`
	ExpiresAt time.Time `bun:"expires_at"`
}

// FindSession returns a session that has not expired; ok is false if there is none.
func (s *Store) FindSession(ctx context.Context, hash string) (data []byte, expiry time.Time, ok bool, err error) {
	row := new(session)
	err = s.read.NewSelect().Model(row).Where("hash = ?", hash).Where("expires_at > ?", time.Now()).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, false, nil
	}
	return row.Data, row.ExpiresAt, err == nil, wrap(err, "read session")
}

// SaveSession stores a session or replaces it. userID is "" before somebody has signed in.
func (s *Store) SaveSession(ctx context.Context, hash, userID string, data []byte, expiry time.Time) error {
	row := &session{Hash: hash, UserID: userID, Data: data, ExpiresAt: expiry}
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewInsert().Model(row).On("CONFLICT (hash) DO UPDATE").Exec(tx.ctx(ctx))
		return wrap(err, "save session")
	})
}

// DeleteSession ends a session; it is no error if there is none.
func (s *Store) DeleteSession(ctx context.Context, hash string) error {
	_, err := s.deleteSessions(ctx, "hash = ?", hash)
	return err
}

// DeleteSessionsByUser ends all sessions of a user and returns how many there were.
func (s *Store) DeleteSessionsByUser(ctx context.Context, userID string) (int, error) {
	return s.deleteSessions(ctx, "user_id = ?", userID)
}

// DeleteExpiredSessions removes what [Store.FindSession] no longer returns.
func (s *Store) DeleteExpiredSessions(ctx context.Context) (int, error) {
	return s.deleteSessions(ctx, "expires_at <= ?", time.Now())
}

func (s *Store) deleteSessions(ctx context.Context, where string, args ...any) (int, error) {
	var n int64
	err := s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewDelete().Model((*session)(nil)).Where(where, args...).Exec(tx.ctx(ctx))
		if err != nil {
			return wrap(err, "delete sessions")
		}
		n, err = res.RowsAffected()
		return err
	})
	return int(n), err
}
