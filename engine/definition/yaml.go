package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"penstock/drivers/alerts/strictjson"
)

// fromYAML writes one YAML document as JSON, keys in their order. Anchors are expanded as far as
// MaxInput allows. Merge keys and tags other than !!str are refused: they would be two ways to write
// the same. The number 1.0 as version is read as the text that it is meant to be.
func fromYAML(data []byte) ([]byte, error) {
	if nested(data) {
		return nil, fmt.Errorf("it is nested deeper than %d levels", strictjson.MaxDepth)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	var bodies []ast.Node
	for _, document := range file.Docs {
		if document.Body != nil {
			bodies = append(bodies, document.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, errors.New("it is empty")
	case 1:
		w := &yamlWriter{anchors: map[string]ast.Node{}}
		if err := w.value(bodies[0], 0); err != nil {
			return nil, err
		}
		return w.out.Bytes(), nil
	}
	return nil, errors.New("it has several documents; write one definition per file")
}

// blockStart is a line that opens many lists or keys at once: "- - - - …".
var blockStart = regexp.MustCompile(`(?m)^[ \t]*(?:[-?:][ \t]+){64}`)

// nested guesses before parsing, because the parser recurses, whether brackets or dashes are nested
// absurdly deep. It counts brackets in text too, so it leaves four times what is allowed.
func nested(data []byte) bool {
	depth := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > 4*strictjson.MaxDepth {
			return true
		}
	}
	return blockStart.Match(data)
}

// yamlError keeps the position and the message of the parser's error, without its drawing.
func yamlError(err error) error {
	var positioned interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &positioned) && positioned.GetToken() != nil {
		return at(positioned.GetToken(), "%s", positioned.GetMessage())
	}
	return errors.New("it is not valid YAML")
}

func at(t *token.Token, format string, args ...any) error {
	return fmt.Errorf("line %d, column %d: %s", t.Position.Line, t.Position.Column, fmt.Sprintf(format, args...))
}

type yamlWriter struct {
	out     bytes.Buffer
	anchors map[string]ast.Node
	open    []string // anchors being expanded
}

func (w *yamlWriter) value(n ast.Node, depth int) error {
	if n == nil {
		return w.scalar(nil)
	}
	if depth > strictjson.MaxDepth {
		return at(n.GetToken(), "it is nested deeper than %d levels", strictjson.MaxDepth)
	}
	if w.out.Len() > MaxInput {
		return fmt.Errorf("with its anchors expanded it has more than %d bytes", MaxInput)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return w.object(n.Values, depth)
	case *ast.MappingValueNode:
		return w.object([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		w.out.WriteByte('[')
		for i, element := range n.Values {
			if i > 0 {
				w.out.WriteByte(',')
			}
			if err := w.value(element, depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
		return nil
	case *ast.AnchorNode:
		w.anchors[n.Name.GetToken().Value] = n.Value
		return w.value(n.Value, depth)
	case *ast.AliasNode:
		return w.alias(n, depth)
	case *ast.TagNode:
		if n.Start.Value != "!!str" {
			return at(n.Start, "the tag %s is not supported", n.Start.Value)
		}
		return w.scalar(n.Value.GetToken().Value)
	case *ast.LiteralNode:
		return w.scalar(n.Value.Value)
	case *ast.StringNode:
		return w.scalar(n.Value)
	case *ast.IntegerNode:
		return w.scalar(n.Value)
	case *ast.FloatNode:
		return w.scalar(n.Value)
	case *ast.BoolNode:
		return w.scalar(n.Value)
	case *ast.NullNode:
		return w.scalar(nil)
	}
	return at(n.GetToken(), "%q has no meaning in JSON", n.GetToken().Value)
}

func (w *yamlWriter) object(values []*ast.MappingValueNode, depth int) error {
	w.out.WriteByte('{')
	for i, entry := range values {
		if i > 0 {
			w.out.WriteByte(',')
		}
		key, err := keyText(entry.Key)
		if err != nil {
			return err
		}
		if err := w.scalar(key); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if number, ok := entry.Value.(*ast.FloatNode); ok && depth == 0 && key == "version" {
			err = w.scalar(number.Token.Value)
		} else {
			err = w.value(entry.Value, depth+1)
		}
		if err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

// keyText is a key as it is written: true and 1 are the texts "true" and "1".
func keyText(key ast.MapKeyNode) (string, error) {
	switch key := key.(type) {
	case *ast.StringNode:
		return key.Value, nil
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.NullNode:
		return key.GetToken().Value, nil
	case *ast.MergeKeyNode:
		return "", at(key.GetToken(), "merge keys (<<) are not supported; write the keys out")
	}
	return "", at(key.GetToken(), "only plain text can be a key")
}

func (w *yamlWriter) alias(n *ast.AliasNode, depth int) error {
	name := n.Value.GetToken().Value
	target, ok := w.anchors[name]
	if !ok {
		return at(n.Start, "there is no anchor &%s before this alias", name)
	}
	for _, open := range w.open {
		if open == name {
			return at(n.Start, "the anchor &%s contains itself", name)
		}
	}
	w.open = append(w.open, name)
	err := w.value(target, depth)
	w.open = w.open[:len(w.open)-1]
	return err
}

func (w *yamlWriter) scalar(v any) error {
	encoder := json.NewEncoder(&w.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	w.out.Truncate(w.out.Len() - 1) // the line end that Encode adds
	return nil
}
