// Package seal encrypts the secrets that the store keeps: AES-256-GCM with a random key for each secret, which is
// itself encrypted with the installation's key. A sealed secret opens only under the name it was sealed for.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	keySize   = 32
	idSize    = 8
	nonceSize = 12
	tagSize   = 16
	format    = 1

	// format, key id, sealed data key, sealed text
	headerSize = 1 + idSize
	dataKey    = nonceSize + keySize + tagSize
)

// Sealer seals and opens with the key of the installation.
type Sealer struct {
	key cipher.AEAD
	id  []byte
}

// minText is how long a key that is neither base64 nor hex must be.
const minText = 32

// ParseKey reads a key as it is written in a file or in the environment: 32 bytes in base64 or hex, or
// any other text of 32 characters or more, whose SHA-256 is the key.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) == keySize {
		return key, nil
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == keySize {
			return key, nil
		}
	}
	if len(text) >= minText {
		key := sha256.Sum256([]byte(text))
		return key[:], nil
	}
	return nil, errors.New("the secret key must be 32 bytes in base64 or hex, or a text of at least 32 characters; make one with: openssl rand -base64 32")
}

// NewKey returns a fresh key, written as [ParseKey] reads it.
func NewKey() string {
	key := make([]byte, keySize)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// New returns a Sealer with a key of 32 bytes.
func New(key []byte) (*Sealer, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("penstock secret key id\x00"), key...))
	return &Sealer{aead, sum[:idSize]}, nil
}

// KeyID names the key without giving anything of it away.
func (s *Sealer) KeyID() string { return hex.EncodeToString(s.id) }

// Seal encrypts plain for the secret called name.
func (s *Sealer) Seal(name string, plain []byte) ([]byte, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	own, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	out := append([]byte{format}, s.id...)
	out = encrypt(out, s.key, key, name)
	return encrypt(out, own, plain, name), nil
}

// Open decrypts what Seal made for the secret called name.
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+dataKey+nonceSize+tagSize || sealed[0] != format {
		return nil, fmt.Errorf("secret %q: not a sealed value of this version", name)
	}
	if id := sealed[1:headerSize]; !bytes.Equal(id, s.id) {
		return nil, fmt.Errorf("secret %q was sealed with another key (id %x, this one is %x): start with the key it was stored with", name, id, s.id)
	}
	damaged := fmt.Errorf("secret %q cannot be opened: its stored value was changed or belongs to another secret", name)
	key, err := decrypt(s.key, sealed[headerSize:headerSize+dataKey], name)
	if err != nil {
		return nil, damaged
	}
	own, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(own, sealed[headerSize+dataKey:], name)
	if err != nil {
		return nil, damaged
	}
	return plain, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("%d bytes, want %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// additional binds a ciphertext to the secret and the format, so that rows cannot be swapped.
func additional(name string) []byte { return fmt.Appendf(nil, "%s|%d", name, format) }

func encrypt(out []byte, aead cipher.AEAD, plain []byte, name string) []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return aead.Seal(append(out, nonce...), nonce, plain, additional(name))
}

func decrypt(aead cipher.AEAD, sealed []byte, name string) ([]byte, error) {
	return aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], additional(name))
}
