package ai

import (
	"bytes"
	"encoding/json"
	"strings"
)

// reader follows the JSON of an answer while it arrives and gives out its summary and description
// as text, whole words at a time. It believes nothing: the answer is parsed when it is complete.
type reader struct {
	depth   int
	value   bool   // after the colon of a pair
	key     string // of the outermost object's pair at hand
	inText  bool
	escaped bool   // the last byte of the text at hand was a backslash
	raw     []byte // of the text at hand, as JSON, what is not given out yet
	out     strings.Builder
	fresh   bool // nothing of the text at hand was given out
	any     bool // something was given out
}

// add takes the next part of the answer and returns what people may read of it.
func (r *reader) add(part string) string {
	r.out.Reset()
	for _, c := range []byte(part) {
		switch {
		case r.escaped:
			r.raw, r.escaped = append(r.raw, c), false
		case r.inText && c != '"':
			r.raw, r.escaped = append(r.raw, c), c == '\\'
		case r.inText:
			r.endText()
		default:
			r.structure(c)
		}
	}
	// A space is never part of an escape sequence, so what is before it can be decoded.
	if space := bytes.LastIndexByte(r.raw, ' '); r.inText && r.shown() && space >= 0 {
		r.give(space + 1)
	}
	return r.out.String()
}

func (r *reader) structure(c byte) {
	switch c {
	case '"':
		r.inText, r.fresh, r.raw = true, true, r.raw[:0]
	case '{', '[':
		r.depth++
	case '}', ']':
		r.depth--
	case ':':
		r.value = true
	case ',':
		r.value = false
	}
}

func (r *reader) shown() bool {
	return r.depth == 1 && r.value && (r.key == "summary" || r.key == "description")
}

func (r *reader) endText() {
	r.inText = false
	switch {
	case r.shown():
		r.give(len(r.raw))
	case r.depth == 1 && !r.value:
		r.key = string(r.raw)
	}
}

func (r *reader) give(n int) {
	var text string
	if json.Unmarshal([]byte(`"`+string(r.raw[:n])+`"`), &text) != nil {
		return // not JSON: the answer will be refused as a whole
	}
	r.raw = append(r.raw[:0], r.raw[n:]...)
	if text = plain(text); text == "" {
		return
	}
	if r.fresh && r.any {
		r.out.WriteString("\n\n")
	}
	r.fresh, r.any = false, true
	r.out.WriteString(text)
}
