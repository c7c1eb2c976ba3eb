package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"penstock/fault"
)

// Template is a compiled text with {{ CEL }} holes. A literal {{ is written {{ "{{" }}; a }} outside
// a hole is text.
type Template struct {
	parts []part
	nodes []string
}

type part struct {
	text string   // between holes
	hole *Program // nil: text
}

// CompileTemplate checks a template. The error is a *CompileError with the position in the template.
func CompileTemplate(source string) (*Template, error) {
	if len(source) > MaxTemplate {
		return nil, &CompileError{1, 1, fmt.Sprintf("the template is longer than %d bytes", MaxTemplate)}
	}
	t := &Template{}
	holes := 0
	seen := map[string]bool{}
	for at := 0; at < len(source); {
		open := strings.Index(source[at:], "{{")
		if open < 0 {
			t.parts = append(t.parts, part{text: source[at:]})
			break
		}
		open += at
		if open > at {
			t.parts = append(t.parts, part{text: source[at:open]})
		}
		length := holeLength(source[open+2:])
		if length < 0 {
			return nil, relocate(source, open, &CompileError{1, 1, "this {{ is never closed by }}"})
		}
		if holes++; holes > MaxHoles {
			return nil, relocate(source, open, &CompileError{1, 1, fmt.Sprintf("the template has more than %d holes", MaxHoles)})
		}
		program, err := Compile(source[open+2:open+2+length], Options{})
		if err != nil {
			compileError, _ := errors.AsType[*CompileError](err)
			return nil, relocate(source, open+2, compileError)
		}
		for _, id := range program.nodes {
			if !seen[id] {
				seen[id] = true
				t.nodes = append(t.nodes, id)
			}
		}
		t.parts = append(t.parts, part{hole: program})
		at = open + 2 + length + 2
	}
	return t, nil
}

// Nodes returns the ids that the holes use, each once.
func (t *Template) Nodes() []string { return append([]string(nil), t.nodes...) }

// Render fills the holes. What a hole results in is text and never looked at again. A missing key
// renders as nothing; notes say which, and whether the text was cut at [MaxText].
func (t *Template) Render(ctx context.Context, vars Vars) (text string, notes []string, err error) {
	var b strings.Builder
	var spent uint64
	for _, p := range t.parts {
		if p.hole == nil {
			b.WriteString(p.text)
			continue
		}
		value, cost, err := p.hole.eval(ctx, vars)
		if spent += cost; spent > 2*maxCost {
			return "", notes, fault.New(fault.Unprocessable, "The template does too much work; it stopped at {{ %s }}.", brief(p.hole.source))
		}
		if missing, ok := errors.AsType[*Missing](err); ok {
			notes = append(notes, fmt.Sprintf("{{ %s }} is empty: there is no %q.", brief(p.hole.source), missing.Key))
			continue
		}
		if err != nil {
			return "", notes, err
		}
		b.WriteString(Text(value))
		if b.Len() > MaxText {
			break
		}
	}
	text = b.String()
	if len(text) > MaxText {
		end := MaxText
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
		notes = append(notes, fmt.Sprintf("The text was cut at %d bytes.", MaxText))
	}
	return text, notes, nil
}

// holeLength is the length of the CEL text up to the }} that closes the hole, or -1. It reads CEL as
// far as needed to not take a brace in a string, comment or map for the end.
func holeLength(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '{':
			depth++
		case '}':
			if depth == 0 && strings.HasPrefix(s[i:], "}}") {
				return i
			}
			depth = max(depth-1, 0)
		case '/':
			if strings.HasPrefix(s[i:], "//") {
				end := strings.IndexByte(s[i:], '\n')
				if end < 0 {
					return -1
				}
				i += end
			}
		case '"', '\'':
			n := stringLength(s[i:], isRaw(s[:i]))
			if n < 0 {
				return -1
			}
			i += n - 1
		}
	}
	return -1
}

// isRaw reports whether the prefix of a string literal says that backslashes are plain (r"…").
func isRaw(before string) bool {
	n := len(before)
	for n > 0 && strings.IndexByte("rRbB", before[n-1]) >= 0 {
		n--
	}
	if n > 0 && (before[n-1] == '_' || before[n-1] >= '0' && before[n-1] <= '9' || before[n-1]|0x20 >= 'a' && before[n-1]|0x20 <= 'z') {
		return false // the letters end an identifier
	}
	return strings.ContainsAny(before[n:], "rR")
}

// stringLength is the length of the CEL string literal that s begins with, or -1 if it does not end.
func stringLength(s string, raw bool) int {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\\' && !raw:
			i++
		case s[i] == '\n' && len(quote) == 1:
			return -1
		}
	}
	return -1
}

// relocate moves an error's position from a hole that begins at offset to the whole template.
func relocate(source string, offset int, e *CompileError) *CompileError {
	before := source[:offset]
	if e.Line == 1 {
		e.Column += utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	}
	e.Line += strings.Count(before, "\n")
	return e
}
