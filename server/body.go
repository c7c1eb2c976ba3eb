package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

const (
	maxBody  = 1 << 20
	bodyTime = 10 * time.Second // for the whole body to arrive

	defaultWait = 30 * time.Second
	maxWait     = 60 * time.Second
)

// readBody returns the body of a JSON request: at most 1 MiB, within ten seconds, not encoded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := checkContent(r); err != nil {
		return nil, err
	}
	conn := http.NewResponseController(w)
	if err := conn.SetReadDeadline(time.Now().Add(bodyTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	body, err := []byte(nil), error(&http.MaxBytesError{Limit: maxBody})
	if r.ContentLength <= maxBody {
		body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	}
	if err == nil {
		_ = conn.SetReadDeadline(time.Time{})
		return body, nil
	}
	w.Header().Set("Connection", "close") // nobody reads the rest
	_ = conn.SetReadDeadline(time.Now())
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, fault.New(fault.TooLarge, "The body is larger than 1 MiB.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The sender may be slow or the network bad: nothing a person must fix, so it may try again.
		return nil, fault.Wrap(err, fault.Unavailable, "The body did not arrive within %s.", bodyTime)
	}
	return nil, fault.Wrap(err, fault.Invalid, "The body cannot be read to its end.")
}

// checkContent takes JSON in UTF-8 only. A form or plain text could come from a page of another site.
func checkContent(r *http.Request) error {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return fault.New(fault.Unsupported, "The body is encoded (%q); send it as it is.", enc)
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil || !isJSON {
		return fault.New(fault.Unsupported, "The body must be JSON: send \"Content-Type: application/json\".")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return fault.New(fault.Unsupported, "JSON is UTF-8; the charset %q is not.", charset)
	}
	return nil
}

// readJSON decodes the body strictly into the value that into points at.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	return strictjson.Unmarshal(body, into)
}

// hasBody reports whether the request brings a body, where one is optional.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// patience is how long the caller wants the answer to wait for a run's result.
type patience struct {
	wait  time.Duration
	asked bool // the caller said so
	async bool // Prefer: respond-async
}

// readPatience reads ?wait=30s (or seconds) and Prefer: wait=30, respond-async (RFC 7240).
func readPatience(r *http.Request) (patience, error) {
	var p patience
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				p.async = true
			case "wait":
				if seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31); err == nil {
					p.wait, p.asked = time.Duration(seconds)*time.Second, true
				} // a preference that is not understood is ignored (RFC 7240)
			}
		}
	}
	if text := r.URL.Query().Get("wait"); text != "" {
		d, err := time.ParseDuration(text)
		if seconds, secondsErr := strconv.ParseUint(text, 10, 31); secondsErr == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d < 0 {
			return p, fault.New(fault.Invalid, "wait=%q is not a duration such as 30s.", text)
		}
		p.wait, p.asked, p.async = d, true, false
	}
	p.wait = min(p.wait, maxWait)
	return p, nil
}
