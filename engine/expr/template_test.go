package expr_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/engine/expr"
	"penstock/fault"
)

func TestRender(t *testing.T) {
	t.Parallel()
	vars := sample
	vars.Incident = map[string]any{"title": "{{ payload.s }} ${jndi:x} {{7*7}} %s%n <!channel>"}
	vars.Payload = map[string]any{
		"s": "text", "f": 91.5, "whole": 91.0, "n": int64(3), "yes": true, "none": nil,
		"names": []any{"a", "b"}, "map": map[string]any{"k": "<&>"}, "nested": []any{[]any{int64(1)}}, "tiny": 1e-9, "wide": 12345678.25,
	}
	for source, want := range map[string]string{
		``:                                     "",
		`no holes }} here`:                     "no holes }} here",
		`CPU {{ payload.f }} %`:                "CPU 91.5 %",
		`{{payload.whole}}{{ payload.n }}`:     "913",
		`{{ payload.yes }}|{{payload.none}}`:   "true|",
		`{{ payload.names }}`:                  "a, b",
		`{{ payload.map }}`:                    `{"k":"<&>"}`,
		`{{ payload.nested }}`:                 `[[1]]`,
		`{{ payload.wide }} {{payload.tiny}}`:  "12345678.25 1e-09",
		`{{ incident.title }}`:                 "{{ payload.s }} ${jndi:x} {{7*7}} %s%n <!channel>",
		`{{ "}}" + '}}' + r"\" }}!`:            `}}}}\!`,
		`{{ """a "}}" b""" }}`:                 `a "}}" b`,
		`{{ "\"}}" }}`:                         `"}}`,
		`{{ {"a": {"b": 1}} }}`:                `{"a":{"b":1}}`,
		`{{ {"a": {"b": 1}}}}`:                 `{"a":{"b":1}}`,
		`{{ "{{" }} literal`:                   "{{ literal",
		"{{ payload.n // }} a comment\n}}":     "3",
		`{{ payload.n > 2 ? "many" : "few" }}`: "many",
		`{{ payload.?zz.orValue("none") }}`:    "none",
	} {
		template, err := expr.CompileTemplate(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got, notes, err := template.Render(t.Context(), vars)
		if got != want || err != nil || len(notes) > 0 {
			t.Errorf("%s = %q, %v, %v; want %q", source, got, notes, err, want)
		}
	}
}

func TestRenderNotes(t *testing.T) {
	t.Parallel()
	t.Run("a missing key is empty text and a note that names the hole", func(t *testing.T) {
		t.Parallel()
		template, err := expr.CompileTemplate("a {{ payload.zz.y }} b {{ incident.title }} c")
		if err != nil {
			t.Fatal(err)
		}
		got, notes, err := template.Render(t.Context(), sample)
		if got != "a  b  c" || err != nil || len(notes) != 2 || !strings.Contains(notes[0], "payload.zz.y") || !strings.Contains(notes[1], "incident.title") {
			t.Errorf("got %q, %q, %v", got, notes, err)
		}
	})
	t.Run("a long text is cut at a character, with a note", func(t *testing.T) {
		t.Parallel()
		template, err := expr.CompileTemplate(`x{{ payload.long }}`)
		if err != nil {
			t.Fatal(err)
		}
		got, notes, err := template.Render(t.Context(), expr.Vars{Payload: map[string]any{"long": strings.Repeat("ü", expr.MaxText)}})
		if err != nil || len(got) > expr.MaxText || len(got) < expr.MaxText-3 || !utf8.ValidString(got) || len(notes) != 1 {
			t.Errorf("got %d bytes, %q, %v", len(got), notes, err)
		}
	})
	t.Run("any other failure is an error", func(t *testing.T) {
		t.Parallel()
		template, err := expr.CompileTemplate(`{{ payload.s + payload.n }}`)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := template.Render(t.Context(), sample); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTemplateCompileErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source       string
		line, column int
		want         string
	}{
		{"text {{ payload.s", 1, 6, "never closed"},
		{"one\n two {{ 'a }}", 2, 6, "never closed"},
		{"{{ }}", 1, 3, "empty"},
		{"CPU {{ foo }} %", 1, 8, "undeclared reference to 'foo'"},
		{"ü {{ foo }}", 1, 6, "undeclared reference to 'foo'"},
		{"one\n{{ payload.n }} {{\n foo }}", 3, 2, "undeclared reference to 'foo'"},
		{"{{ if .x }}a{{ end }}", 1, 4, ""},
		{"{{ .secrets }}", 1, 5, "undeclared reference"},
		{strings.Repeat("{{1}}", expr.MaxHoles+1), 1, 5*expr.MaxHoles + 1, "more than 100 holes"},
		{strings.Repeat("x", expr.MaxTemplate+1), 1, 1, "longer than 16384 bytes"},
	} {
		_, err := expr.CompileTemplate(c.source)
		compile, ok := errors.AsType[*expr.CompileError](err)
		if !ok || compile.Line != c.line || compile.Column != c.column || !strings.Contains(compile.Message, c.want) {
			t.Errorf("%.40q: %v; want line %d, column %d: …%s…", c.source, err, c.line, c.column, c.want)
		}
	}
}

func TestTemplateNodes(t *testing.T) {
	t.Parallel()
	template, err := expr.CompileTemplate("{{ nodes.a.output }} {{ nodes.b.output + nodes.a.output }}")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(template.Nodes(), ","); got != "a,b" {
		t.Errorf("got %q", got)
	}
}
