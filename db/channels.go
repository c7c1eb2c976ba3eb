package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"penstock/fault"
)

// Channel returns a channel by its name.
func (s *Store) Channel(ctx context.Context, name string) (*Channel, error) {
	c := new(Channel)
	if err := s.read.NewSelect().Model(c).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, found(err, "read channel", "There is no channel %q.", name)
	}
	return c, nil
}

// Channels returns all channels by name.
func (s *Store) Channels(ctx context.Context) ([]Channel, error) {
	var cs []Channel
	err := s.read.NewSelect().Model(&cs).Order("name").Scan(ctx)
	return cs, wrap(err, "read channels")
}

// SaveChannel creates the channel of c's name or replaces what it is, together with its sealed secrets. The
// store sets the id, the times and, for a new channel, keeps CreatedBy. What a test found is forgotten when
// driver or configuration change.
func (s *Store) SaveChannel(ctx context.Context, c Channel, secrets []Secret, mustCreate, mustExist bool) (created bool, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		now := time.Now()
		old := new(Channel)
		err := tx.forUpdate(tx.idb.NewSelect().Model(old).Where("name = ?", c.Name)).Scan(ctx)
		created = errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !created:
			return wrap(err, "read channel")
		case created && mustExist:
			return fault.New(fault.NotFound, "There is no channel %q.", c.Name)
		case !created && mustCreate:
			return channelTaken(nil)
		}
		c.UpdatedAt = now
		c.TestedAt, c.TestError = time.Time{}, ""
		if created {
			c.ID, c.CreatedAt = newID(), now
			_, err = tx.idb.NewInsert().Model(&c).Exec(ctx)
		} else {
			c.ID, c.CreatedAt, c.CreatedBy = old.ID, old.CreatedAt, old.CreatedBy
			if len(secrets) == 0 && c.Driver == old.Driver && string(c.Config) == string(old.Config) {
				c.TestedAt, c.TestError = old.TestedAt, old.TestError
			}
			_, err = tx.idb.NewUpdate().Model(&c).WherePK().Exec(ctx)
		}
		if isUnique(err) {
			return channelTaken(err)
		}
		if err != nil {
			return wrap(err, "write channel")
		}
		return tx.saveSecrets(ctx, secrets)
	})
	return created && err == nil, err
}

func channelTaken(err error) error {
	return &fault.Error{Code: fault.Conflict, Message: "A channel with this name exists.", Fields: map[string]string{"name": "Name is taken."}, Err: err}
}

// DeleteChannel deletes a channel. Its secrets stay: see [Store.DeleteSecrets].
func (s *Store) DeleteChannel(ctx context.Context, name string) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewDelete().Model((*Channel)(nil)).Where("name = ?", name).Exec(tx.ctx(ctx))
		return affected(res, err, "delete channel", "There is no channel %q.", name)
	})
}

// ChannelTested stores what a test of a channel found; errText is "" if it passed.
func (s *Store) ChannelTested(ctx context.Context, name string, at time.Time, errText string) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewUpdate().Model((*Channel)(nil)).Set("tested_at = ?", at).Set("test_error = ?", errText).
			Where("name = ?", name).Exec(tx.ctx(ctx))
		return affected(res, err, "store channel test", "There is no channel %q.", name)
	})
}
