package assets_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"

	"penstock/views/assets"
)

func TestServe(t *testing.T) {
	t.Parallel()
	get := func(name, accept string) (*httptest.ResponseRecorder, bool) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/assets/"+name, nil)
		r.Header.Set("Accept-Encoding", accept)
		return w, assets.Serve(w, r, name)
	}

	t.Run("every file has its type and may be kept for ever", func(t *testing.T) {
		t.Parallel()
		for name, want := range map[string]string{
			"app.js": "text/javascript; charset=utf-8", "app.css": "text/css; charset=utf-8", "icons.svg": "image/svg+xml", "logo.svg": "image/svg+xml",
		} {
			w, ok := get(path.Base(assets.Path(name)), "")
			if h := w.Header(); !ok || w.Body.Len() == 0 || h.Get("Content-Type") != want || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Encoding") != "" {
				t.Errorf("%s: %v, %d bytes, %v", name, ok, w.Body.Len(), h)
			}
		}
	})

	t.Run("compressed copies hold the same text", func(t *testing.T) {
		t.Parallel()
		name := path.Base(assets.Path("app.css"))
		plain, _ := get(name, "")
		packed, _ := get(name, "gzip, deflate")
		r, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || string(text) != plain.Body.String() {
			t.Errorf("the unpacked copy differs: %v", err)
		}
		if best, _ := get(name, "gzip, br"); best.Header().Get("Content-Encoding") != "br" {
			t.Errorf("encoding %q, want br", best.Header().Get("Content-Encoding"))
		}
	})

	t.Run("nothing but the built files is served", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"app.js", "manifest.json", "NOTICE", "../assets.go", ""} {
			if _, ok := get(name, ""); ok {
				t.Errorf("%q is served", name)
			}
		}
	})
}
