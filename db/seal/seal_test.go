package seal_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"penstock/db/seal"
)

func newSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	key, err := seal.ParseKey(seal.NewKey() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeal(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	plain := []byte("https://hooks.example.com/T0/B0/password")
	sealed, err := s.Seal("ops", plain)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open("ops", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("opened as %q, %v", got, err)
	}
	if bytes.Contains(sealed, plain[:8]) {
		t.Error("the sealed value shows the text")
	}
	if again, _ := s.Seal("ops", plain); bytes.Equal(again, sealed) {
		t.Error("sealing twice gives the same bytes")
	}
	if empty, err := s.Seal("none", nil); err != nil {
		t.Error(err)
	} else if got, err := s.Open("none", empty); err != nil || len(got) != 0 {
		t.Errorf("the empty secret opened as %q, %v", got, err)
	}

	for name, c := range map[string]struct {
		sealer *seal.Sealer
		name   string
		value  []byte
		want   string
	}{
		"another name":   {s, "dev", sealed, "belongs to another secret"},
		"another key":    {newSealer(t), "ops", sealed, "sealed with another key (id " + s.KeyID()},
		"cut":            {s, "ops", sealed[:20], "not a sealed value"},
		"another format": {s, "ops", append([]byte{9}, sealed[1:]...), "not a sealed value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := c.sealer.Open(c.name, c.value); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	for i := range sealed {
		damaged := slices.Clone(sealed)
		damaged[i] ^= 1
		if _, err := s.Open("ops", damaged); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", i)
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte{0xfb}, 32)
	for _, text := range []string{
		hex.EncodeToString(want), "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=",
	} {
		if got, err := seal.ParseKey(" " + text + "\n"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "secret", hex.EncodeToString(want[:15]), "a text of thirty-one characters"} {
		if key, err := seal.ParseKey(text); err == nil {
			t.Errorf("%q was taken as %x", text, key)
		}
	}
	if key, err := seal.ParseKey("any text of at least 32 characters"); err != nil || len(key) != 32 {
		t.Errorf("a long text: %x, %v", key, err)
	}
	if _, err := seal.New(want[:16]); err == nil {
		t.Error("a key of 16 bytes was taken")
	}
}
