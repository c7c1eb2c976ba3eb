package graph

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"penstock/engine"
	"penstock/fault"
)

// userErrors turns a problem that the caller can correct into user errors. Any other error comes back
// as it is. subject is the input field that names what the mutation is about.
func userErrors(err error, subject string) ([]*UserError, error) {
	none := []*UserError{}
	if err == nil {
		return none, nil
	}
	if invalid, ok := errors.AsType[*engine.InvalidError](err); ok {
		var list []*UserError
		for _, issue := range invalid.Validation.Errors {
			list = append(list, &UserError{Code: UserErrorCodeInvalid, Message: issue.Message, Field: inputPath("config" + issue.Path)})
		}
		return list, nil
	}
	f := fault.Of(err)
	code := UserErrorCodeInvalid
	field := []string(nil)
	switch f.Code {
	case fault.Invalid, fault.Unprocessable, fault.TooLarge:
	case fault.NotFound:
		code, field = UserErrorCodeNotFound, inputPath(subject)
	case fault.Conflict:
		code, field = UserErrorCodeConflict, inputPath(subject)
	default:
		return none, err
	}
	if len(f.Fields) == 0 {
		return []*UserError{{Code: code, Message: f.Message, Field: field}}, nil
	}
	var list []*UserError
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		message := strings.Replace(f.Message, name, inputName(name), 1)
		if len(f.Fields) > 1 {
			message = name + ": " + strings.TrimSuffix(f.Fields[name], ".") + "."
		}
		list = append(list, &UserError{Code: code, Message: message, Field: inputPath(name)})
	}
	return list, nil
}

// inputPath makes the path of a user error from "field/and/a/JSON/pointer".
func inputPath(pointer string) []string {
	path := []string{"input"}
	for token := range strings.SplitSeq(pointer, "/") {
		path = append(path, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
	}
	path[1] = inputName(path[1])
	return path
}

// inputName is what an input field of the REST API (trace_id) is called here (traceId).
func inputName(field string) string {
	if strings.Contains(field, "/") {
		return field // a path into a document, whose keys are the same everywhere
	}
	words := strings.Split(field, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:min(1, len(words[i]))]) + words[i][min(1, len(words[i])):]
	}
	return strings.Join(words, "")
}

// document is a definition's text: JSON, or what a JSON string holds (YAML or JSON).
func document(raw json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return json.RawMessage(text)
	}
	return raw
}

// given returns a value that is there and not null.
func given[T any](o graphql.Omittable[*T]) (value T) {
	if p := o.Value(); p != nil {
		value = *p
	}
	return value
}

// orEmpty is for fields that null empties: nil if absent, the zero value for null.
func orEmpty[T any](o graphql.Omittable[*T]) *T {
	p, ok := o.ValueOK()
	if ok && p == nil {
		p = new(T)
	}
	return p
}

func orZero(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

func number(o graphql.Omittable[*int32]) *int {
	if p := o.Value(); p != nil {
		return new(int(*p))
	}
	return nil
}

// notNull refuses null for fields that have no empty value.
func notNull(fields map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] {
			f := fault.New(fault.Invalid, "%s must not be null; leave it out to keep it.", name)
			f.Fields = map[string]string{name: "must not be null"}
			return f
		}
	}
	return nil
}

func isNull[T any](o graphql.Omittable[*T]) bool {
	p, ok := o.ValueOK()
	return ok && p == nil
}

func isNullJSON(o graphql.Omittable[json.RawMessage]) bool {
	raw, ok := o.ValueOK()
	return ok && !hasJSON(raw)
}

func hasJSON(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// maxTags is how many tags a filter may name: each is a part of the statement.
const maxTags = 20

// tags reads an object of strings: nil keeps, null empties.
func tags(o graphql.Omittable[json.RawMessage]) (map[string]string, error) {
	raw, ok := o.ValueOK()
	if !ok {
		return nil, nil
	}
	m := map[string]string{}
	if hasJSON(raw) && (json.Unmarshal(raw, &m) != nil) {
		f := fault.New(fault.Invalid, "tags must be an object of strings, for example {\"team\": \"db\"}.")
		f.Fields = map[string]string{"tags": "must be an object of strings"}
		return nil, f
	}
	return m, nil
}
