// Package strictjson is the decoder for JSON that comes from outside: webhooks, REST bodies, definitions.
//
// It takes what encoding/json takes, less everything that SQLite and PostgreSQL, or two readers of the
// same bytes, would understand differently:
//
//   - at most [MaxDepth] levels of objects and lists;
//   - no key twice in one object, nothing after the value, no empty body;
//   - valid UTF-8 only, no lone surrogates, no NUL (raw or \u0000) in keys or text;
//   - numbers keep their digits as [json.Number], but must be in the range of a 64-bit float, with an
//     exponent of at most ±400 and at most 1,000 characters;
//   - a UTF-8 byte order mark in front is skipped;
//   - keys are matched exactly, upper and lower case differ.
//
// Every refusal is a [fault.Invalid] that says where (line, column, JSON pointer) and why.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"penstock/drivers"
	"penstock/fault"
)

const (
	// MaxDepth is how deep objects and lists may be nested.
	MaxDepth = 64

	maxNumber   = 1000 // characters
	maxExponent = 400
)

// Decode returns data as map[string]any, []any, string, json.Number, bool or nil.
func Decode(data []byte) (any, error) {
	if value, ok := quick(data); ok {
		return value, nil
	}
	return decode(data)
}

func decode(data []byte) (any, error) {
	d := newDecoder(data)
	if at := invalidUTF8(d.data); at >= 0 {
		return nil, d.refuse(at, "the text is not valid UTF-8")
	}
	if len(bytes.TrimSpace(d.data)) == 0 {
		return nil, fault.New(fault.Invalid, "The body is empty; JSON is expected.")
	}
	value, err := d.value()
	if err != nil {
		return nil, err
	}
	end := d.next()
	if _, err := d.tokens.Token(); !errors.Is(err, io.EOF) {
		return nil, d.refuse(end, "something follows after the end of the value")
	}
	return value, nil
}

// decoder walks the tokens of one document and knows where it is.
type decoder struct {
	data   []byte // without the byte order mark
	tokens *json.Decoder
	path   []step
}

// step is one level of the path: a key, or an index if key is nil.
type step struct {
	key   *string
	index int
}

func newDecoder(data []byte) *decoder {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	return &decoder{data: data, tokens: tokens}
}

func (d *decoder) value() (any, error) {
	start := d.next()
	token, err := d.tokens.Token()
	if err != nil {
		return nil, d.syntax(start, err)
	}
	switch token := token.(type) {
	case json.Delim:
		if len(d.path) == MaxDepth {
			return nil, d.refuse(start, fmt.Sprintf("objects and lists are nested deeper than %d levels", MaxDepth))
		}
		if token == '{' {
			return d.object()
		}
		return d.list()
	case string:
		return token, d.checkText(start, token)
	case json.Number:
		if problem := checkNumber(string(token)); problem != "" {
			return nil, d.refuse(start, problem)
		}
		return token, nil
	default: // bool, nil
		return token, nil
	}
}

func (d *decoder) object() (any, error) {
	object := map[string]any{}
	for d.tokens.More() {
		start := d.next()
		token, err := d.tokens.Token()
		if err != nil {
			return nil, d.syntax(start, err)
		}
		key := token.(string) // the tokenizer refuses every other key
		d.path = append(d.path, step{key: &key})
		if err := d.checkText(start, key); err != nil {
			return nil, err
		}
		if _, twice := object[key]; twice {
			return nil, d.refuse(start, "the key appears twice in one object")
		}
		if object[key], err = d.value(); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
	}
	return object, d.closing()
}

func (d *decoder) list() (any, error) {
	list := []any{}
	for d.tokens.More() {
		d.path = append(d.path, step{index: len(list)})
		value, err := d.value()
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		d.path = d.path[:len(d.path)-1]
	}
	return list, d.closing()
}

func (d *decoder) closing() error {
	start := d.next()
	if _, err := d.tokens.Token(); err != nil {
		return d.syntax(start, err)
	}
	return nil
}

// next is the offset at which the next token starts.
func (d *decoder) next() int {
	at := int(d.tokens.InputOffset())
	for at < len(d.data) && strings.IndexByte(" \t\r\n,:", d.data[at]) >= 0 {
		at++
	}
	return at
}

// checkText looks at a string token that starts at start and was decoded to text. The raw bytes are
// needed because encoding/json replaces a lone surrogate without a word.
func (d *decoder) checkText(start int, text string) error {
	if strings.IndexByte(text, 0) >= 0 {
		return d.refuse(start, `the text contains a NUL character (\u0000), which cannot be stored`)
	}
	if loneSurrogate(d.data[start:d.tokens.InputOffset()]) {
		return d.refuse(start, `the text contains half of a surrogate pair (\ud800 to \udfff), which is no character`)
	}
	return nil
}

// checkNumber returns what is wrong with a number, "" if nothing.
func checkNumber(number string) (problem string) {
	if len(number) > maxNumber {
		return fmt.Sprintf("the number is longer than %d characters", maxNumber)
	}
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(number[i+1:]); err != nil || max(exponent, -exponent) > maxExponent {
			return fmt.Sprintf("the number has an exponent beyond %d", maxExponent)
		}
	}
	if _, err := strconv.ParseFloat(number, 64); err != nil {
		return "the number is larger than a 64-bit float can hold"
	}
	return ""
}

func (d *decoder) syntax(start int, err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return d.refuse(len(d.data), "the JSON ends too early")
	case strings.Contains(err.Error(), `'\x00'`):
		return d.refuse(start, "the text contains a NUL character, which cannot be stored")
	}
	return d.refuse(start, err.Error())
}

func (d *decoder) refuse(offset int, problem string) error {
	tokens := make([]string, len(d.path))
	for i, s := range d.path {
		if s.key != nil {
			tokens[i] = *s.key
		} else {
			tokens[i] = strconv.Itoa(s.index)
		}
	}
	return refusal(d.data, offset, drivers.Pointer(tokens...), problem)
}

func refusal(data []byte, offset int, pointer, problem string) error {
	before := data[:min(offset, len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	where := fmt.Sprintf("line %d, column %d", line, column)
	pointer = printable(pointer)
	if pointer != "" {
		where += ", at " + pointer
	}
	e := fault.New(fault.Invalid, "The JSON is refused (%s): %s.", where, problem)
	e.Fields = map[string]string{pointer: problem}
	return e
}

// printable makes text of a stranger fit to be read in an error: one line, not endless.
func printable(text string) string {
	quoted := strconv.Quote(text)
	quoted = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	const limit = 200
	if len(quoted) <= limit {
		return quoted
	}
	return strings.ToValidUTF8(quoted[:limit/2], "") + "…" + strings.ToValidUTF8(quoted[len(quoted)-limit/2:], "")
}

// invalidUTF8 returns the offset of the first byte that is not valid UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// loneSurrogate reports whether a valid JSON string has a \u escape that is half of a pair.
func loneSurrogate(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return false
		}
		raw = raw[i:]
		switch unit := escaped(raw); {
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			if low := escaped(raw[6:]); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			raw = raw[12:]
		default:
			raw = raw[2:]
		}
	}
}

// escaped returns the UTF-16 unit of the \u escape at the start of raw, or 0.
func escaped(raw []byte) uint64 {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(raw[2:6]), 16, 16) // an error gives 0, which is no surrogate
	return unit
}
