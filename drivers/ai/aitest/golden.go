package aitest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden compares got with testdata/name, or rewrites the file.
func Golden(t testing.TB, update bool, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

// Indented is the body of a call for a golden file, with names in place of the prompts.
func (c Call) Indented(t testing.TB) []byte {
	t.Helper()
	body := string(c.Body)
	for name, prompt := range map[string]string{"SYSTEM": c.System, "USER": c.User} {
		raw, escaped := quote(prompt), encode(t, prompt) // with and without HTML escaping, as the SDKs like it
		body = strings.ReplaceAll(strings.ReplaceAll(body, raw, quote(name)), escaped, quote(name))
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(body), "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}
