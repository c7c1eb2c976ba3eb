package expr

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Plain turns decoded or typed Go data into what expressions see: bool, string, int64, float64,
// time.Time, []any, map[string]any and nil. A json.Number becomes an int64 if it is a whole number
// that fits, else a float64; one that fits neither (1e400, or a whole number of more than 19
// digits, which a float64 would round) stays the text that it is. Structs go through their JSON;
// what has none becomes nil.
func Plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int64, float64, time.Time:
		return v
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case json.Number:
		return number(v)
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = Plain(element)
		}
		return list
	case []string:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = element
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, element := range v {
			object[key] = Plain(element)
		}
		return object
	case map[string]string:
		object := make(map[string]any, len(v))
		for key, element := range v {
			object[key] = element
		}
		return object
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var decoded any
	if decoder.Decode(&decoded) != nil {
		return nil
	}
	return Plain(decoded)
}

func number(n json.Number) any {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i
	}
	whole := !strings.ContainsAny(n.String(), ".eE")
	if f, err := strconv.ParseFloat(n.String(), 64); err == nil && !whole {
		return f
	}
	return n.String()
}

var errTooLarge = errors.New("result too large")

// native turns a CEL value into plain data. Shared parts are copied, so the total is bounded.
func native(v ref.Val) (any, error) {
	left := budget(maxResult)
	return left.take(v)
}

type budget int

func (left *budget) take(v ref.Val) (any, error) {
	if *left -= 8; *left < 0 {
		return nil, errTooLarge
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Double:
		return float64(v), nil
	case types.String:
		*left -= budget(len(v))
		return string(v), nil
	case types.Bytes:
		*left -= budget(len(v))
		return strings.ToValidUTF8(string(v), "\uFFFD"), nil
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano), nil
	case types.Duration:
		return v.String(), nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return left.take(v.GetValue())
	case traits.Mapper:
		object := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			element, err := left.take(v.Get(key))
			if err != nil {
				return nil, err
			}
			name, err := left.take(key)
			if err != nil {
				return nil, err
			}
			object[Text(name)] = element
		}
		return object, nil
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			element, err := left.take(it.Next())
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		return list, nil
	}
	if t, ok := v.(*types.Type); ok { // type(x)
		return t.TypeName(), nil
	}
	return nil, nil
}

// Text writes plain data for people: text as it is, numbers without exponents where they are short,
// a list of scalars joined by ", ", everything else as compact JSON, null as nothing.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if magnitude := math.Abs(v); magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e15) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			switch element.(type) {
			case []any, map[string]any:
				return compact(v)
			}
			parts[i] = Text(element)
		}
		return strings.Join(parts, ", ")
	}
	return compact(v)
}

func compact(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil { // NaN and infinities have no JSON
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
