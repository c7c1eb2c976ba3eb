// Package outbound is the one way out of the program: a dialer that refuses private, special and
// metadata addresses, and the HTTP client made from it. Everything that dials a target which a
// user can choose (webhooks, SMTP, AI endpoints, health checks) goes through a [Client].
//
// The address is checked after name resolution, on every connection attempt, so neither odd
// spellings of an address nor a name that changes its mind reach anything that is not allowed.
// Callers give every request a context with a deadline and read answers with [ReadBody].
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"penstock/fault"
)

// Options of a [Client]. The zero value blocks everything that is not public.
type Options struct {
	// Allow lists targets that may be reached although they are not public: CIDRs, addresses,
	// names, and addresses or names with a port (PENSTOCK_ALLOW_PRIVATE_TARGETS). A name allows
	// whatever it resolves to at the time of the call. Metadata services stay blocked, also inside
	// an allowed range or behind an allowed name, unless their very address is listed.
	Allow []string
	// RootCAs verify TLS servers; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
}

// Client dials guarded connections. It is safe for concurrent use; one is shared by the program.
type Client struct {
	allow    allowList
	resolver *net.Resolver
	http     *http.Client
}

// New checks the allow-list and makes a client. Its error names the entry that cannot be read.
func New(o Options) (*Client, error) {
	allow, err := parseAllow(o.Allow)
	if err != nil {
		return nil, err
	}
	c := &Client{allow: allow, resolver: o.Resolver}
	c.http = &http.Client{
		Transport: recorder{&http.Transport{
			Proxy:                  nil, // a proxy would resolve names where nothing checks them
			DialContext:            c.DialContext,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs},
			TLSHandshakeTimeout:    10 * time.Second,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           512,
			MaxIdleConnsPerHost:    64, // many small POSTs to one receiver
			MaxResponseHeaderBytes: 64 << 10,
		}},
		// Go would carry credential headers and the body to wherever the answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// HTTP returns the shared HTTP client: no proxy, TLS verified, redirects returned and not followed.
func (c *Client) HTTP() *http.Client { return c.http }

// DialContext connects to addr ("host:port") if every rule allows the address it resolves to.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unprocessable, "The target is not a host and a port.")
	}
	byName := c.allow.name(host, port)
	dialer := net.Dialer{
		Timeout:  10 * time.Second,
		Resolver: c.resolver,
		Control: func(network, address string, _ syscall.RawConn) error {
			return c.allow.check(network, address, byName)
		},
	}
	return dialer.DialContext(ctx, network, addr)
}

// check decides about one attempt; address is what will really be dialled (an IPv4-mapped address
// arrives here as the IPv4 address that it is).
func (a allowList) check(network, address string, byName bool) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return blocked()
	}
	if a.exact[target] || a.exact[netip.AddrPortFrom(target.Addr(), 0)] {
		return nil
	}
	ip := target.Addr()
	if embedded, ok := behindNAT64(ip); ok && a.check("tcp4", netip.AddrPortFrom(embedded, target.Port()).String(), byName) != nil {
		return blocked()
	}
	if metadata[ip.WithZone("")] {
		return blocked()
	}
	if byName || a.inRange(ip) || public.SafeAddr(ip) == nil {
		return nil
	}
	return blocked()
}

func blocked() error {
	return fault.New(fault.Forbidden, "The target is not allowed (blocked).")
}
