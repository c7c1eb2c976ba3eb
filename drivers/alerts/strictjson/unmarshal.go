package strictjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"penstock/drivers"
	"penstock/fault"
)

// Unmarshal decodes data into the value that into points at. Beyond the rules of [Decode], a key that no
// field of the struct has is refused, and null in the place of the whole document too. Types with an
// UnmarshalJSON or UnmarshalText of their own decide for themselves. Numbers in fields of type any are
// [json.Number].
func Unmarshal(data []byte, into any) error {
	doc, err := Decode(data)
	if err != nil {
		return err
	}
	target := reflect.TypeOf(into).Elem()
	if doc == nil {
		return fault.New(fault.Invalid, "The JSON is null; %s is expected.", word(target))
	}
	if err := unknownKey(target, doc, nil); err != nil {
		return err
	}
	d := newDecoder(data)
	if err := d.tokens.Decode(into); err != nil {
		return d.mismatch(err)
	}
	return nil
}

func (d *decoder) mismatch(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		pointer := ""
		if e.Field != "" {
			pointer = drivers.Pointer(strings.Split(e.Field, ".")...)
		}
		return refusal(d.data, int(e.Offset)-1, pointer, fmt.Sprintf("must be %s, not %s", word(e.Type), article(e.Value)))
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	return fault.Wrap(err, fault.Invalid, "The JSON is refused: %s.", printable(err.Error()))
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// unknownKey compares doc with t exactly; encoding/json alone would match keys whatever their case.
func unknownKey(t reflect.Type, doc any, path []string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
		return nil
	}
	switch doc := doc.(type) {
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return nil // json.Decoder says what is wrong
		}
		for i, item := range doc {
			if err := unknownKey(t.Elem(), item, append(path, strconv.Itoa(i))); err != nil {
				return err
			}
		}
	case map[string]any:
		var fields map[string]reflect.Type
		if t.Kind() == reflect.Struct {
			fields = fieldsOf(t)
		}
		for _, key := range slices.Sorted(maps.Keys(doc)) {
			var child reflect.Type
			switch t.Kind() {
			case reflect.Map:
				child = t.Elem()
			case reflect.Struct:
				var known bool
				if child, known = fields[key]; !known {
					return unknown(append(path, key), slices.Sorted(maps.Keys(fields)))
				}
			default:
				return nil
			}
			if err := unknownKey(child, doc[key], append(path, key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func unknown(path, known []string) error {
	pointer, problem := printable(drivers.Pointer(path...)), "the key is not known"
	key := path[len(path)-1]
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, key) }); i >= 0 {
		problem += "; it is written " + known[i]
	} else if len(known) > 0 {
		problem += "; known are " + strings.Join(known, ", ")
	}
	e := fault.New(fault.Invalid, "The JSON is refused (at %s): %s.", pointer, problem)
	e.Fields = map[string]string{pointer: problem}
	return e
}

// fieldsOf lists the keys that encoding/json reads into t.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Anonymous && name == "" && indirect(f.Type).Kind() == reflect.Struct
		if !f.IsExported() || embedded || f.Tag.Get("json") == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// word says in plain English what JSON a Go type wants.
func word(t reflect.Type) string {
	switch indirect(t).Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Interface:
		return "a value"
	default:
		return "a whole number in range"
	}
}

// article puts encoding/json's name of a JSON value into a sentence.
func article(value string) string {
	switch {
	case value == "string":
		return "text"
	case value == "array":
		return "a list"
	case value == "object":
		return "an object"
	case value == "bool":
		return "true or false"
	case strings.HasPrefix(value, "number "):
		return printable(value)
	default:
		return "a " + printable(value)
	}
}
