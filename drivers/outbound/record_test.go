package outbound_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"penstock/drivers/outbound"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "session=cookie-canary")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "got %d bytes", len(body))
	}))
	t.Cleanup(server.Close)
	c := client(t, outbound.Options{Allow: []string{"127.0.0.1"}})
	recorded, recording := outbound.Record(t.Context())
	for _, body := range []string{"small", strings.Repeat("x", 40<<10)} {
		req, err := http.NewRequestWithContext(recorded, http.MethodPost, strings.Replace(server.URL, "//", "//user:password-canary@", 1)+"/path?a=1", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer token-canary")
		req.Header.Set("X-Extra", "kept")
		resp, err := c.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := outbound.ReadBody(resp, 0)
		if err != nil || string(answer) != fmt.Sprintf("got %d bytes", len(body)) {
			t.Fatalf("the receiver said %q, %v", answer, err)
		}
	}
	outbound.Report(recorded, "MAIL", "250 ok")
	list, credentials := recording.Exchanges()
	if len(list) != 3 || len(credentials) != 4 || credentials[0] != "Bearer token-canary" || list[2] != (outbound.Exchange{Request: "MAIL", Answer: "250 ok"}) {
		t.Fatalf("%d exchanges, credentials %q, last %+v", len(list), credentials, list[len(list)-1])
	}
	for _, want := range []string{"POST http://", "/path?a=1\n", "Authorization: [secret]\n", "X-Extra: kept\n", "\n\nsmall"} {
		if !strings.Contains(list[0].Request, want) {
			t.Errorf("the request lacks %q:\n%s", want, list[0].Request)
		}
	}
	if !strings.HasPrefix(list[0].Answer, "HTTP/1.1 418 I'm a teapot\n") || !strings.HasSuffix(list[0].Answer, "\n\ngot 5 bytes") {
		t.Errorf("the answer:\n%s", list[0].Answer)
	}
	if !strings.HasSuffix(list[1].Request, "… and 8192 bytes more") {
		t.Errorf("a long body ends with %q", list[1].Request[len(list[1].Request)-40:])
	}
	if all := fmt.Sprint(list); strings.Contains(all, "canary") {
		t.Errorf("a credential is shown:\n%.800s", all)
	}
	outbound.Report(t.Context(), "nobody", "listens")
}
