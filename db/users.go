package db

import (
	"context"
	"slices"
	"time"

	"penstock/fault"
)

// AddUser stores a new user. Names are unique.
func (s *Store) AddUser(ctx context.Context, u User) error {
	return s.InTx(ctx, func(tx *Tx) error {
		_, err := tx.idb.NewInsert().Model(&u).Exec(tx.ctx(ctx))
		if isUnique(err) {
			return &fault.Error{Code: fault.Conflict, Message: "A user with this name exists.", Fields: map[string]string{"name": "Name is taken."}, Err: err}
		}
		return wrap(err, "add user")
	})
}

// UpdateUser reads a user by the name, lets fn change it and stores it, in one transaction. fn sees all other users:
// none of them changes meanwhile.
func (s *Store) UpdateUser(ctx context.Context, name string, fn func(u *User, others []User) error) (*User, error) {
	var u User
	err := s.InTx(ctx, func(tx *Tx) error {
		ctx := tx.ctx(ctx)
		var all []User
		if err := tx.forUpdate(tx.idb.NewSelect().Model(&all).Order("id")).Scan(ctx); err != nil {
			return wrap(err, "read users")
		}
		i := slices.IndexFunc(all, func(u User) bool { return u.Name == name })
		if i < 0 {
			return fault.New(fault.NotFound, "There is no user %q.", name)
		}
		u = all[i]
		if err := fn(&u, slices.Delete(all, i, i+1)); err != nil {
			return err
		}
		u.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
		_, err := tx.idb.NewUpdate().Model(&u).WherePK().Exec(ctx)
		return wrap(err, "update user")
	})
	return &u, err
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
