package db

import (
	"context"
	"time"

	"penstock/fault"
)

// AddToken stores a new token. The names of tokens that are not revoked are unique.
func (s *Store) AddToken(ctx context.Context, t APIToken) error {
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewInsert().Model(&t).Exec(tx.ctx(ctx))
		if isUnique(err) {
			return &fault.Error{Code: fault.Conflict, Message: "A token with this name exists.", Fields: map[string]string{"name": "Name is taken."}, Err: err}
		}
		return wrap(err, "add token")
	})
}

// Tokens returns all tokens, also revoked ones, the newest first.
func (s *Store) Tokens(ctx context.Context) ([]APIToken, error) {
	var ts []APIToken
	err := s.read.NewSelect().Model(&ts).Order("created_at DESC", "id DESC").Scan(ctx)
	return ts, wrap(err, "read tokens")
}

// CountTokens counts all tokens that were ever made.
func (s *Store) CountTokens(ctx context.Context) (int, error) {
	n, err := s.read.NewSelect().Model((*APIToken)(nil)).Count(ctx)
	return int(n), wrap(err, "count tokens")
}

// TokenByHash returns the token with the hash, whether or not it is revoked or expired.
func (s *Store) TokenByHash(ctx context.Context, hash string) (*APIToken, error) {
	t := new(APIToken)
	if err := s.read.NewSelect().Model(t).Where("hash = ?", hash).Scan(ctx); err != nil {
		return nil, found(err, "read token", "There is no such token.")
	}
	return t, nil
}

// RevokeToken ends the token with the id or, if it is not revoked, with the name.
func (s *Store) RevokeToken(ctx context.Context, idOrName string) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewUpdate().Model((*APIToken)(nil)).Set("revoked_at = COALESCE(revoked_at, ?)", time.Now()).
			Where("id = ?0 OR (name = ?0 AND revoked_at IS NULL)", idOrName).Exec(tx.ctx(ctx))
		return affected(res, err, "revoke token", "There is no token %q.", idOrName)
	})
}

// TouchToken notes when a token was used last.
func (s *Store) TouchToken(ctx context.Context, id string, at time.Time) error {
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewUpdate().Model((*APIToken)(nil)).Set("used_at = ?", at).Where("id = ?", id).Exec(tx.ctx(ctx))
		return wrap(err, "touch token")
	})
}
