package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"penstock/fault"
)

// Cost of a password hash (OWASP's recommendation). The hash says its own, so it can be raised later.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

const (
	minPassword = 12
	maxPassword = 1024
)

// common are passwords that lists of guesses begin with: well-known words with digits around them,
// runs of keys, one group of characters again and again.
var common = regexp.MustCompile(`(?i)^[\W\d_]*(?:(?:pass(?:word|phrase)?|penstock|admin(?:istrator)?|welcome|letmein|qwerty(?:uiop)?|asdf(?:ghjkl)?|iloveyou|changeme|secret|login|monkey|dragon|abc(?:def)?)[\W\d_]*)+$|^\d+$`)

// checkPassword says what is wrong with a new password.
func checkPassword(password string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fault.New(fault.Invalid, "The password is too short: use at least %d characters, for example four random words.", minPassword)
	case common.MatchString(password):
		return fault.New(fault.Invalid, "The password is one of those that are tried first. Use for example four random words.")
	case len(password) > maxPassword:
		return fault.New(fault.Invalid, "The password is too long: at most %d bytes.", maxPassword)
	}
	return nil
}

// hasher bounds how many hashes are computed at the same time: each takes 19 MiB and a core.
type hasher struct {
	slots chan struct{}
	dummy string // what an unknown user's password is compared with, so that it takes as long
}

func newHasher(concurrency int) *hasher {
	h := &hasher{slots: make(chan struct{}, concurrency)}
	h.dummy = encodeHash(make([]byte, argonSalt), make([]byte, argonKey))
	return h
}

func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hash returns the PHC string of password with a fresh salt.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.slots }()
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)), nil
}

// matches compares password with a PHC string made by hash.
func (h *hasher) matches(ctx context.Context, password, phc string) (bool, error) {
	var version, memory, time, threads uint32
	var rest string
	if _, err := fmt.Sscanf(phc, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &time, &threads, &rest); err != nil {
		return false, fmt.Errorf("read password hash: %w", err)
	}
	saltText, keyText, ok := strings.Cut(rest, "$")
	salt, saltErr := base64.RawStdEncoding.DecodeString(saltText)
	want, keyErr := base64.RawStdEncoding.DecodeString(keyText)
	if !ok || version != argon2.Version || saltErr != nil || keyErr != nil || threads > 255 {
		return false, fmt.Errorf("read password hash: not an argon2id PHC string")
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer func() { <-h.slots }()
	got := argon2.IDKey([]byte(password), salt, time, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func encodeHash(salt, key []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, enc.EncodeToString(salt), enc.EncodeToString(key))
}
