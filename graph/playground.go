package graph

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed playground/*.html playground/*.js playground/*.css
var playgroundFiles embed.FS

// playgroundPolicy is stricter than that of the other pages but for the fonts inside GraphiQL's
// stylesheet, and the one style that it makes while a menu or dialog is open; nothing is loaded from elsewhere.
const playgroundPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-nzTgYzXYDNe6BAHiiI7NNlfK8n/auuOAhh2t92YvuXo='; img-src 'self' data:; font-src data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file of the playground, compressed when it is first asked for.
type asset struct {
	raw     []byte
	etag    string
	gzipped func() []byte
}

// Playground serves GraphiQL at /playground/ from embedded files.
func Playground() http.Handler {
	entries, err := fs.ReadDir(playgroundFiles, "playground")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	assets := map[string]asset{}
	for _, e := range entries {
		raw, err := playgroundFiles.ReadFile("playground/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(raw)
		assets[e.Name()] = asset{raw, hex.EncodeToString(sum[:8]), sync.OnceValue(func() []byte { return gzipped(raw) })}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		if name == "playground" {
			name = "index.html"
		}
		a, ok := assets[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		head := w.Header()
		head.Set("Content-Security-Policy", playgroundPolicy)
		head.Set("Cache-Control", "private, no-cache")
		head.Set("Vary", "Accept-Encoding")
		head.Set("Content-Type", map[string]string{
			".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
		}[path.Ext(name)])
		content, etag := a.raw, a.etag
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			head.Set("Content-Encoding", "gzip")
			content, etag = a.gzipped(), a.etag+"-gzip"
		}
		head.Set("ETag", `"`+etag+`"`)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

func gzipped(raw []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(raw) // a buffer does not fail
	_ = z.Close()
	return b.Bytes()
}
