package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

// MarshalDateTime writes a time in UTC, at most microseconds; the zero time is null.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	if t.IsZero() {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = w.Write(appendDateTime(make([]byte, 0, len(time.RFC3339Nano)+2), t))
	})
}

func appendDateTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return append(t.UTC().Truncate(time.Microsecond).AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// UnmarshalDateTime reads RFC 3339.
func UnmarshalDateTime(v any) (time.Time, error) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "A DateTime is RFC 3339 with an offset, for example \"2026-11-22T20:15:30Z\".")
	}
	return t.UTC(), nil
}

// MarshalDuration writes ISO 8601.
func MarshalDuration(d time.Duration) graphql.Marshaler { return graphql.MarshalDuration(d) }

// UnmarshalDuration reads it.
func UnmarshalDuration(v any) (time.Duration, error) {
	text, _ := v.(string)
	d, err := graphql.UnmarshalDuration(text)
	switch {
	case err != nil:
		return 0, fault.New(fault.Invalid, "A Duration is ISO 8601, for example \"PT1M30S\" or \"P90D\".")
	case d < 0 && !strings.HasPrefix(text, "-"):
		return 0, fault.New(fault.Invalid, "The Duration is longer than 290 years.")
	}
	return d, nil
}

// MarshalJSON writes stored JSON as it is, but on one line, as streams need it.
func MarshalJSON(raw json.RawMessage) graphql.Marshaler {
	if len(raw) == 0 {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) {
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			panic(fmt.Errorf("stored JSON: %w", err))
		}
		_, _ = w.Write(b.Bytes())
	})
}

// UnmarshalJSON takes the text of a variable (see keepJSON) or a literal of the document.
func UnmarshalJSON(v any) (json.RawMessage, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	if raw, ok := literal(v); ok {
		_, err := strictjson.Decode(raw) // as the body with the variables was
		return raw, err
	}
	raw, err := json.Marshal(withLists(v))
	if err != nil {
		return nil, fmt.Errorf("encode JSON literal: %w", err)
	}
	return raw, nil
}

// withLists copies a literal of the document that has variables in it, where an empty list is a nil slice, which would be null.
func withLists(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = withLists(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, value := range v {
			object[key] = withLists(value)
		}
		return object
	case string:
		if raw, ok := literal(v); ok {
			return raw
		}
	}
	return v
}

// MarshalStringMap writes labels and tags; none are an empty object.
func MarshalStringMap(m map[string]string) graphql.Marshaler {
	if m == nil {
		m = map[string]string{}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return MarshalJSON(raw)
}

// UnmarshalStringMap reads an object of strings.
func UnmarshalStringMap(v any) (map[string]string, error) {
	raw, err := UnmarshalJSON(v)
	if err != nil {
		return nil, err
	}
	var m map[string]string
	if json.Unmarshal(raw, &m) != nil {
		return nil, fault.New(fault.Invalid, "This must be an object of strings, for example {\"team\": \"db\"}.")
	}
	return m, nil
}

// MarshalLowerCase writes an enum that records hold as text in lower case.
func MarshalLowerCase(status string) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(status))
}

// UnmarshalLowerCase reads it; validation has seen to it that it is one of the values.
func UnmarshalLowerCase(v any) (string, error) {
	text, err := graphql.UnmarshalString(v)
	return strings.ToLower(text), err
}

// orNull is for nullable fields whose record holds "" for nothing.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
