package definition

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/agnivade/levenshtein"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"penstock/drivers"
)

// schema is a compiled JSON Schema together with its text, in which messages look up what is known.
type schema struct {
	compiled *jsonschema.Schema
	document any
}

// documentSchema describes the document without the configurations of node types.
var documentSchema = sync.OnceValue(func() *schema { return compileSchema(drivers.SchemaOf[Document]()) })

func compileSchema(raw json.RawMessage) *schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		panic(fmt.Sprintf("schema %s: %v", raw, err))
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema:", document); err != nil {
		panic(fmt.Sprintf("schema %s: %v", raw, err))
	}
	return &schema{compiled: compiler.MustCompile("schema:"), document: document}
}

// check validates a decoded value and returns the causes, the deepest first that a person can act on.
// Subject says in words where a path is.
func (s *schema) check(value any, subject func(path []string) string) []problem {
	err, ok := errors.AsType[*jsonschema.ValidationError](s.compiled.Validate(value))
	if !ok {
		return nil
	}
	var problems []problem
	for _, leaf := range leaves(err) {
		problems = append(problems, s.explain(leaf, subject)...)
	}
	return problems
}

// problem is an issue whose path is still in steps.
type problem struct {
	path    []string // of what the message is about
	key     string   // the missing key of CodeMissingKey
	prune   bool     // the value at path cannot be decoded
	code    string
	message string
}

// leaves flattens an error to its causes. Of alternatives it keeps the one that has the value's type,
// or the whole when none has.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	causes := e.Causes
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		causes = slices.DeleteFunc(slices.Clone(causes), func(alternative *jsonschema.ValidationError) bool {
			first := leaves(alternative)[0]
			_, mismatch := first.ErrorKind.(*kind.Type)
			return mismatch && len(first.InstanceLocation) == len(e.InstanceLocation)
		})
		if len(causes) == 0 {
			return []*jsonschema.ValidationError{e}
		}
		causes = causes[:1]
	}
	var all []*jsonschema.ValidationError
	for _, cause := range causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

func (s *schema) explain(e *jsonschema.ValidationError, subject func([]string) string) []problem {
	path := e.InstanceLocation
	what := subject(path)
	one := func(code string, prune bool, format string, args ...any) []problem {
		return []problem{{path: path, prune: prune, code: code, message: fmt.Sprintf(format, args...)}}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		known := s.known(e)
		problems := make([]problem, len(k.Properties))
		for i, name := range k.Properties {
			problems[i] = problem{path: append(slices.Clone(path), name), prune: true, code: CodeUnknownKey,
				message: fmt.Sprintf("Unknown key %q in %s. %s", name, what, suggest(name, known))}
		}
		return problems
	case *kind.Required:
		problems := make([]problem, len(k.Missing))
		for i, name := range k.Missing {
			problems[i] = problem{path: path, key: name, code: CodeMissingKey,
				message: fmt.Sprintf("%q is missing in %s.%s", name, what, s.hint(e, name))}
		}
		return problems
	case *kind.Type:
		got := typeName(k.Got)
		if k.Got == "number" && slices.Contains(k.Want, "integer") {
			got = "one with decimals"
		}
		return one(CodeWrongType, true, "%s must be %s, not %s.", capital(what), typeNames(k.Want), got)
	case *kind.AnyOf, *kind.OneOf:
		return one(CodeWrongType, true, "%s must be %s.", capital(what), typeNames(alternatives(e)))
	case *kind.Enum:
		return one(CodeBadValue, false, "%s cannot be %s. %s", capital(what), inJSON(k.Got), choices(k))
	case *kind.Const:
		return one(CodeBadValue, false, "%s must be %s.", capital(what), inJSON(k.Want))
	case *kind.Minimum:
		return one(CodeBadValue, false, "%s must be at least %s.", capital(what), k.Want.RatString())
	case *kind.Maximum:
		return one(CodeBadValue, false, "%s must be at most %s.", capital(what), k.Want.RatString())
	case *kind.MinLength:
		if k.Got == 0 {
			return one(CodeBadValue, false, "%s is empty. %s", capital(what), s.instead(e))
		}
	case *kind.MinItems:
		if k.Got == 0 {
			return one(CodeBadValue, false, "%s is an empty list. %s", capital(what), s.instead(e))
		}
	case *kind.MinProperties:
		if k.Got == 0 {
			return one(CodeBadValue, false, "%s is empty. %s", capital(what), s.instead(e))
		}
	case *kind.UniqueItems:
		return one(CodeBadValue, false, "%s names the same thing twice (items %d and %d).", capital(what), k.Duplicates[0]+1, k.Duplicates[1]+1)
	}
	return one(CodeBadValue, false, "%s is not allowed: %s.", capital(what), e.ErrorKind.LocalizedString(printer))
}

var printer = message.NewPrinter(language.English)

// at returns the part of the schema that found e, so that its properties can be named.
func (s *schema) at(e *jsonschema.ValidationError) map[string]any {
	_, fragment, _ := strings.Cut(e.SchemaURL, "#")
	return s.part(fragment)
}

func (s *schema) part(fragment string) map[string]any {
	current := s.document
	for _, step := range strings.Split(strings.TrimPrefix(fragment, "/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch container := current.(type) {
		case map[string]any:
			if step != "" {
				current = container[step]
			}
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i < len(container) {
				current = container[i]
			}
		}
	}
	object, _ := current.(map[string]any)
	return object
}

func (s *schema) properties(e *jsonschema.ValidationError) map[string]any {
	properties, _ := s.at(e)["properties"].(map[string]any)
	return properties
}

func (s *schema) known(e *jsonschema.ValidationError) []string { return sortedKeys(s.properties(e)) }

// instead is what to do about a value that is empty.
func (s *schema) instead(e *jsonschema.ValidationError) string {
	_, fragment, _ := strings.Cut(e.SchemaURL, "#")
	if i := strings.LastIndex(fragment, "/properties/"); i >= 0 {
		required, _ := s.part(fragment[:i])["required"].([]any)
		if slices.Contains(required, any(fragment[i+len("/properties/"):])) {
			return "Write something."
		}
	}
	return "Write something or leave it out."
}

// hint is what the schema says about a missing key.
func (s *schema) hint(e *jsonschema.ValidationError, name string) string {
	property, _ := s.properties(e)[name].(map[string]any)
	hint := ""
	if description, _ := property["description"].(string); description != "" {
		hint = " " + description
	}
	if options, _ := property["enum"].([]any); len(options) > 0 {
		hint += " One of: " + joinJSON(options) + "."
	}
	return hint
}

func choices(k *kind.Enum) string {
	text := "One of: " + joinJSON(k.Want) + "."
	got, isText := k.Got.(string)
	if !isText {
		return text
	}
	var known []string
	for _, want := range k.Want {
		if s, ok := want.(string); ok {
			known = append(known, s)
		}
	}
	if near := nearest(got, known); near != "" {
		return fmt.Sprintf("Did you mean %q? %s", near, text)
	}
	return text
}

func alternatives(e *jsonschema.ValidationError) []string {
	var wanted []string
	for _, cause := range e.Causes {
		if k, ok := leaves(cause)[0].ErrorKind.(*kind.Type); ok {
			for _, w := range k.Want {
				if !slices.Contains(wanted, w) {
					wanted = append(wanted, w)
				}
			}
		}
	}
	return wanted
}

// suggest names the known word nearest to a misspelt one, or all that are known.
func suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	if len(known) == 0 {
		return "Nothing can be set here; remove it."
	}
	return "Known: " + strings.Join(known, ", ") + "."
}

// nearest is the known word that is so near that a slip of the fingers explains the difference.
func nearest(word string, known []string) string {
	best, distance := "", 2
	if len(word) < 3 {
		distance = 1
	} else if len(word) > 4 {
		distance = 3
	}
	for _, candidate := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

var typeWords = map[string]string{
	"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
	"array": "a list", "object": "an object", "null": "null",
}

func typeName(t string) string { return cmp.Or(typeWords[t], t) }

func typeNames(types []string) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = typeName(t)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func inJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

func joinJSON(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = inJSON(v)
	}
	return strings.Join(words, ", ")
}

func joinWords(words []string) string { return strings.Join(words, ", ") }

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
