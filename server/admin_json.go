package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// pretty lays JSON out for reading: two spaces per level, short lists and objects of plain values on
// one line, numbers and the order of keys as they are. What is not JSON is returned as it is.
func pretty(raw []byte) string {
	if len(bytes.TrimSpace(raw)) == 0 {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b strings.Builder
	if err := layOut(d, &b, "\n"); err != nil {
		return string(raw)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return string(raw)
	}
	return b.String()
}

const lineWidth = 90

// layOut writes the next value of d; newline is a line end with the indentation of the value.
func layOut(d *json.Decoder, b *strings.Builder, newline string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return scalar(b, t)
	}
	shut := map[json.Delim]string{'{': "}", '[': "]"}[open]
	inner := newline + "  "
	var parts []string
	short, length := true, len(newline)
	for d.More() {
		var part strings.Builder
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if err := scalar(&part, key); err != nil {
				return err
			}
			part.WriteString(": ")
		}
		if err := layOut(d, &part, inner); err != nil {
			return err
		}
		text := part.String()
		short = short && !strings.Contains(text, "\n")
		length += len(text) + 2
		parts = append(parts, text)
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	b.WriteByte(byte(open))
	if short && length <= lineWidth {
		b.WriteString(strings.Join(parts, ", "))
	} else {
		b.WriteString(inner + strings.Join(parts, ","+inner) + newline)
	}
	b.WriteString(shut)
	return nil
}

func scalar(b *strings.Builder, t json.Token) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		return err
	}
	text := strings.TrimSuffix(b.String(), "\n")
	b.Reset()
	b.WriteString(text)
	return nil
}

// lineOf is the line of text, from 1, on which the value is that a JSON pointer leads to, or the
// nearest thing around it that is there; 0 if text does not begin as JSON.
func lineOf(text []byte, pointer string) int {
	d := json.NewDecoder(bytes.NewReader(text))
	at := int64(0)
	for _, step := range strings.Split(pointer, "/")[1:] {
		open, err := d.Token()
		if err != nil {
			break
		}
		place, ok := seek(d, open, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		if !ok {
			break
		}
		at = place
	}
	rest := bytes.TrimLeft(text[at:], " \t\r\n,")
	if len(rest) == 0 {
		return 0
	}
	return 1 + bytes.Count(text[:len(text)-len(rest)], []byte("\n"))
}

// seek moves d to the value of a member of the container that open began, and returns where the
// member begins.
func seek(d *json.Decoder, open json.Token, step string) (place int64, ok bool) {
	if open != json.Delim('{') && open != json.Delim('[') {
		return 0, false
	}
	for i := 0; d.More(); i++ {
		place, name := d.InputOffset(), strconv.Itoa(i)
		if open == json.Delim('{') {
			key, err := d.Token()
			if err != nil {
				return 0, false
			}
			name, _ = key.(string)
		}
		if name == step {
			return place, true
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return 0, false
		}
	}
	return 0, false
}

// syntaxLine is the line on which text stops being JSON; 0 if it is JSON.
func syntaxLine(text []byte) int {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	if err == nil {
		return 0
	}
	at := len(text)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = min(int(e.Offset), at)
	}
	return 1 + bytes.Count(text[:max(at-1, 0)], []byte("\n"))
}
