package ai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  kept: a.b-c:9100, db-01.example.com, 2 < 3 > 1, <pod> ": "kept: a.b-c:9100, db-01.example.com, 2 < 3 > 1, <pod>",
		"see https://evil.example/a?b=c, now":                      "see [link removed] now",
		"[click](https://evil.example) ![x](//evil.example/p.png)": "click x",
		"<img src='//evil.example/p.png'>":                         "<img src='[link removed]'>",
		"JavaScript:alert(1) data:text/html;base64,AAAA":           "[link removed]) [link removed]",
		"mailto:a@evil.example www.evil.example":                   "[link removed] [link removed]",
		"std::vector // a comment, 3//4":                           "std::vector // a comment, 3//4",
		"pa\u200bss\u00adw\u202eord\U000E0041\ufe0f\x00\x1b[31m":   "password[31m",
		"a\tb\u2028c\r\nd":                                         "a b c\nd",
		"broken \xff byte":                                         "broken \ufffd byte",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// However an answer is cut into pieces, the same text is read from it.
func TestReader(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"summary": "One \"two\" \\ three \ud83d\udcbe\n", "description": "Four, {five}: [six]", "recommendations": [{"title": "no", "description": "never"}]}`: "One \"two\" \\ three 💾\n\n\nFour, {five}: [six]",
		`{"description":"only","summary":""}`:                              "only",
		`{"model": "x", "other": {"summary": "no"}, "summary": "yes"}`:     "yes",
		`{"recommendations": ["summary", ":"], "summary": "after a list"}`: "after a list",
		`{"summary": ["no"], "description": {"summary": "no"}}`:            "",
		`not JSON "summary": "x y"`:                                        "",
		"```json\n{\"summary\": \"in a block\"}\n```":                      "in a block",
		`{"summary": "see [me](https://evil.example/x) and go"}`:           "see me and go",
	} {
		for _, size := range []int{1, 2, 7, len(answer)} {
			var r reader
			var got strings.Builder
			for rest := answer; rest != ""; {
				n := min(size, len(rest))
				for !utf8.RuneStart((rest + "x")[n]) {
					n++
				}
				got.WriteString(r.add(rest[:n]))
				rest = rest[n:]
			}
			if got.String() != want {
				t.Errorf("%s in pieces of %d: %q, want %q", answer, size, got.String(), want)
			}
		}
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	if !json.Valid(Schema) || !json.Valid(WireSchema) {
		t.Fatal("not JSON")
	}
	if strings.Contains(string(WireSchema), "max") || strings.Count(string(Schema), `"max`) != 9 {
		t.Errorf("lengths: %s", WireSchema)
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	list := PriceList{"m": {Input: 1, Output: 2}}
	for _, c := range []struct {
		model         string
		input, output *float64
		want          Price
	}{
		{"m", nil, nil, Price{1, 2}},
		{"m-2026-11-01", nil, nil, Price{1, 2}},
		{"m-20261101", nil, new(0.0), Price{1, 0}},
		{"m-mini", nil, nil, Price{}},
		{"own", new(3.0), new(4.0), Price{3, 4}},
	} {
		if got := list.Of(c.model, c.input, c.output); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.model, got, c.want)
		}
	}
}

func TestPromptIsBounded(t *testing.T) {
	t.Parallel()
	wide := map[string]any{}
	for i := range 20000 {
		wide[fmt.Sprintf("key %d \"quoted\" \\", i)] = strings.Repeat("é", i%50)
	}
	list := make([]NodeOutput, 500)
	for i := range list {
		list[i] = NodeOutput{NodeID: fmt.Sprintf("node%d", i), Output: map[string]any{"text": strings.Repeat("x", 500)}}
	}
	for name, req := range map[string]Request{
		"a wide payload":     {Payload: wide},
		"everything at once": {Prompt: strings.Repeat("p", 1<<20), Incident: wide, Alerts: []map[string]any{wide, wide}, Context: list, Earlier: list, Payload: wide},
	} {
		prompt, err := Prompt(req, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(prompt) > MaxTask+MaxData+512 || len(prompt) < MaxData/2 {
			t.Errorf("%s: %d bytes", name, len(prompt))
		}
		_, rest, _ := strings.Cut(prompt, "-----\n")
		data, _, _ := strings.Cut(rest, "\n-----END")
		if !json.Valid([]byte(data)) || !strings.Contains(data, "cut]") && !strings.Contains(data, "left out to fit]") {
			t.Errorf("%s: not JSON, or nothing says that it was cut: %.200s", name, data)
		}
		if name == "everything at once" && (!strings.Contains(data, `"node0"`) || strings.Contains(data, `"node499"`)) {
			t.Error("not the newest node is kept")
		}
	}
	if _, err := Prompt(Request{Payload: func() {}}, nil); err == nil {
		t.Error("a payload that is no data is accepted")
	}
}
