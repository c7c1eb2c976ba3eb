package server

import (
	"strings"
	"testing"
)

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	got := withoutSecrets([]byte(`{"labels":{"db_password":"hunter\"2","input_tokens":12},"Authorization":"Bearer x","url":"https://ann:pw@prom.example/g?a=1","name":"secret plan"}`))
	for _, gone := range []string{"hunter", "Bearer", "ann:pw"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is shown in %s", gone, got)
		}
	}
	for _, kept := range []string{`"input_tokens": 12`, `prom.example/g?a=1`, `"secret plan"`} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is missing in %s", kept, got)
		}
	}
	if withoutSecrets([]byte{0xff, 0xfe}) != "(not text)" || withoutSecrets(nil) != "" {
		t.Error("what is not text is not described")
	}
}
