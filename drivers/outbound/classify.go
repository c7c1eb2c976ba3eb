package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"penstock/fault"
)

// Classify marks the error of a dial or a request: what a user may read, and with [fault.Retry]
// whether trying again may help. What the user reads is the same for a closed port, a wrong banner
// and a broken connection, so that a target cannot be scanned through its errors; the cause is
// kept for the log, without the URL, which may be a password. A cancelled context stays what it
// is, unmarked, as does an error that is already marked.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	for { // the innermost error without its URL; net/http wraps exactly once, callers may wrap again
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = u.Err
	}
	if _, marked := errors.AsType[*fault.Error](err); marked {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fault.Wrap(err, fault.Unprocessable, "The target cannot be reached: its name does not exist. Check the spelling.")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.Wrap(err, fault.Unprocessable, "The TLS certificate of the target is not valid for it: expired, for another name, or from an unknown authority.")
	}
	if timeout(err) {
		return fault.Retry(fault.Wrap(err, fault.Unavailable, "The target timed out."), 0)
	}
	return fault.Retry(fault.Wrap(err, fault.Unavailable, "The target cannot be reached."), 0)
}

func timeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// DefaultBody is how much of an answer [ReadBody] keeps when no limit is given.
const DefaultBody = 64 << 10

// ReadBody returns at most limit bytes (zero: [DefaultBody]) of the answer, counted after
// decompression, and closes it. A shorter answer is read to its end, so the connection is used
// again; a longer one costs the connection, not memory. With an error comes what was read.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if limit <= 0 {
		limit = DefaultBody
	}
	return io.ReadAll(io.LimitReader(resp.Body, limit))
}

// maxRetryAfter bounds what a receiver can ask for.
const maxRetryAfter = time.Hour

// RetryAfter reads the Retry-After header (seconds or a date): zero if there is none or it is in
// the past, one hour at most.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
