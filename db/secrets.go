package db

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"penstock/fault"
)

// Secret is a sealed value with a name. What seals and opens it is penstock/db/seal; SQL sees only the sealed form.
type Secret struct {
	bun.BaseModel `bun:"table:secrets,alias:sec"`

	Name      string    `bun:"name,pk"`
	Sealed    []byte    `bun:"sealed"`
	UpdatedAt time.Time `bun:"updated_at"` // set by the store
}

// SecretValue returns the sealed value of a secret.
func (s *Store) SecretValue(ctx context.Context, name string) ([]byte, error) {
	secret := new(Secret)
	if err := s.read.NewSelect().Model(secret).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, found(err, "read secret", "There is no secret %q.", name)
	}
	return secret.Sealed, nil
}

// PutSecret stores a secret or replaces it.
func (s *Store) PutSecret(ctx context.Context, secret Secret) error {
	return s.InTx(ctx, func(tx *Tx) error { return tx.saveSecrets(tx.ctx(ctx), []Secret{secret}) })
}

// DeleteSecrets deletes the secrets whose name begins with prefix and returns how many there were.
func (s *Store) DeleteSecrets(ctx context.Context, prefix string) (int, error) {
	if prefix == "" {
		return 0, errors.New("delete secrets: a prefix is required")
	}
	var n int64
	err := s.InTx(ctx, func(tx *Tx) error {
		// Not LIKE: it ignores the case on SQLite.
		res, err := tx.idb.NewDelete().Model((*Secret)(nil)).Where("substr(name, 1, length(?0)) = ?0", prefix).Exec(tx.ctx(ctx))
		if err != nil {
			return wrap(err, "delete secrets")
		}
		n, err = res.RowsAffected()
		return err
	})
	return int(n), err
}

func (tx *Tx) saveSecrets(ctx context.Context, secrets []Secret) error {
	if len(secrets) == 0 {
		return nil
	}
	now := time.Now()
	secrets = slices.Clone(secrets)
	for i := range secrets {
		secrets[i].UpdatedAt = now
	}
	_, err := tx.idb.NewInsert().Model(&secrets).On("CONFLICT (name) DO UPDATE").Exec(ctx)
	return wrap(err, "write secrets")
}

// metaRow is a fact about the database itself.
type metaRow struct {
	bun.BaseModel `bun:"table:meta,alias:m"`

	Key   string `bun:"key,pk"`
	Value string `bun:"value"`
}

// Meta returns a fact about the database itself, fault.NotFound if it was never set.
func (s *Store) Meta(ctx context.Context, key string) (string, error) {
	row := new(metaRow)
	if err := s.read.NewSelect().Model(row).Where("key = ?", key).Scan(ctx); err != nil {
		return "", found(err, "read meta", "%s is not set.", key)
	}
	return row.Value, nil
}

// SetMetaOnce sets a fact that is not set yet; won says whether this call did.
func (s *Store) SetMetaOnce(ctx context.Context, key, value string) (won bool, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewInsert().Model(&metaRow{Key: key, Value: value}).On("CONFLICT (key) DO NOTHING").Exec(tx.ctx(ctx))
		if err != nil {
			return wrap(err, "set meta")
		}
		n, err := res.RowsAffected()
		won = n == 1
		return err
	})
	return won && err == nil, err
}

// MetaKeyID is the fact that [Store.CheckKey] keeps.
const MetaKeyID = "secret_key_id"

// CheckKey remembers the id of the key that seals the secrets of this database and refuses any other key.
func (s *Store) CheckKey(ctx context.Context, keyID string) error {
	if won, err := s.SetMetaOnce(ctx, MetaKeyID, keyID); won || err != nil {
		return err
	}
	stored, err := s.Meta(ctx, MetaKeyID)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(stored), []byte(keyID)) != 1 {
		return fault.New(fault.Invalid, "The secret key is not the one that this database's secrets were stored with (id %s, given %s). Set PENSTOCK_SECRET_KEY or PENSTOCK_SECRET_KEY_FILE to the original key.", stored, keyID)
	}
	return nil
}
