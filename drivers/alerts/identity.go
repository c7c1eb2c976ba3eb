package alerts

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// hostLabels name the host that an alert is about, best first.
var hostLabels = []string{"host", "hostname", "nodename", "node", "server", "machine", "instance", "pod"}

// Host returns the host identity found in labels, or "": the first of host, hostname, nodename, node,
// server, machine, instance and pod, as [HostName] writes it.
func Host(labels map[string]string) string {
	for _, label := range hostLabels {
		if host := HostName(labels[label]); host != "" {
			return host
		}
	}
	return ""
}

// HostName takes scheme, user, path and port off: "https://web-1:8443/health" is "web-1", "[::1]:9100"
// is "::1". An IPv6 address without brackets is kept whole.
func HostName(text string) string {
	text = oneLine(text)
	if strings.Contains(text, "://") {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			return u.Hostname()
		}
	}
	text, _, _ = strings.Cut(text, "/")
	if _, err := netip.ParseAddr(text); err == nil {
		return text
	}
	if host, port, err := net.SplitHostPort(text); err == nil && strings.Trim(port, "0123456789") == "" {
		return host
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return text
}

// maxFingerprint is in bytes; a longer one from a source is hashed.
const maxFingerprint = 128

// Fingerprint identifies an alert by its labels when the source has no fingerprint of its own: 16 hex
// digits over the source's name and the labels, whatever their order. Labels that change while the
// problem stays the same are left out (see identifies), or the alert would never resolve.
func Fingerprint(source string, labels map[string]string) string {
	parts := []string{source}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if identifies(label) {
			parts = append(parts, label, labels[label])
		}
	}
	return hash(parts...)
}

// identifies reports whether a label says which problem it is, and not how bad it is at the moment, what
// was measured, or which of two equal Prometheus servers noticed.
func identifies(label string) bool {
	if strings.HasPrefix(label, "__") {
		return false
	}
	switch strings.ReplaceAll(strings.ToLower(label), "_", "") {
	case "severity", "priority", "level", "status", "state",
		"value", "values", "valuestring", "currentvalue", "lastvalue", "metricvalue",
		"timestamp", "time", "date", "startsat", "endsat",
		"summary", "description", "message", "prometheusreplica":
		return false
	}
	return true
}

// hash never mixes two lists up: no text holds a NUL.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
