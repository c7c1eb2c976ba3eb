package alerts

import (
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Text returns a JSON text, number or boolean as text without spaces around it; ok is false for
// everything else. nil is the empty text.
func Text(value any) (text string, ok bool) {
	switch value := value.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(value), true
	case json.Number:
		return string(value), true
	case bool:
		return strconv.FormatBool(value), true
	}
	return "", false
}

// Time reads RFC 3339 text or a Unix time in seconds, milli-, micro- or nanoseconds, told apart by size.
// It returns UTC, cut to microseconds. Nothing, empty text, 0 and the year 1 (Go's zero time, which
// Alertmanager and Grafana send while an alert fires) are the zero time; ok is false for what is no time.
func Time(value any) (t time.Time, ok bool) {
	text, ok := Text(value)
	if _, isBool := value.(bool); !ok || isBool {
		return time.Time{}, false
	}
	if text == "" {
		return time.Time{}, true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		t = t.UTC().Truncate(time.Microsecond)
		if t.Year() <= 1 {
			return time.Time{}, true
		}
		return t, t.Year() <= 9999
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= 0) {
		return time.Time{}, false
	}
	if number == 0 {
		return time.Time{}, true
	}
	for unit := 1e6; unit > 1e-4; unit /= 1e3 { // microseconds in a second, a millisecond, …
		if number*unit < 1e17 { // the year 5138
			return time.UnixMicro(int64(math.Round(number * unit))).UTC(), true
		}
	}
	return time.Time{}, false
}

const maxURL = 8 << 10

// webURL reports whether address is a whole http or https address that may be shown as a link. One that
// carries a password is not.
func webURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && len(address) <= maxURL
}

// firstText returns the first text that is not empty.
func firstText(texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
	return ""
}
