package server

import (
	"context"
	"slices"
	"strings"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

// gridRuns is how many runs the grid of a definition shows, the newest.
const gridRuns = 20

// grid is what the newest runs of a definition did at each node, the oldest of them first. Nodes that only
// older versions have are left out.
func (s *Server) grid(ctx context.Context, runs []views.RunRow, nodes []string) (*views.Grid, error) {
	if len(runs) == 0 || len(nodes) == 0 {
		return nil, nil
	}
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	states, err := s.store.StageStatesByRun(ctx, ids)
	if err != nil {
		return nil, err
	}
	g := &views.Grid{Runs: slices.Clone(runs)}
	slices.Reverse(g.Runs)
	for _, node := range nodes {
		row := views.GridRow{Node: node}
		for _, r := range g.Runs {
			row.States = append(row.States, string(states[r.ID][node]))
		}
		g.Rows = append(g.Rows, row)
	}
	return g, nil
}

// recentRuns is how many runs of each definition its list shows.
const recentRuns = 10

// addRecent adds the newest runs, the oldest of them first, to the rows of definitions.
func (s *Server) addRecent(ctx context.Context, definitions []db.PipelineDefinition, rows []views.DefinitionRow) error {
	ids := make([]string, len(definitions))
	for i, d := range definitions {
		ids[i] = d.ID
	}
	recent, err := s.store.RunsByDefinition(ctx, ids, recentRuns)
	for i, id := range ids {
		for _, run := range slices.Backward(recent[id].Items) {
			rows[i].Recent = append(rows[i].Recent, runRowOf(&run))
		}
	}
	return err
}

// tagOf reads "name:value".
func tagOf(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return nil, fault.New(fault.Invalid, "tag=%q is not of the form name:value.", text)
	}
	return map[string]string{name: value}, nil
}

// tagsText is tags as a person writes them: name:value, name:value.
func tagsText(tags map[string]string) string {
	var parts []string
	for _, t := range sortedTags(tags) {
		parts = append(parts, t.Name+":"+t.Value)
	}
	return strings.Join(parts, ", ")
}

// tagsFrom reads [tagsText].
func tagsFrom(text string) (map[string]string, error) {
	tags := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return nil, fault.New(fault.Invalid, "The tag %q is not of the form name:value. Commas separate tags.", part)
		}
		if _, twice := tags[name]; twice {
			return nil, fault.New(fault.Invalid, "The tag %q is there twice.", name)
		}
		tags[name] = value
	}
	return tags, nil
}
