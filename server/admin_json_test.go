package server

import (
	"strings"
	"testing"
)

func TestPretty(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                                "",
		`{}`:                              "{}",
		`{"b":1,"a":[1,2]}`:               `{"b": 1, "a": [1, 2]}`,
		`12345678901234567890.10`:         "12345678901234567890.10",
		`{"a":"<b>\u00e9\u2028"}`:         `{"a": "<b>é\u2028"}`,
		`not json`:                        "not json",
		`{"a":1} x`:                       `{"a":1} x`,
		`[{"a":"` + long + `"},{"b":[]}]`: "[\n  {\n    \"a\": \"" + long + "\"\n  },\n  {\"b\": []}\n]",
	} {
		if got := pretty([]byte(in)); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", in, got, want)
		}
	}
}

var long = strings.Repeat("x", lineWidth)

func TestLineOf(t *testing.T) {
	t.Parallel()
	text := []byte("{\n  \"version\": \"1.0\",\n  \"nodes\": [\n    {\"id\": \"a\"},\n    {\n      \"id\": \"b\",\n      \"a/b\": 1\n    }\n  ]\n}")
	for pointer, want := range map[string]int{
		"": 1, "/version": 2, "/nodes": 3, "/nodes/0": 4, "/nodes/0/id": 4, "/nodes/1": 5, "/nodes/1/id": 6, "/nodes/1/a~1b": 7,
		"/nodes/1/missing": 5, "/nodes/7": 3, "/nothing/here": 1, "/version/deeper": 2,
	} {
		if got := lineOf(text, pointer); got != want {
			t.Errorf("%q is on line %d, want %d", pointer, got, want)
		}
	}
	if got := lineOf([]byte("{\n\"a\": nonsense"), "/b"); got != 1 {
		t.Errorf("broken text: line %d, want the line of what encloses it", got)
	}
	if got := syntaxLine([]byte("{\n  \"a\": 1,\n  b\n}")); got != 3 {
		t.Errorf("the mistake is on line %d, want 3", got)
	}
	if got := syntaxLine([]byte(`{}`)); got != 0 {
		t.Errorf("JSON has a mistake on line %d", got)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/admin/runs?q=a": "/admin/runs?q=a", "": "/admin/", "https://evil.example": "/admin/", "//evil.example": "/admin/",
		`/admin/\evil`: `/admin/`, "/administrator": "/admin/", "/admin/\r\nX: y": "/admin/",
	} {
		if got := localPath(in); got != want {
			t.Errorf("%q leads to %q, want %q", in, got, want)
		}
	}
}

func TestOneEvent(t *testing.T) {
	t.Parallel()
	if got, want := oneEvent.Replace("a\r\nb\revent: end\nc"), "a&#13;\ndata: b&#13;event: end\ndata: c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
