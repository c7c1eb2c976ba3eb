package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"penstock/auth"
	"penstock/server"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready"} {
		if a := s.do(request{path: path}); a.status != 200 || s.json(a)["status"] != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := s.do(request{method: "HEAD", path: path}); a.status != 200 || a.body != "" {
			t.Errorf("HEAD %s: %d %q", path, a.status, a.body)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, path := range []string{"/healthz", "/nowhere", "/orchestration/pipelines/", "/login"} {
		h := s.do(request{path: path}).header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; ", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "X-Request-Id": "",
		} {
			if got := h.Get(name); !strings.HasPrefix(got, want) || got == "" {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("Server") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, test := range []struct {
		rule string
		q    request
		want int
	}{
		{"unknown path", request{path: "/nowhere", as: auth.Admin}, 404},
		{"doubled slash", request{path: "//orchestration/pipelines/", as: auth.Admin}, 404},
		{"doubled slash with a host", request{path: "//evil.example.com/", as: auth.Admin}, 404},
		{"encoded dots", request{path: "/orchestration/%2e%2e/admin/", as: auth.Admin}, 404},
		{"upper case", request{path: "/Orchestration/Pipelines/", as: auth.Admin}, 404},
		{"path parameter", request{path: "/orchestration/pipelines;x/", as: auth.Admin}, 404},
		{"PUT on a list", request{method: "PUT", path: "/orchestration/pipelines/", as: auth.Admin}, 405},
		{"TRACE", request{method: "TRACE", path: "/healthz"}, 405},
		{"OPTIONS", request{method: "OPTIONS", path: "/orchestration/pipeline/"}, 405},
		{"method override", request{method: "POST", path: "/orchestration/pipelines/", as: auth.Admin, header: http.Header{"X-Http-Method-Override": {"GET"}}}, 405},
		{"original URL", request{path: "/healthz/", as: auth.Read, header: http.Header{"X-Original-Url": {"/orchestration/tokens/"}}}, 404},
		{"foreign Host", request{path: "/healthz", header: http.Header{"Host": {"evil.example.com"}}}, 421},
		{"rebound name", request{path: "/orchestration/pipelines/", as: auth.Read, header: http.Header{"Host": {"127.0.0.1.evil.example.com:8080"}}}, 421},
		{"foreign address", request{path: "/healthz", header: http.Header{"Host": {"192.0.2.1"}}}, 421},
		{"localhost by name", request{path: "/healthz", header: http.Header{"Host": {"localhost:1234"}}}, 200},
		{"cross-site POST", request{method: "POST", path: "/orchestration/pipeline/", body: `{}`, as: auth.Ingest, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}, 403},
		{"same-site POST", request{method: "POST", path: "/login", body: `{}`, header: http.Header{"Sec-Fetch-Site": {"same-site"}}}, 403},
		{"foreign Origin", request{method: "POST", path: "/orchestration/pipeline/", body: `{}`, as: auth.Ingest, header: http.Header{"Origin": {"https://evil.example.com"}}}, 403},
		{"null Origin", request{method: "POST", path: "/orchestration/pipeline/", body: `{}`, as: auth.Ingest, header: http.Header{"Origin": {"null"}}}, 403},
		{"no credential", request{path: "/orchestration/pipelines/"}, 401},
		{"credential in the query", request{path: "/orchestration/pipelines/?token=" + s.tokens[auth.Admin]}, 401},
		{"wrong credential", request{path: "/orchestration/pipelines/", header: http.Header{"Authorization": {"Bearer pst_wrong"}}}, 401},
		{"wrong credential on a public route", request{path: "/healthz", header: http.Header{"Authorization": {"Bearer pst_wrong"}}}, 401},
		{"two credentials", request{path: "/orchestration/pipelines/", header: http.Header{"Authorization": {"Bearer " + s.tokens[auth.Read], "Bearer " + s.tokens[auth.Read]}}}, 401},
		{"a token of too little scope", request{path: "/orchestration/pipelines/", as: auth.Ingest}, 403},
	} {
		t.Run(test.rule, func(t *testing.T) {
			a := s.do(test.q)
			if a.status != test.want {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if a.status < 400 {
				return
			}
			if test.q.path != "/login" {
				if doc := s.json(a); doc["error"] == nil || doc["request_id"] != nil {
					t.Errorf("%s", a.body)
				}
			}
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
			if a.status == 401 && a.header.Get("Www-Authenticate") == "" {
				t.Error("no WWW-Authenticate header")
			}
			if strings.Contains(s.log.String(), s.tokens[auth.Admin]) {
				t.Error("a token is in the log")
			}
		})
	}
}

func TestInternalErrors(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("one", `[{"id":"a","type":"step"}]`)
	must(t, s.store.SQLiteDB().Close()) // every write fails from now on
	a := s.do(request{method: "PUT", path: "/orchestration/definitions/one/", as: auth.Edit, body: `{"config":{"version":"1.0","nodes":[{"id":"canary","type":"step"}]}}`})
	doc := s.json(a)
	if a.status != 500 && a.status != 503 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a.status == 503 && a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if a.status == 500 && doc["request_id"] != a.header.Get("X-Request-Id") {
		t.Errorf("request id: %s, header %q", a.body, a.header.Get("X-Request-Id"))
	}
	for _, leak := range []string{"sql", "database", "canary", "/tmp", ".go", "goroutine"} {
		if strings.Contains(strings.ToLower(a.body), leak) && a.status == 500 {
			t.Errorf("the answer says %q: %s", leak, a.body)
		}
	}
}

// raw sends text as it is and returns the answer's status line, and whether the connection ended.
func raw(t *testing.T, addr, text string, patience time.Duration) (line string, ended bool) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, text)
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	line, _ = r.ReadString('\n')
	_, err = io.Copy(io.Discard, r)
	return strings.TrimSpace(line), !errors.Is(err, os.ErrDeadlineExceeded) // ended or reset
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	public, _, stop := s.listen()
	t.Cleanup(stop)
	addr := strings.TrimPrefix(public, "http://")
	head := func(first string, lines ...string) string {
		return first + "\r\nHost: localhost\r\n" + strings.Join(append(lines, "", ""), "\r\n")
	}
	auths := "Authorization: Bearer " + s.tokens[auth.Ingest]
	for rule, test := range map[string]struct {
		text string
		want string
	}{
		"CONNECT":                 {head("CONNECT evil.example.com:443 HTTP/1.1", "Connection: close"), "4"},
		"absolute form":           {"GET http://evil.example.com/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "421"},
		"two Hosts":               {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n", "400"},
		"length and chunks":       {head("POST /orchestration/pipeline/ HTTP/1.1", auths, "Content-Type: application/json", "Content-Length: 4", "Transfer-Encoding: chunked", "Connection: close") + "0\r\n\r\n", "4"},
		"huge headers":            {head("GET /healthz HTTP/1.1", "X: "+strings.Repeat("x", 64<<10), "Connection: close"), "431"},
		"a length over the limit": {head("POST /orchestration/pipeline/ HTTP/1.1", auths, "Content-Type: application/json", "Content-Length: 1048577"), "413"},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			line, ended := raw(t, addr, test.text, 10*time.Second)
			if !strings.HasPrefix(line, "HTTP/1.1 "+test.want) || !ended {
				t.Errorf("%q, connection closed: %v", line, ended)
			}
		})
	}
	t.Run("endless chunks", func(t *testing.T) {
		t.Parallel()
		body := strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 20)
		line, ended := raw(t, addr, head("POST /orchestration/pipeline/ HTTP/1.1", auths, "Content-Type: application/json", "Transfer-Encoding: chunked")+body, 10*time.Second)
		if !strings.HasPrefix(line, "HTTP/1.1 413") || !ended {
			t.Errorf("%q, connection closed: %v", line, ended)
		}
	})
}

func TestOps(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("one", `[{"id":"a","type":"step"}]`)
	public, ops, stop := s.listen()
	defer stop()
	s.url = public
	s.do(request{method: "POST", path: "/orchestration/definitions/one/execute/", as: auth.Operate})
	s.do(request{method: "PUT", path: "/orchestration/channels/ops/", as: auth.Edit, body: `{"driver":"generic","config":{}}`})
	get := func(url string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must(t, err)
		res, err := http.DefaultClient.Do(r)
		must(t, err)
		defer func() { _ = res.Body.Close() }()
		data, err := io.ReadAll(res.Body)
		must(t, err)
		return res.StatusCode, string(data)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/goroutine"} {
		if status, body := get(ops + path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, metrics := get(ops + "/metrics")
	for _, m := range server.Metrics() {
		if !strings.Contains(metrics, "\n"+m.Name) && !strings.HasPrefix(m.Name, "penstock_retention_") && !strings.HasPrefix(m.Name, "penstock_source_") {
			t.Errorf("%s is documented and not there", m.Name)
		}
	}
	for _, want := range []string{
		`penstock_http_requests_total{route="POST /orchestration/definitions/{name}/execute/",status="200"} 1`,
		`penstock_runs_unfinished{status="pending"} 0`, `penstock_deliveries_total{outcome="rejected"} 0`, "penstock_store_up 1", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/.git/config", "/debug/vars"} {
		if status, _ := get(public + path); status != 404 {
			t.Errorf("the public listener answers %s: %d", path, status)
		}
	}
}

// listen runs the same parts on listeners of their own and returns their addresses.
func (s *stack) listen() (public, ops string, stop func()) {
	s.t.Helper()
	var l [2]net.Listener
	for i := range l {
		var err error
		l[i], err = net.Listen("tcp", "127.0.0.1:0")
		must(s.t, err)
	}
	srv, err := server.New(server.Options{Store: s.store, Engine: s.engine, Auth: s.auth, GraphQL: http.NotFoundHandler(), Public: l[0], Ops: l[1]})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	return fmt.Sprint("http://", l[0].Addr()), fmt.Sprint("http://", l[1].Addr()), func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.define("slow", `[{"id":"hang","type":"step"}]`)
	public, _, stop := s.listen()
	answered := make(chan int, 1)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+"/orchestration/definitions/slow/execute/", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+s.tokens[auth.Operate])
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	for {
		_, running, err := s.store.UnfinishedCount(t.Context())
		must(t, err)
		if running == 1 {
			break
		}
		time.Sleep(2 * time.Millisecond) // the run is visible in the store only
	}
	start := time.Now()
	stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if status := <-answered; status != 202 {
		t.Errorf("who was waiting got %d, not 202", status)
	}
}
