package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"penstock/drivers"
	"penstock/drivers/outbound"
	"penstock/fault"
)

// Post is one JSON request to a receiver.
type Post struct {
	Method  string // "" is POST
	URL     string
	Path    string // what may be shown of the address behind the host; "" for none of it, it may be a secret
	Header  http.Header
	Body    any
	Key     string           // idempotency key, sent as Idempotency-Key
	Secrets []drivers.Secret // what the receipt and the error must not contain, even if the receiver repeats it
}

// Do sends p and reads at most 64 KiB of the answer. The receipt is filled when there was an
// answer. The error is nil for 2xx only, and marked for retry as [Driver] demands; a driver for
// which 2xx is not yet success looks at the body itself.
func (d Deps) Do(ctx context.Context, p Post) (Receipt, []byte, error) {
	payload, err := EncodeJSON(p.Body)
	if err != nil {
		return Receipt{}, nil, fmt.Errorf("encode request: %w", err)
	}
	method := p.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(payload))
	if err != nil {
		return Receipt{}, nil, outbound.Classify(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Penstock")
	for name, values := range p.Header {
		req.Header[name] = values
	}
	if p.Key != "" {
		// Spelled so that net/http does not know it: it repeats requests with an Idempotency-Key by
		// itself when a kept connection breaks, and an attempt must be one request. Names of
		// headers have no case, receivers see no difference.
		req.Header["idempotency-key"] = []string{headerKey(p.Key)}
	}
	receipt := Receipt{Request: fmt.Sprintf("%s %s%s, %d bytes", method, req.URL.Host, cmp.Or(p.Path, "/…"), len(payload))}
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return receipt, nil, outbound.Classify(err)
	}
	// When reading fails after the status has come, the status still says what happened.
	body, readErr := outbound.ReadBody(resp, 0)
	receipt.Status, receipt.Response = resp.StatusCode, Excerpt(body, p.Secrets...)
	if resp.StatusCode/100 == 2 {
		return receipt, body, nil
	}
	err = d.refused(resp, receipt.Response)
	if readErr != nil {
		err = fmt.Errorf("%w (reading the answer: %w)", err, outbound.Classify(readErr))
	}
	return receipt, body, err
}

// refused is the error for an answer that is not 2xx.
func (d Deps) refused(resp *http.Response, answer string) error {
	status := resp.StatusCode
	said := ""
	if line := Cut(OneLine(answer), 200); line != "" {
		said = ": " + line
	}
	switch {
	case status/100 == 3:
		return fault.New(fault.Unprocessable, "The receiver answered with a redirect (%d), which is not followed. Set the final address.", status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Wrap(ErrCredentials, fault.Unprocessable, "The receiver refused the credentials (%d)%s", status, said)
	case status == http.StatusMethodNotAllowed || status == http.StatusGone:
		return fault.New(fault.Unprocessable, "The receiver takes no messages at this address (%d)%s", status, said)
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests || status/100 == 5:
		after := outbound.RetryAfter(resp.Header, d.Now())
		f := fault.New(fault.Unavailable, "The receiver could not take the message now (%d)%s", status, said)
		f.After = after
		return fault.Retry(f, after)
	}
	return fault.Wrap(ErrRefused, fault.Unprocessable, "The receiver refused the message (%d)%s", status, said)
}

// EncodeJSON is JSON as receivers want it: without HTML escapes.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// headerKey makes the key fit into a header without losing that it is the same on every attempt.
func headerKey(key string) string {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			sum := sha256.Sum256([]byte(key))
			return hex.EncodeToString(sum[:])
		}
	}
	return key
}

// CheckURL refuses, by the name of the setting, what is not an http(s) address. The address itself
// is not in the error: it may be a password.
func CheckURL(setting, address string) error {
	u, err := url.Parse(address)
	message := ""
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		message = "must be a full http or https address, like https://host/path."
	case u.User != nil:
		message = "must not contain a user name or password."
	default:
		return nil
	}
	return BadSetting(setting, message)
}

// BadSetting is the error of a Build for a setting that the schema cannot refuse.
func BadSetting(setting, message string) error {
	f := fault.New(fault.Unprocessable, "%s %s", setting, message)
	f.Fields = map[string]string{drivers.Pointer(setting): message}
	return f
}
