package outbound_test

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/drivers/outbound"
	"penstock/fault"
)

func client(t *testing.T, o outbound.Options) *outbound.Client {
	t.Helper()
	c, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const blocked = "The target is not allowed (blocked)."

func TestBlocksWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	c := client(t, outbound.Options{})
	for _, host := range []string{
		"127.0.0.1", "127.8.9.1", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "localhost",
		"10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.192", "100.100.100.200", "168.63.129.16",
		"198.18.0.1", "203.0.113.7", "224.0.0.1", "255.255.255.255", "64:ff9b::7f00:1", "64:ff9b::808:808", "2002:7f00:1::", "2001:0:7f00:1::",
		"fd00::1", "fd00:ec2::254", "fe80::1", "ff02::1", "2001:db8::1", "::127.0.0.1", "",
	} {
		conn, err := c.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		if err == nil {
			conn.Close()
			t.Errorf("%q was reached", host)
			continue
		}
		if f := fault.Of(outbound.Classify(err)); f.Code != fault.Forbidden || f.Message != blocked {
			t.Errorf("%q: %s %q (%v), want the blocked fault", host, f.Code, f.Message, err)
		}
		if _, retry := fault.Retryable(outbound.Classify(err)); retry {
			t.Errorf("%q would be tried again", host)
		}
	}
}

func TestOddSpellingsReachNothing(t *testing.T) {
	t.Parallel()
	srv, hits := server(t, func(w http.ResponseWriter, _ *http.Request) {})
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	c := client(t, outbound.Options{Resolver: resolver(t)}) // real lookups of these texts would leave the machine
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①", "localhost.", "user@127.0.0.1", "[fe80::1%25lo]"} {
		if resp, err := get(t, c, "http://"+host+":"+port+"/"); err == nil {
			resp.Body.Close()
			t.Errorf("%q was reached", host)
		}
	}
	for _, target := range []string{"file:///etc/passwd", "gopher://127.0.0.1:" + port + "/x", "unix:///var/run/docker.sock"} {
		if resp, err := get(t, c, target); err == nil {
			resp.Body.Close()
			t.Errorf("%q was reached", target)
		}
	}
	if conn, err := c.DialContext(t.Context(), "unix", "/var/run/docker.sock:1"); err == nil {
		conn.Close()
		t.Error("a unix socket was reached")
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

func TestSameWordsForOpenAndClosedPorts(t *testing.T) {
	t.Parallel()
	srv, hits := server(t, func(w http.ResponseWriter, _ *http.Request) {})
	open := srv.Listener.Addr().String()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	c := client(t, outbound.Options{})
	for _, addr := range []string{open, closed} {
		_, err := get(t, c, "http://"+addr+"/secret-path")
		if got := fault.Of(outbound.Classify(err)).Message; got != blocked {
			t.Errorf("%s: %q", addr, got)
		}
	}
	if hits.Load() != 0 {
		t.Error("the open port was reached")
	}
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	srv, _ := server(t, func(w http.ResponseWriter, _ *http.Request) {})
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	names := resolver(t, "sink.test=127.0.0.1", "meta.test=169.254.169.254")
	reach := func(allow, host string) error {
		c := client(t, outbound.Options{Allow: []string{allow}, Resolver: names})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := c.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, ok := range []struct{ allow, host string }{
		{"127.0.0.0/8", "127.0.0.1"}, {"127.0.0.1", "127.0.0.1"}, {"127.0.0.1/32", "127.0.0.1"}, {"127.0.0.1:" + port, "127.0.0.1"},
		{"127.0.0.1", "::ffff:127.0.0.1"}, {"sink.test", "sink.test"}, {"SINK.test.", "sink.test"}, {"sink.test", "sink.test."},
		{"sink.test:" + port, "sink.test"}, {" 127.0.0.0/8 ", "sink.test"},
	} {
		if err := reach(ok.allow, ok.host); err != nil {
			t.Errorf("%q does not allow %q: %v", ok.allow, ok.host, err)
		}
	}
	for _, no := range []struct{ allow, host string }{
		{"127.0.0.1:1", "127.0.0.1"}, {"sink.test:1", "sink.test"}, {"sink.test", "127.0.0.1"}, {"10.0.0.0/8", "127.0.0.1"},
		{"169.254.0.0/16", "169.254.169.254"}, {"0.0.0.0/0", "168.63.129.16"}, {"meta.test", "meta.test"},
		{"64:ff9b::/96", "64:ff9b::a9fe:a9fe"}, {"64:ff9b::/96", "64:ff9b::7f00:1"}, {"::/0", "fd00:ec2::254"},
	} {
		if err := reach(no.allow, no.host); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%q allows %q: %v", no.allow, no.host, err)
		}
	}
	if err := reach("169.254.169.254", "169.254.169.254"); fault.Is(err, fault.Forbidden) {
		t.Error("a metadata address that is listed exactly is blocked")
	}
	for _, bad := range []string{"10.0.0.0/33", "http://sink", "10.0.0", "a b", "sink:http", "*.corp", "sink:0"} {
		if _, err := outbound.New(outbound.Options{Allow: []string{bad}}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("entry %q: %v, want an error that names it", bad, err)
		}
	}
}

func TestChecksTheAddressAtEachDial(t *testing.T) {
	t.Parallel()
	srv, hits := server(t, func(w http.ResponseWriter, _ *http.Request) {})
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	c := client(t, outbound.Options{Resolver: resolver(t, "rebound.test=127.0.0.1", "mixed.test=127.0.0.1,::1")})
	for _, host := range []string{"rebound.test", "mixed.test"} {
		if _, err := c.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port)); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d hits", hits.Load())
	}
}

func TestDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv, hits := server(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+r.Host+"/again")
			w.WriteHeader(status)
		})
		resp, err := get(t, client(t, outbound.Options{Allow: []string{"127.0.0.1"}}), srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status || hits.Load() != 1 {
			t.Errorf("%d: got %d after %d requests", status, resp.StatusCode, hits.Load())
		}
	}
}

func TestBoundsAnswers(t *testing.T) {
	t.Parallel()
	c := client(t, outbound.Options{Allow: []string{"127.0.0.1"}})
	endless := func(w io.Writer) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"endless body": func(w http.ResponseWriter, _ *http.Request) { endless(w) },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			endless(gzip.NewWriter(w))
		},
	} {
		srv, _ := server(t, handler)
		resp, err := get(t, c, srv.URL)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := outbound.ReadBody(resp, 0)
		if err != nil || len(body) != outbound.DefaultBody {
			t.Errorf("%s: kept %d bytes, %v", name, len(body), err)
		}
	}
	srv, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	if _, err := get(t, c, srv.URL); err == nil {
		t.Error("a header of 1 MB was accepted")
	}
}

func TestUsesOneConnectionAgain(t *testing.T) {
	t.Parallel()
	srv, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	var connections atomic.Int32
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	c := client(t, outbound.Options{Allow: []string{"127.0.0.1"}})
	for range 5 {
		resp, err := get(t, c, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := outbound.ReadBody(resp, 0); err != nil || string(body) != "ok" {
			t.Fatal(string(body), err)
		}
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for 5 requests one after another", connections.Load())
	}
}

func TestVerifiesTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports every refused handshake
	srv.StartTLS()
	t.Cleanup(srv.Close)
	allow := []string{"127.0.0.1", "sink.test"}
	_, err := get(t, client(t, outbound.Options{Allow: allow}), srv.URL)
	if _, retry := fault.Retryable(outbound.Classify(err)); retry || !strings.Contains(fault.Of(outbound.Classify(err)).Message, "certificate") {
		t.Errorf("self-signed: %v", outbound.Classify(err))
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := client(t, outbound.Options{Allow: allow, RootCAs: roots, Resolver: resolver(t, "sink.test=127.0.0.1")})
	if resp, err := get(t, c, srv.URL); err != nil {
		t.Errorf("trusted: %v", err)
	} else {
		resp.Body.Close()
	}
	if _, err := get(t, c, strings.Replace(srv.URL, "127.0.0.1", "sink.test", 1)); err == nil {
		t.Error("a certificate for another name was accepted")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	names := resolver(t, "broken.test=servfail")
	c := client(t, outbound.Options{Allow: []string{"127.0.0.1"}, Resolver: names})
	cut, _ := server(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	hang, _ := server(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	refused, _ := server(t, nil)
	refusedURL := refused.URL
	refused.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	gone, cancel2 := context.WithCancel(t.Context())
	cancel2()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		url     string
		message string
		retry   bool
	}{
		{"refused", t.Context(), refusedURL, "The target cannot be reached.", true},
		{"closed without an answer", t.Context(), cut.URL, "The target cannot be reached.", true},
		{"timeout", short, hang.URL, "The target timed out.", true},
		{"unknown name", t.Context(), "http://nowhere.test", "The target cannot be reached: its name does not exist. Check the spelling.", false},
		{"broken name service", t.Context(), "http://broken.test", "The target cannot be reached.", true},
		{"cancelled", gone, hang.URL, "internal error", false},
	} {
		req, err := http.NewRequestWithContext(tt.ctx, "GET", tt.url+"/T0KEN", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.HTTP().Do(req)
		err = outbound.Classify(err)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if _, retry := fault.Retryable(err); retry != tt.retry || fault.Of(err).Message != tt.message {
			t.Errorf("%s: retry %v, %q (%v)", tt.name, retry, fault.Of(err).Message, err)
		}
		if strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: the URL is in the error: %v", tt.name, err)
		}
	}
	if err := outbound.Classify(&url.Error{URL: "https://x/T0KEN", Err: context.Canceled}); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "T0KEN") {
		t.Errorf("cancelled: %v", err)
	}
	if outbound.Classify(nil) != nil {
		t.Error("an error was made of nil")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "99999999999": time.Hour, "1.5": 0,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "Sun, 22 Nov 2099 11:00:00 GMT": time.Hour,
	} {
		if got := outbound.RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func get(t *testing.T, c *outbound.Client, target string) (*http.Response, error) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return c.HTTP().Do((&http.Request{Method: "GET", URL: u, Header: http.Header{}}).WithContext(t.Context()))
}

func server(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var hits atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hits.Add(1); handler(w, r) }))
	t.Cleanup(srv.Close)
	return srv, &hits
}

// resolver asks a name server of its own: "name=address,address" or "name=servfail"; other names do not exist.
func resolver(t *testing.T, records ...string) *net.Resolver {
	t.Helper()
	zone := map[string]string{}
	for _, r := range records {
		name, value, _ := strings.Cut(r, "=")
		zone[name] = value
	}
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(answer(buf[:n], zone), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// answer is a name server in thirty lines (RFC 1035, one question, no compression but the name's).
func answer(query []byte, zone map[string]string) []byte {
	var labels []string
	end := 12
	for query[end] != 0 {
		length := int(query[end])
		labels = append(labels, string(query[end+1:end+1+length]))
		end += 1 + length
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	question := query[12 : end+5]
	value, found := zone[strings.ToLower(strings.Join(labels, "."))]
	flags := uint16(0x8180)
	var records [][]byte
	switch {
	case !found:
		flags |= 3
	case value == "servfail":
		flags |= 2
	default:
		for text := range strings.SplitSeq(value, ",") {
			ip := netip.MustParseAddr(text)
			if (kind == 1 && ip.Is4()) || (kind == 28 && ip.Is6()) {
				data := ip.AsSlice()
				r := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, kind)
				r = append(r, 0, 1, 0, 0, 0, 0, 0, byte(len(data)))
				records = append(records, append(r, data...))
			}
		}
	}
	out := append([]byte{}, query[:2]...)
	out = binary.BigEndian.AppendUint16(out, flags)
	out = append(out, 0, 1, 0, byte(len(records)), 0, 0, 0, 0)
	out = append(out, question...)
	for _, r := range records {
		out = append(out, r...)
	}
	return out
}
