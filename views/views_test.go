package views_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"penstock/views"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var hashes = regexp.MustCompile(`(/assets/\w+)-[a-z2-7]{8}\.`)

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(templ.WithNonce(t.Context(), "NONCE"), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPages compares every page with its golden file; -update rewrites them.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, page := range pages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(t, page)
			golden := filepath.Join("testdata", name+".golden.html")
			readable := strings.ReplaceAll(hashes.ReplaceAllString(got, "$1."), "><", ">\n<") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(readable), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if readable != string(want) {
				t.Errorf("differs from %s; run go test ./views -update and look at the diff", golden)
			}
			forbidden(t, got)
		})
	}
}

// forbidden looks for what the Content-Security-Policy stops, and for hostile text that became markup.
func forbidden(t *testing.T, html string) {
	t.Helper()
	for _, bad := range []string{` style="`, " onclick=", "<style", "<svg onload", `<hx-partial hx-get`, `href="javascript:`, `href="//`, "templ-failed", "about:invalid"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, script := range regexp.MustCompile(`<script[^>]*>`).FindAllString(html, -1) {
		if !strings.Contains(script, `nonce="NONCE"`) || !strings.Contains(script, "src=") && !strings.Contains(script, `type="application/json"`) {
			t.Errorf("script without nonce or file: %s", script)
		}
	}
	for _, link := range regexp.MustCompile(`<a [^>]*target="_blank"[^>]*>`).FindAllString(html, -1) {
		if !strings.Contains(link, `rel="noopener noreferrer"`) {
			t.Errorf("link without rel: %s", link)
		}
	}
}

// TestFragments: an id that matches nothing would be an empty answer without an error.
func TestFragments(t *testing.T) {
	t.Parallel()
	all := pages()
	for page, fragment := range map[string]views.Fragment{
		"overview": views.ResultsFragment, "runs": views.ResultsFragment, "incidents": views.ResultsFragment, "alerts": views.ResultsFragment, "deliveries": views.ResultsFragment, "notifications": views.ResultsFragment, "definitions": views.ResultsFragment,
		"definition": views.ChecksFragment, "run": views.PanelFragment, "incident": views.CardFragment,
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := templ.RenderFragments(t.Context(), &b, all[page], fragment); err != nil {
				t.Fatal(err)
			}
			if b.Len() == 0 || strings.Contains(b.String(), "<html") {
				t.Errorf("the fragment %q is empty or the whole page: %.80q", fragment, b.String())
			}
			if !strings.Contains(render(t, all[page]), b.String()) {
				t.Error("the fragment is not a part of the page")
			}
		})
	}
}
