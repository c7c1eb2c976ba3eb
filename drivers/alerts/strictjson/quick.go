package strictjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// quick decodes what nothing is wrong with, several times as fast as the decoder that knows where it
// is. Everything it has a doubt about is not ok, and left to that one.
func quick(data []byte) (value any, ok bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !json.Valid(data) || !utf8.Valid(data) {
		return nil, false
	}
	return quickValue(gjson.ParseBytes(data), 0)
}

func quickValue(r gjson.Result, depth int) (value any, ok bool) {
	switch r.Type {
	case gjson.String:
		return quickText(r)
	case gjson.Number:
		number := json.Number(strings.TrimSpace(r.Raw))
		return number, checkNumber(string(number)) == ""
	case gjson.True, gjson.False:
		return r.Type == gjson.True, true
	case gjson.Null:
		return nil, true
	}
	if depth == MaxDepth {
		return nil, false
	}
	ok = true
	if r.IsArray() {
		list := []any{}
		r.ForEach(func(_, item gjson.Result) bool {
			value, ok = quickValue(item, depth+1)
			list = append(list, value)
			return ok
		})
		return list, ok
	}
	object := map[string]any{}
	r.ForEach(func(k, item gjson.Result) bool {
		var key string
		if key, ok = quickText(k); !ok {
			return false
		}
		if _, twice := object[key]; twice {
			ok = false
			return false
		}
		object[key], ok = quickValue(item, depth+1)
		return ok
	})
	return object, ok
}

func quickText(r gjson.Result) (text string, ok bool) {
	escapes := strings.IndexByte(r.Raw, '\\') >= 0
	return r.Str, strings.IndexByte(r.Str, 0) < 0 && (!escapes || !loneSurrogate([]byte(r.Raw)))
}
