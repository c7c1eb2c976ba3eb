package definition_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"penstock/engine/definition"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after string
		want          []string
	}{
		"the same, written otherwise": {`{"a":1,"b":[1]}`, `{"b": [1], "a": 1}`, nil},
		"members":                     {`{"a":1,"b":2,"c/d":3}`, `{"a":1,"b":"2","e":null}`, []string{`/b 2 "2"`, `/c~1d 3 -`, `/e - null`}},
		"big numbers are exact":       {`{"n":12345678901234567890}`, `{"n":12345678901234567891}`, []string{`/n 12345678901234567890 12345678901234567891`}},
		"a node is inserted before another": {
			`{"nodes":[{"id":"a","x":1},{"id":"b"}]}`, `{"nodes":[{"id":"new"},{"id":"a","x":2},{"id":"b"}]}`,
			[]string{`/nodes/0 - {"id":"new"}`, `/nodes/1/x 1 2`},
		},
		"a node is removed":               {`{"nodes":[{"id":"a"},{"id":"b"}]}`, `{"nodes":[{"id":"b"}]}`, []string{`/nodes/0 {"id":"a"} -`}},
		"values in lists are by position": {`{"l":[1,2,3]}`, `{"l":[1,4]}`, []string{`/l/1 2 4`, `/l/2 3 -`}},
		"another kind of value":           {`{"next":"a"}`, `{"next":["a"]}`, []string{`/next "a" ["a"]`}},
		"a list becomes an object":        {`{"next":["a"]}`, `{"next":{"true":"a"}}`, []string{`/next ["a"] {"true":"a"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			found, text, err := definition.Diff("old", json.RawMessage(c.before), "new", json.RawMessage(c.after))
			if err != nil {
				t.Fatal(err)
			}
			show := func(raw json.RawMessage) string {
				if raw == nil {
					return "-"
				}
				return string(raw)
			}
			var got []string
			for _, d := range found {
				got = append(got, fmt.Sprintf("%s %s %s", d.Path, show(d.Before), show(d.After)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if len(c.want) > 0 && (!strings.Contains(text, "--- old\n+++ new\n@@ ")) {
				t.Errorf("text:\n%s", text)
			}
		})
	}
}
