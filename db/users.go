package db

import (
	"context"

	"penstock/fault"
)

// AddUser stores a new user. Names are unique.
func (s *Store) AddUser(ctx context.Context, u User) error {
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewInsert().Model(&u).Exec(tx.ctx(ctx))
		return userTaken(err, "add user")
	})
}

// SaveUser changes a user, found by the id.
func (s *Store) SaveUser(ctx context.Context, u User) error {
	return s.InTx(ctx, func(tx *Tx) error {
		res, err := tx.idb.NewUpdate().Model(&u).ExcludeColumn("created_at").WherePK().Exec(tx.ctx(ctx))
		if err != nil {
			return userTaken(err, "save user")
		}
		return affected(res, nil, "save user", "There is no user %q.", u.Name)
	})
}

func userTaken(err error, doing string) error {
	if isUnique(err) {
		return &fault.Error{Code: fault.Conflict, Message: "A user with this name exists.", Fields: map[string]string{"name": "Name is taken."}, Err: err}
	}
	return wrap(err, doing)
}

// User returns a user by the id.
func (s *Store) User(ctx context.Context, id string) (*User, error) {
	u := new(User)
	if err := s.read.NewSelect().Model(u).Where("id = ?", id).Scan(ctx); err != nil {
		return nil, found(err, "read user", "There is no such user.")
	}
	return u, nil
}

// UserByName returns a user by the name.
func (s *Store) UserByName(ctx context.Context, name string) (*User, error) {
	u := new(User)
	if err := s.read.NewSelect().Model(u).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, found(err, "read user", "There is no user %q.", name)
	}
	return u, nil
}

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	var us []User
	err := s.read.NewSelect().Model(&us).Order("name").Scan(ctx)
	return us, wrap(err, "read users")
}

// CountUsers counts all users.
func (s *Store) CountUsers(ctx context.Context) (int, error) {
	n, err := s.read.NewSelect().Model((*User)(nil)).Count(ctx)
	return int(n), wrap(err, "count users")
}
