package nodes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// path leads into plain data: "system.disk[0].percent". A name that is a number also counts list
// elements, as in "disk.0.percent".
type path []string

var pathPart = regexp.MustCompile(`^([^.\[\]]*)((?:\[\d{1,9}\])*)$`)

func parsePath(text string) (path, error) {
	var p path
	for i, part := range strings.Split(text, ".") {
		m := pathPart.FindStringSubmatch(part)
		if m == nil || m[1] == "" && (i > 0 || m[2] == "") {
			return nil, fmt.Errorf("%q is not a path. Write names with dots between them and list positions in brackets, like recommendations[0].title", text)
		}
		if m[1] != "" {
			p = append(p, m[1])
		}
		for index := range strings.SplitSeq(strings.Trim(m[2], "[]"), "][") {
			if index != "" {
				p = append(p, index)
			}
		}
	}
	return p, nil
}

// of follows the path into v; what is not there is nil.
func (p path) of(v any) any {
	for _, name := range p {
		switch container := v.(type) {
		case map[string]any:
			v = container[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(container) {
				return nil
			}
			v = container[i]
		default:
			return nil
		}
	}
	return v
}
