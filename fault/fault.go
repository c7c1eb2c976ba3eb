// Package fault is what a user may read of an error, and whether trying again may help.
// An error that is not marked here is "internal error" to the user and its full text goes to the log.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of problem a user has. Transports translate it (HTTP status, GraphQL code).
type Code string

const (
	Invalid       Code = "invalid"        // the request is malformed or breaks a rule: 400
	Unauthorized  Code = "unauthorized"   // no or a wrong credential: 401
	Forbidden     Code = "forbidden"      // the credential does not allow it: 403
	NotFound      Code = "not_found"      // 404
	Conflict      Code = "conflict"       // the state or version does not allow it: 409
	TooLarge      Code = "too_large"      // 413
	Unsupported   Code = "unsupported"    // content type or encoding: 415
	Unprocessable Code = "unprocessable"  // well formed, but refused by validation: 422
	RateLimited   Code = "rate_limited"   // 429, with RetryAfter
	Unavailable   Code = "unavailable"    // the store is down or the process is full: 503, with RetryAfter
	Internal      Code = "internal_error" // 500
)

// Error is an error whose Message a user may read. Err, if set, is for the log only.
type Error struct {
	Code    Code
	Message string            // a sentence the user can act on
	Fields  map[string]string // problem by field, may be nil
	Err     error             // cause, never shown
	After   time.Duration     // for RateLimited and Unavailable: when to try again
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New marks a message that the user may read.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap marks err: the user reads the message, the log gets the cause as well.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// Of returns the marked error in err's chain, or an internal error around err. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Message: "internal error", Err: err}
}

// Is reports whether err is marked with code.
func Is(err error, code Code) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// About says that the problem of err is in a field of what the caller sent.
func About(field string, err error) *Error {
	f := Of(err)
	f.Fields = map[string]string{field: f.Message}
	return f
}

type retry struct {
	error
	after time.Duration
}

func (r retry) Unwrap() error { return r.error }

// Retry marks err as one that may pass: trying again may help, but not before after (zero: no wish).
// The engine decides when and how often.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return retry{err, after}
}

// Retryable reports whether err was marked by [Retry], and the shortest wait it asked for.
func Retryable(err error) (after time.Duration, ok bool) {
	r, ok := errors.AsType[retry](err)
	return r.after, ok
}
