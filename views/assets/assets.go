// Package assets is what browsers load beside the pages: scripts, styles, icons. dist is built by
// cmd/assets and committed, so that building the server needs no other tool.
package assets

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

var paths = readManifest()

// types is a table of its own: the system's may lack the charset or know something else.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func readManifest() map[string]string {
	raw, err := dist.ReadFile("dist/manifest.json")
	if err != nil {
		panic(err)
	}
	var names map[string]string
	if err := json.Unmarshal(raw, &names); err != nil {
		panic(fmt.Sprintf("assets manifest: %v", err))
	}
	return names
}

// Path is the address of a file by its name without a hash ("app.js"). It panics on a name that
// cmd/assets does not build.
func Path(name string) string {
	hashed, ok := paths[name]
	if !ok {
		panic("no asset " + name)
	}
	return "/assets/" + hashed
}

// Serve answers with a file by its name with the hash; false if there is none. The name changes with
// the content, so a browser may keep the file for ever.
func Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	known := false
	for _, hashed := range paths {
		known = known || hashed == name
	}
	if !known {
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Vary", "Accept-Encoding")
	file := "dist/" + name
	accepts := r.Header.Get("Accept-Encoding")
	for _, enc := range []struct{ name, ext string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if strings.Contains(accepts, enc.name) {
			h.Set("Content-Encoding", enc.name)
			file += enc.ext
			break
		}
	}
	content, err := dist.ReadFile(file)
	if err != nil {
		panic(err) // cmd/assets writes all three
	}
	_, _ = w.Write(content)
	return true
}
