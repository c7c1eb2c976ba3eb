// Command components serves one page with every part that the admin's pages are made of, for who
// changes them:
//
//	go run ./cmd/components
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/a-h/templ"

	"penstock/views"
	"penstock/views/assets"
)

func main() {
	log.SetFlags(0)
	if err := serve(); err != nil {
		log.Fatal("components: ", err)
	}
}

func serve() error {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		if !assets.Serve(w, r, r.PathValue("file")) {
			http.NotFound(w, r)
		}
	})
	mux.HandleFunc("GET /{$}", page)
	fmt.Printf("http://%s/\n", l.Addr())
	return http.Serve(l, mux)
}

// page has the policy of the real pages, so that what they may not do is seen here too.
func page(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'; img-src 'self' data:; connect-src 'self'")
	if err := views.Components(time.Now()).Render(templ.WithNonce(r.Context(), nonce), w); err != nil {
		log.Print("components: ", err)
	}
}
