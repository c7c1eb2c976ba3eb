package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"penstock/drivers/alerts/strictjson"
	"penstock/fault"
)

func TestDecodeAccepts(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("7", 200)
	for name, c := range map[string]struct {
		body string
		want any
	}{
		"every kind of value":           {`{"a":[1,"x",true,null,{}]}`, map[string]any{"a": []any{json.Number("1"), "x", true, nil, map[string]any{}}}},
		"a single text":                 {` "x" `, "x"},
		"a byte order mark in front":    {"\ufeff[]", []any{}},
		"200 digits as they are":        {digits, json.Number(digits)},
		"64-bit integers as they are":   {`1502709956288000110`, json.Number("1502709956288000110")},
		"the largest float":             {`1.7976931348623157e308`, json.Number("1.7976931348623157e308")},
		"a small exponent":              {`1e-400`, json.Number("1e-400")},
		"a surrogate pair":              {`"\ud83d\udd34"`, "🔴"},
		"an escaped backslash before u": {`"\\ud800"`, `\ud800`},
		"keys that differ in case":      {`{"status":1,"STATUS":2}`, map[string]any{"status": json.Number("1"), "STATUS": json.Number("2")}},
		"the text proto":                {`{"__proto__":{}}`, map[string]any{"__proto__": map[string]any{}}},
		"64 levels":                     {strings.Repeat("[", 64) + strings.Repeat("]", 64), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := strictjson.Decode([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.want != nil && !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const nul = "the text contains a NUL character"
	for name, c := range map[string]struct{ body, want string }{
		"an empty body":               {" \n", "The body is empty"},
		"a key that appears twice":    {`{"alerts":[{"a":1,"b":{},"a":2}]}`, `(line 1, column 26, at /alerts/0/a): the key appears twice`},
		"a key twice by escapes":      {`{"a":1,"\u0061":2}`, `at /a): the key appears twice`},
		"text after the value":        {"{}\n {}", `(line 2, column 2): something follows`},
		"garbage after the value":     {`{} x`, `(line 1, column 4): something follows`},
		"65 levels":                   {strings.Repeat("[", 65) + strings.Repeat("]", 65), `column 65, at /0/0`},
		"100,000 levels":              {strings.Repeat(`{"a":`, 100_000), "nested deeper than 64 levels"},
		"a raw NUL in text":           {"{\"a\":{\"b\":\"x\x00y\"}}", `at /a/b): ` + nul},
		"an escaped NUL in text":      {`{"a":["x\u0000y"]}`, `at /a/0): ` + nul},
		"an escaped NUL in a key":     {`{"a":{"x\u0000":1}}`, nul},
		"a NUL between tokens":        {"{\x00}", nul},
		"invalid UTF-8":               {"{\"a\":\n\"\xff\"}", `(line 2, column 2): the text is not valid UTF-8`},
		"UTF-16":                      {"\xff\xfe{\x00}\x00", `not valid UTF-8`},
		"a lone high surrogate":       {`{"a":"\ud800"}`, `at /a): the text contains half of a surrogate pair`},
		"a high surrogate and text":   {`"\ud800x"`, `half of a surrogate pair`},
		"two high surrogates":         {`"\ud800\ud800"`, `half of a surrogate pair`},
		"a lone low surrogate":        {`"\\\udc00"`, `half of a surrogate pair`},
		"a lone surrogate in a key":   {`{"\ud800":1}`, `half of a surrogate pair`},
		"1e400":                       {`{"a":1e400}`, `at /a): the number is larger than a 64-bit float can hold`},
		"a huge negative number":      {`[-1E+400]`, `larger than a 64-bit float`},
		"zero with a huge exponent":   {`0e999999999`, `exponent beyond 400`},
		"an exponent of many digits":  {`1e99999999999999999999`, `exponent beyond 400`},
		"a number of 1,001 digits":    {"0." + strings.Repeat("1", 999), `longer than 1000 characters`},
		"a cut body":                  {`{"a":[1,`, `(line 1, column 9, at /a/1): the JSON ends too early`},
		"an object that is not ended": {`{"a":1`, `the JSON ends too early`},
		"a comma too many":            {`[1,]`, `(line 1, column 4, at /1): invalid character ']'`},
		"a missing comma":             {`[1 2]`, `invalid character '2' after array element`},
		"a missing colon":             {`{"a" 1}`, `invalid character '1' after object key`},
		"a key without quotes":        {`{a:1}`, `invalid character 'a'`},
		"single quotes":               {`{'a':1}`, `invalid character`},
		"NaN":                         {`[NaN]`, `invalid character 'N'`},
		"a comment":                   {`{} // x`, `something follows`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := strictjson.Decode([]byte(c.body))
			if err == nil {
				t.Fatalf("accepted as %#v", got)
			}
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestRefusalIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()
	key := strings.Repeat(`<script>\n`, 10_000)
	_, err := strictjson.Decode([]byte(`{"` + key + `":1,"` + key + `":2}`))
	if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
}

type base struct {
	Name string `json:"name"`
}

type document struct {
	base
	*extra
	Count  int               `json:"count,omitempty"`
	Labels map[string]string `json:"labels"`
	Items  []item            `json:"items"`
	Any    any               `json:"any"`
	At     time.Time         `json:"at,omitzero"`
	Raw    json.RawMessage   `json:"raw"`
	Hidden string            `json:"-"`
	Plain  bool
}

type extra struct {
	Note string `json:"note"`
}

type item struct {
	ID *string `json:"id"`
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	t.Run("reads what the struct names", func(t *testing.T) {
		t.Parallel()
		var got document
		err := strictjson.Unmarshal([]byte("\ufeff"+`{"name":"n","count":3,"labels":{"Any":"key"},"items":[{"id":"x"},{"id":null}],
			"any":{"big":1502709956288000110},"at":"2026-11-22T00:00:00Z","raw":{"x":1},"Plain":true}`), &got)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != "n" || got.Count != 3 || got.Labels["Any"] != "key" || *got.Items[0].ID != "x" || got.Items[1].ID != nil || !got.Plain || string(got.Raw) != `{"x":1}` {
			t.Fatalf("got %+v", got)
		}
		if big := got.Any.(map[string]any)["big"]; big != json.Number("1502709956288000110") {
			t.Fatalf("got %v", big)
		}
	})
	for name, c := range map[string]struct{ body, want string }{
		"an unknown key":                {`{"nmae":"x"}`, `(at /nmae): the key is not known; known are Plain, any, at, count, items, labels, name, note, raw`},
		"an unknown key of an item":     {`{"items":[{},{"idd":1}]}`, `(at /items/1/idd): the key is not known; known are id`},
		"a key in another case":         {`{"Name":"x"}`, `(at /Name): the key is not known; it is written name`},
		"a key that the tag hides":      {`{"Hidden":"x"}`, `not known`},
		"a value of a wrong type":       {`{"count":"3"}`, `at /count): must be a whole number in range, not text`},
		"a fraction for a count":        {`{"count":1.5}`, `at /count): must be a whole number in range, not number 1.5`},
		"a wrong type in a map":         {`{"labels":{"a":{}}}`, `must be text, not an object`},
		"a list for an object":          {`[]`, `must be an object, not a list`},
		"null for everything":           {`null`, `The JSON is null; an object is expected.`},
		"a duplicate key":               {`{"name":"a","name":"b"}`, `at /name): the key appears twice`},
		"what a type refuses by itself": {`{"at":"yesterday"}`, `cannot parse`},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			err := strictjson.Unmarshal([]byte(c.body), &document{extra: &extra{}})
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"x",true,null]}`, "\ufeff{}", `"\ud83d\udd34"`, `"\ud800"`, `{"a":1,"a":2}`, "\x00", `1e400`, `[1,]`, `{"a":1]`, "\"\xff\"", ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := strictjson.Decode(data)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("not marked: %v", err)
			}
			return
		}
		if !json.Valid(bytes.TrimPrefix(data, []byte("\ufeff"))) {
			t.Fatalf("accepted invalid JSON %q", data)
		}
		written, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		again, err := strictjson.Decode(written)
		if err != nil || !reflect.DeepEqual(value, again) {
			t.Fatalf("%q came back as %q: %v", data, written, err)
		}
		if strings.Contains(string(written), `\u0000`) && !strings.Contains(string(written), `\\u0000`) {
			t.Fatalf("a NUL came through: %q", written)
		}
	})
}
