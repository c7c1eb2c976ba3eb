package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"penstock/fault"
)

// hosts are the names under which a listener may be addressed. Without the list a page of another
// site could give its own name this server's address, and browsers would let it read the answers.
type hosts struct {
	names    map[string]bool
	loopback bool // the listener is reachable from this machine only
}

func newHosts(l net.Listener, publicURL string, further []string) (hosts, error) {
	h := hosts{names: map[string]bool{}, loopback: loopback(l)}
	if publicURL != "" {
		u, err := url.Parse(publicURL)
		if err != nil || u.Hostname() == "" {
			return hosts{}, fault.New(fault.Invalid, "The public URL %q is not an absolute URL, for example https://penstock.example.com.", publicURL)
		}
		h.names[strings.ToLower(u.Hostname())] = true
	}
	for _, name := range further {
		h.names[strings.ToLower(strings.TrimSpace(name))] = true
	}
	if !h.loopback {
		if name, err := os.Hostname(); err == nil {
			h.names[strings.ToLower(name)] = true
		}
	}
	return h, nil
}

// check refuses a Host header that does not name this server. An address cannot be rebound to
// another, so on an open listener every address is taken.
func (h hosts) check(host string) *fault.Error {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" || h.names[name] {
		return nil
	}
	if addr, err := netip.ParseAddr(name); err == nil && (!h.loopback || addr.Unmap().IsLoopback()) {
		return nil
	}
	return fault.New(fault.Invalid, "This server is not known under the name of the request's Host header. Administrators set PENSTOCK_PUBLIC_URL or PENSTOCK_ALLOWED_HOSTS.")
}

// loopback reports whether a listener takes connections of this machine only; a server without a
// listener (in tests) counts as one.
func loopback(l net.Listener) bool {
	if l == nil {
		return true
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// newOrigins protects against requests that pages of other sites make a browser send.
func newOrigins(publicURL string) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	if publicURL == "" {
		return p, nil
	}
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, err
	}
	return p, p.AddTrustedOrigin(u.Scheme + "://" + u.Host) // behind a proxy that changes Host
}
