package graph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Marks at the beginning of strings that stand for something else. No document may hold NUL.
const (
	literalMark = "\x00json:"   // the JSON of a literal, see keepLiterals
	numberMark  = "\x00number:" // a number that the validator cannot read, see hideNumbers
)

// eachValue visits the values of a document that are not part of others.
func eachValue(doc *ast.QueryDocument, visit func(*ast.Value)) {
	arguments := func(list ast.ArgumentList) {
		for _, a := range list {
			visit(a.Value)
		}
	}
	var selections func(ast.SelectionSet)
	selections = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				arguments(s.Arguments)
				selections(s.SelectionSet)
			case *ast.InlineFragment:
				selections(s.SelectionSet)
			}
		}
	}
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			if v.DefaultValue != nil {
				visit(v.DefaultValue)
			}
		}
		selections(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		selections(f.SelectionSet)
	}
}

// hideNumbers makes strings of the numbers that do not fit into 64 bits: the validator refuses them although the
// scalar JSON takes them. Where JSON is not wanted it refuses the strings.
func hideNumbers(query string, doc *ast.QueryDocument) string {
	var unreadable []*ast.Value
	var look func(*ast.Value)
	look = func(v *ast.Value) {
		for _, child := range v.Children {
			look(child.Value)
		}
		if v.Kind == ast.IntValue || v.Kind == ast.FloatValue {
			if _, err := v.Value(nil); err != nil {
				unreadable = append(unreadable, v)
			}
		}
	}
	eachValue(doc, look)
	if len(unreadable) == 0 {
		return query
	}
	slices.SortFunc(unreadable, func(a, b *ast.Value) int { return b.Position.Start - a.Position.Start })
	text := []rune(query)
	for _, v := range unreadable {
		from, to := v.Position.Start, v.Position.Start+len(v.Raw)
		if to <= len(text) && string(text[from:to]) == v.Raw {
			text = slices.Concat(text[:from], []rune(strconv.QuoteToASCII(numberMark+v.Raw)), text[to:])
		}
	}
	return strings.ReplaceAll(string(text), `\x00number:`, `\u0000number:`) // as GraphQL writes it
}

// keepLiterals replaces the literals of the scalar JSON in a document that was validated by their text,
// so that numbers keep their digits and objects the order of their keys. The document belongs to nobody else yet.
func keepLiterals(doc *ast.QueryDocument) {
	eachValue(doc, func(v *ast.Value) { keepLiteral(v, false) })
}

func keepLiteral(v *ast.Value, inJSON bool) {
	if inJSON = inJSON || v.Definition != nil && v.Definition.Name == "JSON"; inJSON {
		if text := appendLiteral(nil, v); text != nil {
			v.Kind, v.Raw, v.Children = ast.StringValue, literalMark+string(text), nil
			return
		}
		if strings.HasPrefix(v.Raw, literalMark) {
			v.Raw = "\x00" // the caller's, who may not write NUL: shapeLimit refuses it
		}
	}
	for _, child := range v.Children {
		keepLiteral(child.Value, inJSON)
	}
}

// appendLiteral appends the JSON of a literal; nil if there is a variable in it, or what JSON does not have.
func appendLiteral(b []byte, v *ast.Value) []byte {
	switch v.Kind {
	case ast.IntValue, ast.FloatValue, ast.BooleanValue:
		return append(b, v.Raw...)
	case ast.NullValue:
		return append(b, "null"...)
	case ast.StringValue, ast.BlockValue:
		if number, ok := strings.CutPrefix(v.Raw, numberMark); ok && json.Valid([]byte(number)) {
			return append(b, number...)
		}
		text, err := json.Marshal(v.Raw)
		if err != nil || strings.ContainsRune(v.Raw, 0) { // shapeLimit refuses it
			return nil
		}
		return append(b, text...)
	case ast.ListValue, ast.ObjectValue:
		open, end := byte('['), byte(']')
		if v.Kind == ast.ObjectValue {
			open, end = '{', '}'
		}
		b = append(b, open)
		for i, child := range v.Children {
			if i > 0 {
				b = append(b, ',')
			}
			if v.Kind == ast.ObjectValue {
				b = strconv.AppendQuote(b, child.Name) // a name has letters, digits and underscores
				b = append(b, ':')
			}
			if b = appendLiteral(b, child.Value); b == nil {
				return nil
			}
		}
		return append(b, end)
	}
	return nil
}

// literal returns the JSON of a value that [keepLiterals] has replaced.
func literal(v any) (json.RawMessage, bool) {
	text, ok := v.(string)
	if !ok {
		return nil, false
	}
	raw, ok := bytes.CutPrefix([]byte(text), []byte(literalMark))
	return raw, ok
}

// below names a part of an object or list.
func below(at string, i int, child *ast.ChildValue) string {
	return at + "." + cmp.Or(child.Name, strconv.Itoa(i))
}
