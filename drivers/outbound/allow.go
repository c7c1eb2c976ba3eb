package outbound

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"code.dny.dev/ssrf"
)

// public knows every range of the IANA special-purpose registries.
var public = ssrf.New(ssrf.WithAnyPort())

// metadata are addresses at which clouds hand out credentials to whoever asks from inside.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true, // AWS, GCP, Azure, OpenStack, DigitalOcean, Oracle
	netip.MustParseAddr("169.254.170.2"):   true, // AWS ECS
	netip.MustParseAddr("169.254.170.23"):  true, // AWS EKS
	netip.MustParseAddr("169.254.0.23"):    true, // Tencent
	netip.MustParseAddr("169.254.42.42"):   true, // Scaleway
	netip.MustParseAddr("168.63.129.16"):   true, // Azure's wire server; a public address
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("fd00:ec2::23"):    true, // AWS EKS
	netip.MustParseAddr("fd20:ce::254"):    true, // GCP
}

// behindNAT64 returns the IPv4 address that a NAT64 gateway would connect to for ip.
func behindNAT64(ip netip.Addr) (netip.Addr, bool) {
	if !ssrf.IPv6NAT64Prefix.Contains(ip) {
		return netip.Addr{}, false
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}

// allowList is what an administrator allows beyond the public internet.
type allowList struct {
	ranges []netip.Prefix
	exact  map[netip.AddrPort]bool // port 0: any port
	names  map[string]bool         // "host" or "host:port"
}

func parseAllow(entries []string) (allowList, error) {
	a := allowList{exact: map[netip.AddrPort]bool{}, names: map[string]bool{}}
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			if prefix.IsSingleIP() {
				a.exact[netip.AddrPortFrom(prefix.Addr().Unmap(), 0)] = true
			} else {
				a.ranges = append(a.ranges, prefix.Masked())
			}
			continue
		}
		if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			a.exact[netip.AddrPortFrom(ip.Unmap(), 0)] = true
			continue
		}
		if target, err := netip.ParseAddrPort(entry); err == nil {
			a.exact[netip.AddrPortFrom(target.Addr().Unmap(), target.Port())] = true
			continue
		}
		host, port := entry, ""
		if h, p, err := net.SplitHostPort(entry); err == nil {
			host, port = h, p
		}
		if !validName(host) || (port != "" && !validPort(port)) {
			return allowList{}, fmt.Errorf("allowed private target %q is not a CIDR, an address, a host name or host:port", entry)
		}
		a.names[nameKey(host, port)] = true
	}
	return a, nil
}

func (a allowList) name(host, port string) bool {
	return a.names[nameKey(host, "")] || a.names[nameKey(host, port)]
}

func (a allowList) inRange(ip netip.Addr) bool {
	for _, prefix := range a.ranges {
		if prefix.Contains(ip.WithZone("")) {
			return true
		}
	}
	return false
}

func nameKey(host, port string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if port == "" {
		return host
	}
	return host + ":" + port
}

func validName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	// A name of digits only is a mistyped address or range, never what an administrator means.
	return strings.Trim(host, "0123456789.") != ""
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
