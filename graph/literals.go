package graph

import (
	"cmp"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// checkNumbers refuses literals that the executor could not read. It needs no types, so that it comes
// before validation, which names no field.
func checkNumbers(doc *ast.QueryDocument) *gqlerror.Error {
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			if err := checkNumber("$"+v.Variable, v.DefaultValue); err != nil {
				return err
			}
		}
		if err := checkSelections(op.SelectionSet); err != nil {
			return err
		}
	}
	for _, f := range doc.Fragments {
		if err := checkSelections(f.SelectionSet); err != nil {
			return err
		}
	}
	return nil
}

func checkSelections(set ast.SelectionSet) (err *gqlerror.Error) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			for _, a := range s.Arguments {
				if err = checkNumber(a.Name, a.Value); err != nil {
					return err
				}
			}
			err = checkSelections(s.SelectionSet)
		case *ast.InlineFragment:
			err = checkSelections(s.SelectionSet)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkNumber(at string, v *ast.Value) *gqlerror.Error {
	if v == nil {
		return nil
	}
	if v.Kind == ast.IntValue || v.Kind == ast.FloatValue {
		if _, err := v.Value(nil); err != nil {
			return coded(codeBadUserInput, "%s: %.30s does not fit into 64 bits. Send such JSON as a variable, which keeps every digit.", at, v.Raw)
		}
	}
	for i, child := range v.Children {
		if err := checkNumber(below(at, i, child), child.Value); err != nil {
			return err
		}
	}
	return nil
}

// below names a part of an object or list.
func below(at string, i int, child *ast.ChildValue) string {
	return at + "." + cmp.Or(child.Name, strconv.Itoa(i))
}
