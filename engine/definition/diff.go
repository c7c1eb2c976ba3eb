package definition

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Difference is a value that two documents do not share. Before is nil if it was added, After if it was removed.
type Difference struct {
	Path          string // JSON pointer: in the newer document, or in the older one if it was removed
	Before, After json.RawMessage
}

// Diff compares two documents value by value, and as text. Members of a list that have an id are the same
// wherever they stand.
func Diff(oldName string, before json.RawMessage, newName string, after json.RawMessage) (list []Difference, text string, err error) {
	var a, b any
	if err := decodeExact(before, &a); err != nil {
		return nil, "", err
	}
	if err := decodeExact(after, &b); err != nil {
		return nil, "", err
	}
	var d differ
	d.compare("", a, b)
	var x, y bytes.Buffer
	_ = json.Indent(&x, before, "", "  ") // both were decoded
	_ = json.Indent(&y, after, "", "  ")
	x.WriteByte('\n')
	y.WriteByte('\n')
	return d.found, string(diff.Diff(oldName, x.Bytes(), newName, y.Bytes())), nil
}

func decodeExact(raw json.RawMessage, into *any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

type differ struct{ found []Difference }

func (d *differ) compare(path string, a, b any) {
	before, wasObject := a.(map[string]any)
	after, isObject := b.(map[string]any)
	old, wasList := a.([]any)
	list, isList := b.([]any)
	switch {
	case wasObject && isObject:
		keys := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
			x, had := before[key]
			y, has := after[key]
			if had && has {
				d.compare(at, x, y)
			} else {
				d.found = append(d.found, Difference{at, encoded(x, had), encoded(y, has)})
			}
		}
	case wasList && isList:
		d.lists(path, old, list)
	default:
		if x, y := encoded(a, true), encoded(b, true); !bytes.Equal(x, y) {
			d.found = append(d.found, Difference{path, x, y})
		}
	}
}

func (d *differ) lists(path string, old, list []any) {
	used := make([]bool, len(old))
	for i, b := range list {
		at := i
		if id := idOf(b); id != "" {
			at = slices.IndexFunc(old, func(a any) bool { return idOf(a) == id })
		} else if i < len(old) && idOf(old[i]) != "" {
			at = -1
		}
		here := path + "/" + strconv.Itoa(i)
		if at < 0 || at >= len(old) {
			d.found = append(d.found, Difference{Path: here, After: encoded(b, true)})
			continue
		}
		used[at] = true
		d.compare(here, old[at], b)
	}
	for i, a := range old {
		if !used[i] {
			d.found = append(d.found, Difference{Path: path + "/" + strconv.Itoa(i), Before: encoded(a, true)})
		}
	}
}

func idOf(v any) string {
	object, _ := v.(map[string]any)
	id, _ := object["id"].(string)
	return id
}

func encoded(v any, there bool) json.RawMessage {
	if !there {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return raw
}
