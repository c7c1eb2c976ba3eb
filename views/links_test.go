package views

import (
	"testing"
	"time"
)

func TestSafeLink(t *testing.T) {
	t.Parallel()
	for link, safe := range map[string]bool{
		"https://runbooks.example/disk?a=1#x": true,
		"http://10.0.0.1:9090/graph":          true,
		"javascript:alert(1)":                 false,
		" java\nscript:alert(1)":              false,
		"data:text/html,x":                    false,
		"vbscript:x":                          false,
		"//evil.example/x":                    false,
		"https:evil.example":                  false,
		"https://":                            false,
		`\\evil.example`:                      false,
		`https://good.example\@evil.example`:  false,
		"https://good.example@evil.example/":  false,
		"https://раypal.example/":             false,
		"https://evil.example/\tx":            false,
		"":                                    false,
	} {
		if got := safeLink(link) != ""; got != safe {
			t.Errorf("%q: safe is %v, want %v", link, got, safe)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 12 * time.Millisecond: "12 ms", 1500 * time.Millisecond: "1.5 s", 42 * time.Second: "42 s",
		83 * time.Second: "1 min 23 s", 3*time.Hour + 5*time.Minute: "3 h 5 min",
		292 * time.Hour: "12 d 4 h", 400 * 24 * time.Hour: "1 year", 6 * 366 * 24 * time.Hour: "6 years",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
