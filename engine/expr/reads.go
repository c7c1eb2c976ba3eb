package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// Read is a value that an expression looks at.
type Read struct {
	Path    string // as it may be written: alert.labels.team
	Value   any
	Missing bool
}

// Variables returns the names of the variables that the expression uses, each once.
func (p *Program) Variables() []string {
	var names []string
	for _, path := range p.reads {
		if !slices.Contains(names, path[0]) {
			names = append(names, path[0])
		}
	}
	return names
}

// Reads returns what the expression finds under the paths that it names, in the order of its text.
func (p *Program) Reads(vars Vars) []Read {
	reads := make([]Read, len(p.reads))
	for i, path := range p.reads {
		r := Read{Path: strings.Join(path, ".")}
		value, ok := activation{vars}.ResolveName(path[0])
		for _, key := range path[1:] {
			object, isObject := value.(map[string]any)
			if !isObject {
				ok = false
				break
			}
			if value, ok = object[key]; !ok {
				break
			}
		}
		if r.Missing = !ok; ok {
			r.Value = value
		}
		reads[i] = r
	}
	return reads
}

// note keeps the path that an expression is, unless it is part of a longer one.
func (p *Program) note(e ast.Expr, inner map[int64]bool) {
	if inner[e.ID()] {
		return
	}
	var path []string
	for at := e; ; {
		if at.Kind() == ast.IdentKind {
			name := strings.TrimPrefix(at.AsIdent(), ".")
			if !slices.Contains(p.options.names(), name) {
				return // the variable of a loop
			}
			path = append(path, name)
			break
		}
		of, key, ok := selection(at)
		if !ok {
			return
		}
		path = append(path, key)
		at = of
	}
	slices.Reverse(path)
	for at := e; at.Kind() != ast.IdentKind; {
		at, _, _ = selection(at)
		inner[at.ID()] = true
	}
	if !slices.ContainsFunc(p.reads, func(known []string) bool { return slices.Equal(known, path) }) {
		p.reads = append(p.reads, path)
	}
}
