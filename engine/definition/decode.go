package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"penstock/drivers"
)

// Decode reads a document in JSON or YAML and reports everything that is wrong with its text and
// structure. What cannot be decoded is left out of the result, so that the rest can be validated too;
// the document is nil if nothing can be read.
func Decode(data []byte) (*Document, []Issue) {
	text, issues := JSON(data)
	if text == nil {
		return nil, issues
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, append(issues, Issue{Code: CodeSyntax, Message: "The definition is not valid JSON: " + err.Error() + ".", Severity: SeverityError})
	}
	root, ok := tree.(map[string]any)
	if !ok {
		return nil, append(issues, Issue{Code: CodeWrongType, Message: "A definition is an object with the keys version and nodes.", Severity: SeverityError})
	}
	if nodes, _ := root["nodes"].([]any); len(nodes) > MaxNodes { // to say what else is wrong would take time with the square of them
		return nil, append(issues, Issue{
			Path: "/nodes", Code: CodeTooLarge, Severity: SeverityError,
			Message: fmt.Sprintf("The definition has %d nodes; at most %d are allowed. Split it into several definitions.", len(nodes), MaxNodes),
		})
	}
	problems := documentSchema().check(tree, func(path []string) string { return place(root, path) })
	for _, p := range problems[:min(len(problems), MaxIssues+1)] {
		issues = append(issues, structural(root, p))
	}
	if len(problems) > MaxIssues {
		return nil, few(issues)
	}
	for _, p := range problems {
		if p.prune {
			prune(root, p.path)
		}
	}
	if len(problems) > 0 {
		if text, err = json.Marshal(root); err != nil {
			return nil, issues
		}
	}
	doc := &Document{}
	if err := json.Unmarshal(text, doc); err != nil {
		message := "The definition cannot be decoded: " + err.Error() + "."
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // 3.0 is a whole number to the schema, but not to Go
			message = fmt.Sprintf("%q must be written with digits only, not as %s.", e.Field, strings.TrimPrefix(e.Value, "number "))
		}
		return nil, append(issues, Issue{Code: CodeWrongType, Message: message, Severity: SeverityError})
	}
	return doc, issues
}

// structural gives a problem the code and words that the document's own keys deserve.
func structural(root map[string]any, p problem) Issue {
	issue := Issue{Path: drivers.Pointer(p.path...), Code: p.code, Message: p.message, Severity: SeverityError, NodeID: nodeAt(root, p.path)}
	inNode := len(p.path) >= 2 && p.path[0] == "nodes"
	switch {
	case p.code == CodeMissingKey && len(p.path) == 0 && p.key == "version":
		issue.Code, issue.Message = CodeMissingVersion, `"version" is missing. Write "version": "1.0".`
	case p.code == CodeMissingKey && len(p.path) == 0 && p.key == "nodes":
		issue.Code, issue.Message = CodeNoNodes, `The definition has no "nodes". Add at least one.`
	case slices.Equal(p.path, []string{"version"}) && p.code == CodeBadValue:
		issue.Code, issue.Message = CodeUnsupportedVersion, fmt.Sprintf("Version %s is not supported. Write %q.", inJSON(root["version"]), Version)
	case slices.Equal(p.path, []string{"version"}):
		issue.Message = fmt.Sprintf("\"version\" must be the text %q, in quotes.", Version)
	case slices.Equal(p.path, []string{"nodes"}) && p.code == CodeBadValue:
		issue.Code, issue.Message = CodeNoNodes, "The definition has no nodes. Add at least one."
	case inNode && len(p.path) == 2 && p.code == CodeMissingKey && p.key == "id":
		issue.Code = CodeMissingID
		issue.Message = fmt.Sprintf("Node %s has no \"id\". Give it a unique name, for example \"step_%[1]s\".", ordinal(p.path[1]))
	case inNode && len(p.path) == 2 && p.code == CodeMissingKey && p.key == "type":
		issue.Code, issue.Message = CodeMissingType, fmt.Sprintf("%s has no \"type\". Write what it does, for example \"type\": \"notify\".", capital(place(root, p.path)))
	case inNode && len(p.path) == 3 && p.path[2] == "type" && p.code == CodeBadValue:
		issue.Code, issue.Message = CodeMissingType, fmt.Sprintf("The \"type\" of %s is empty. Write what it does, for example \"type\": \"notify\".", place(root, p.path[:2]))
	case inNode && len(p.path) == 3 && p.path[2] == "id" && p.code == CodeBadValue:
		node, _ := root["nodes"].([]any)
		index, _ := strconv.Atoi(p.path[1])
		object, _ := node[index].(map[string]any)
		issue.Code = CodeBadID
		issue.Message = fmt.Sprintf("The id %s cannot be used in expressions. An id begins with a letter or _, goes on with letters, digits and _, has at most 255 characters, and is not true, false, null or in.", inJSON(object["id"]))
	}
	return issue
}

// place says in words where a path of the document is.
func place(root map[string]any, path []string) string {
	switch {
	case len(path) == 0:
		return "the definition"
	case path[0] != "nodes" || len(path) == 1:
		return within(strconv.Quote(path[0]), path[1:])
	}
	node := "node " + ordinal(path[1])
	if id := nodeAt(root, path); id != "" {
		node = fmt.Sprintf("node %q", id)
	}
	return within(node, path[2:])
}

// within says in words what a path below a thing is.
func within(thing string, path []string) string {
	for _, step := range path {
		if _, err := strconv.Atoi(step); err == nil {
			thing = fmt.Sprintf("item %s of %s", ordinal(step), thing)
		} else {
			thing = fmt.Sprintf("%q of %s", step, thing)
		}
	}
	return thing
}

// ordinal counts from one, as people do.
func ordinal(index string) string {
	i, err := strconv.Atoi(index)
	if err != nil {
		return index
	}
	return strconv.Itoa(i + 1)
}

// nodeAt is the id of the node that a path leads into, "" if it has none.
func nodeAt(root map[string]any, path []string) string {
	if len(path) < 2 || path[0] != "nodes" {
		return ""
	}
	nodes, _ := root["nodes"].([]any)
	i, err := strconv.Atoi(path[1])
	if err != nil || i >= len(nodes) {
		return ""
	}
	node, _ := nodes[i].(map[string]any)
	id, _ := node["id"].(string)
	return id
}

// prune removes a value that has the wrong type. An element of a list becomes an empty node or text,
// to keep the places of the others.
func prune(root map[string]any, path []string) {
	var current any = root
	for i, step := range path {
		last := i == len(path)-1
		switch container := current.(type) {
		case map[string]any:
			if last {
				delete(container, step)
			}
			current = container[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index >= len(container) {
				return
			}
			if last && (len(path) == 2 && path[0] == "nodes" || len(path) == 3 && path[1] == "schedule") {
				container[index] = map[string]any{}
			} else if last {
				container[index] = ""
			}
			current = container[index]
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
