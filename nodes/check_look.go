package nodes

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"penstock/drivers/outbound"
	"penstock/fault"
	"penstock/nodes/host"
)

// measure reads one metric of this machine.
func measure(ctx context.Context, d Deps, metric, path string) (map[string]any, error) {
	s, err := d.Measure(ctx, host.Want{Include: []string{metric}, Paths: []string{path}})
	if err != nil {
		return nil, err
	}
	if len(s.Failed) > 0 {
		return nil, fault.New(fault.Unavailable, "%s", s.Failed[0])
	}
	figures, _ := s.System[metric].(map[string]any)
	return figures, nil
}

func figureOf(figures map[string]any, key string) float64 {
	f, _ := figures[key].(float64)
	return f
}

func lookAtCPU(ctx context.Context, d Deps, _ checkItem) (found, error) {
	m, err := measure(ctx, d, "cpu", "/")
	percent := figureOf(m, "percent")
	return found{value: percent, subject: "CPU is at", metrics: map[string]any{"percent": percent}}, err
}

func lookAtMemory(ctx context.Context, d Deps, _ checkItem) (found, error) {
	m, err := measure(ctx, d, "memory", "/")
	return found{value: figureOf(m, "percent"), subject: "Memory is at", metrics: m}, err
}

// lookAtDisk is for disk and inodes.
func lookAtDisk(ctx context.Context, d Deps, c checkItem) (found, error) {
	path := cmp.Or(c.Path, "/")
	m, err := measure(ctx, d, c.Type, path)
	subject := "The disk of " + path + " is at"
	if c.Type == "inodes" {
		subject = "The inodes of " + path + " are at"
	}
	return found{value: figureOf(m, "percent"), subject: subject, metrics: m}, err
}

func lookAtLoad(ctx context.Context, d Deps, _ checkItem) (found, error) {
	m, err := measure(ctx, d, "load", "/")
	if err != nil {
		return found{}, err
	}
	each := math.Round(figureOf(m, "load5")/float64(runtime.NumCPU())*100) / 100
	return found{value: each, subject: "The load of each processor is", metrics: map[string]any{
		"load1": m["load1"], "load5": m["load5"], "load15": m["load15"], "per_processor": each, "processors": runtime.NumCPU(),
	}}, nil
}

func lookForProcess(ctx context.Context, d Deps, c checkItem) (found, error) {
	n, err := d.CountProcesses(ctx, c.Process)
	if err != nil {
		return found{}, fault.Wrap(err, fault.Unavailable, "The processes cannot be listed.")
	}
	return found{value: float64(n), subject: "Running processes " + c.Process + ":", metrics: map[string]any{"process": c.Process, "count": n}}, nil
}

// unreached says what an error of the way to a target means: critical, or not to be told.
func unreached(err error, metrics map[string]any) (found, error) {
	err = outbound.Classify(err)
	if fault.Is(err, fault.Forbidden) {
		return found{}, fault.Wrap(err, fault.Forbidden, "%s An administrator can allow it with PENSTOCK_ALLOW_PRIVATE_TARGETS.", fault.Of(err).Message)
	}
	return found{down: fault.Of(err).Message, metrics: metrics}, nil
}

func milliseconds(since time.Time) float64 {
	return math.Round(float64(time.Since(since).Microseconds())/100) / 10
}

func lookAtHTTP(ctx context.Context, d Deps, c checkItem) (found, error) {
	metrics := map[string]any{"host": hostOf(c.URL)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return found{}, fault.New(fault.Unprocessable, "The URL cannot be read.")
	}
	req.Header.Set("User-Agent", "Penstock")
	began := time.Now()
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return unreached(err, metrics)
	}
	body, err := outbound.ReadBody(resp, 0)
	if err != nil {
		return unreached(err, metrics)
	}
	took := milliseconds(began)
	metrics["status_code"], metrics["duration_ms"] = resp.StatusCode, took
	f := found{value: took, subject: fmt.Sprintf("Answered %d in", resp.StatusCode), metrics: metrics}
	well := resp.StatusCode >= 200 && resp.StatusCode < 400
	if c.ExpectStatus != nil {
		well = slices.Contains(c.ExpectStatus, resp.StatusCode)
	}
	switch {
	case !well:
		f.down = fmt.Sprintf("Answered with the status %d.", resp.StatusCode)
	case c.Contains != "" && !bytes.Contains(body, []byte(c.Contains)):
		f.down = fmt.Sprintf("Answered %d, but without the expected text.", resp.StatusCode)
	}
	return f, nil
}

func lookAtTCP(ctx context.Context, d Deps, c checkItem) (found, error) {
	metrics, began := map[string]any{"address": address(c)}, time.Now()
	conn, err := d.Dial(ctx, "tcp", address(c))
	if err != nil {
		return unreached(err, metrics)
	}
	metrics["duration_ms"] = milliseconds(began)
	_ = conn.Close()
	return found{value: metrics["duration_ms"].(float64), subject: "Connected in", metrics: metrics}, nil
}

func lookAtDNS(ctx context.Context, d Deps, c checkItem) (found, error) {
	metrics, began := map[string]any{"host": c.Host}, time.Now()
	addresses, err := d.Lookup(ctx, c.Host)
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
		return found{down: "The name does not exist.", metrics: metrics}, nil
	}
	if err != nil {
		return found{down: "The name cannot be resolved: no answer from the name server.", metrics: metrics}, nil
	}
	metrics["duration_ms"], metrics["addresses"] = milliseconds(began), addresses
	return found{value: metrics["duration_ms"].(float64), subject: "Resolved in", metrics: metrics}, nil
}

func lookAtCertificate(ctx context.Context, d Deps, c checkItem) (found, error) {
	metrics := map[string]any{"address": address(c)}
	conn, err := d.Dial(ctx, "tcp", address(c))
	if err != nil {
		return unreached(err, metrics)
	}
	defer func() { _ = conn.Close() }()
	// The certificate is verified below: an invalid one is a result, with its dates. Nothing is sent.
	secure := tls.Client(conn, &tls.Config{ServerName: c.Host, InsecureSkipVerify: true}) // #nosec G402
	if err := secure.HandshakeContext(ctx); err != nil {
		return unreached(err, metrics)
	}
	chain := secure.ConnectionState().PeerCertificates
	leaf, between := chain[0], x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	days := math.Floor(time.Until(leaf.NotAfter).Hours() / 24)
	metrics["days_left"], metrics["not_after"] = int(days), leaf.NotAfter.UTC().Format(time.RFC3339)
	f := found{value: days, subject: "The certificate is valid for another", metrics: metrics}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: c.Host, Intermediates: between, Roots: d.Roots})
	invalid, known := errors.AsType[x509.CertificateInvalidError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	switch {
	case err == nil:
	case known && invalid.Reason == x509.Expired:
		f.down = fmt.Sprintf("The certificate is not valid now: it is for %s to %s.", leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly))
	case otherName:
		f.down = "The certificate is for another name."
	default:
		f.down = "The certificate is not from an authority that this machine trusts."
	}
	return f, nil
}

func address(c checkItem) string {
	return net.JoinHostPort(c.Host, strconv.Itoa(cmp.Or(c.Port, 443)))
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func machineName() string {
	name, _ := os.Hostname()
	return name
}
