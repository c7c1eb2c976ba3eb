package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// valuesPerCost is how many values of an introspection cost 1: they come from memory.
const valuesPerCost = 10

// schemaLengths estimate how much an operation asks for about the schema itself, which gqlgen's walk of the
// costs leaves out. A few thousand bytes of such fields can ask for megabytes.
type schemaLengths struct {
	average map[string]float64 // length of a list of `__schema`, of an average type or an average field, by the field's name
	largest map[string]float64 // the longest, for a type that the caller chooses
}

func measureSchema(s *ast.Schema) schemaLengths {
	total, largest := map[string]float64{}, map[string]float64{}
	count := func(name string, n int) {
		total[name] += float64(n)
		largest[name] = max(largest[name], float64(n))
	}
	fields := 0.0
	for _, t := range s.Types {
		if t.Kind == ast.InputObject {
			count("inputFields", len(t.Fields))
		} else {
			count("fields", len(t.Fields))
			fields += float64(len(t.Fields))
			for _, f := range t.Fields {
				count("args", len(f.Arguments))
			}
		}
		count("enumValues", len(t.EnumValues))
		count("interfaces", len(t.Interfaces))
		if t.Kind == ast.Interface || t.Kind == ast.Union {
			count("possibleTypes", len(s.GetPossibleTypes(t)))
		}
	}
	average := map[string]float64{"types": float64(len(s.Types)), "directives": float64(len(s.Directives))}
	for name, n := range total {
		average[name] = n / float64(len(s.Types))
	}
	average["args"] = total["args"] / max(fields, 1)
	return schemaLengths{average, largest}
}

// cost is what the fields about the schema add to the cost of an operation.
func (i schemaLengths) cost(set ast.SelectionSet) int {
	seen := map[string]float64{}
	total := 0.0
	var visit func(ast.SelectionSet)
	visit = func(set ast.SelectionSet) { // the root fields
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				switch s.Name {
				case "__schema":
					total += i.values(s.SelectionSet, i.average, "average", seen)
				case "__type":
					total += i.values(s.SelectionSet, i.largest, "largest", seen)
				}
			case *ast.InlineFragment:
				visit(s.SelectionSet)
			case *ast.FragmentSpread:
				visit(s.Definition.SelectionSet)
			}
		}
	}
	visit(set)
	return int(min(total/valuesPerCost, 1<<31-1))
}

// values counts what a selection of one object writes. seen keeps that of fragments, which may spread each other.
func (i schemaLengths) values(set ast.SelectionSet, lengths map[string]float64, of string, seen map[string]float64) float64 {
	n := 0.0
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			length, isList := lengths[s.Name]
			if s.Name == "ofType" {
				length, isList = 0.5, true // most types have none
			}
			if !isList {
				length = 1
			}
			n += 1 + length*i.values(s.SelectionSet, lengths, of, seen)
		case *ast.InlineFragment:
			n += i.values(s.SelectionSet, lengths, of, seen)
		case *ast.FragmentSpread:
			key := of + " " + s.Name
			if _, ok := seen[key]; !ok {
				seen[key] = i.values(s.Definition.SelectionSet, lengths, of, seen)
			}
			n += seen[key]
		}
	}
	return n
}

func isIntrospection(field string) bool { return strings.HasPrefix(field, "__") }
