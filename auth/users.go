package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"penstock/db"
	"penstock/fault"
)

// UserInput describes a new user.
type UserInput struct {
	Name, Password string
	Role           Role
}

// CreateUser makes a user who can sign in.
func (s *Service) CreateUser(ctx context.Context, in UserInput) (*db.User, error) {
	if err := checkRole(in.Role); err != nil {
		return nil, err
	}
	u, err := s.newUser(ctx, uuid.Must(uuid.NewV7()).String(), in.Name, in.Password, in.Role)
	if err != nil {
		return nil, err
	}
	if err := s.store.AddUser(ctx, u); err != nil {
		return nil, err
	}
	return &u, nil
}

// SetRole changes what a user may do. It ends the user's sessions. The last administrator stays one.
func (s *Service) SetRole(ctx context.Context, name string, role Role) (*db.User, error) {
	if err := checkRole(role); err != nil {
		return nil, err
	}
	return s.changeUser(ctx, name, func(u *db.User) { u.Role = string(role) })
}

// SetDisabled locks a user out, at once, or lets them in again. The last administrator stays.
func (s *Service) SetDisabled(ctx context.Context, name string, disabled bool) (*db.User, error) {
	return s.changeUser(ctx, name, func(u *db.User) {
		switch {
		case !disabled:
			u.DisabledAt = time.Time{}
		case u.DisabledAt.IsZero():
			u.DisabledAt = time.Now().UTC()
		}
	})
}

// SetPassword gives a user another password and ends their sessions.
func (s *Service) SetPassword(ctx context.Context, name, password string) (*db.User, error) {
	if err := checkPassword(password); err != nil {
		return nil, fault.About("password", err)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return s.changeUser(ctx, name, func(u *db.User) { u.PasswordHash = hash })
}

func (s *Service) changeUser(ctx context.Context, name string, change func(*db.User)) (*db.User, error) {
	u, err := s.store.UpdateUser(ctx, name, func(u *db.User, others []db.User) error {
		wasAdmin := isAdmin(*u)
		change(u)
		if wasAdmin && !isAdmin(*u) {
			for _, o := range others {
				if isAdmin(o) {
					return nil
				}
			}
			return fault.New(fault.Conflict, "%s is the last administrator. Make another user one first.", u.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Sessions of an old role or password are refused anyway; this removes them.
	if _, err := s.store.DeleteSessionsByUser(ctx, u.ID); err != nil {
		s.log.Warn("sessions of a changed user were not removed", "user", u.Name, "err", err)
	}
	return u, nil
}

func isAdmin(u db.User) bool { return Role(u.Role) == RoleAdmin && u.DisabledAt.IsZero() }

func checkRole(role Role) error {
	if role.Scopes() == nil {
		return fault.About("role", fault.New(fault.Invalid, "There is no role %q. Available: viewer, responder, editor, admin.", role))
	}
	return nil
}
