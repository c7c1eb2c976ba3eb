package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/auth"
	"penstock/fault"
)

func TestFirstStart(t *testing.T) {
	t.Parallel()
	t.Run("makes an admin token and keeps it for the owner of the file", func(t *testing.T) {
		t.Parallel()
		s, _, _ := service(t, "")
		file := filepath.Join(t.TempDir(), "data", "initial-admin-token")
		written, err := s.FirstStart(t.Context(), "", file)
		if err != nil || written != file {
			t.Fatal(written, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
		secret, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Authenticate(t.Context(), bearer(strings.TrimSpace(string(secret))))
		if err != nil || !p.Has(auth.Admin) {
			t.Errorf("got %+v, %v", p, err)
		}
	})
	t.Run("takes the given one and writes no file", func(t *testing.T) {
		t.Parallel()
		s, _, _ := service(t, "")
		file := filepath.Join(t.TempDir(), "initial-admin-token")
		const given = "any text: of 16+"
		if written, err := s.FirstStart(t.Context(), given, file); err != nil || written != "" {
			t.Fatal(written, err)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("a file was written: %v", err)
		}
		mustPass(t, s, given)
	})
	t.Run("happens once, also after the token is gone", func(t *testing.T) {
		t.Parallel()
		s, store, _ := service(t, "")
		dir := t.TempDir()
		if _, err := s.FirstStart(t.Context(), "0123456789abcdef", filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeToken(t.Context(), "initial-admin"); err != nil {
			t.Fatal(err)
		}
		if written, err := s.FirstStart(t.Context(), "", filepath.Join(dir, "b")); written != "" || err != nil {
			t.Errorf("again: %q, %v", written, err)
		}
		if written, err := s.FirstStart(t.Context(), "fedcba9876543210", filepath.Join(dir, "c")); written != "" || err != nil {
			t.Errorf("again: %q, %v", written, err)
		}
		mustFail(t, s, "fedcba9876543210")
		if tokens, err := store.Tokens(t.Context()); err != nil || len(tokens) != 1 {
			t.Errorf("%d tokens, %v", len(tokens), err)
		}
	})
	t.Run("refuses a short one with words", func(t *testing.T) {
		t.Parallel()
		s, _, _ := service(t, "")
		_, err := s.FirstStart(t.Context(), "canary1", filepath.Join(t.TempDir(), "x"))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "PENSTOCK_BOOTSTRAP_TOKEN") || strings.Contains(err.Error(), "canary1") {
			t.Errorf("got %v", err)
		}
	})
}
