package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"penstock/db"
	"penstock/engine"
	"penstock/engine/definition"
	"penstock/fault"
	"penstock/views"
)

// definitionHistory lists the versions of a definition and compares two of them.
func (s *Server) definitionHistory(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	def, err := s.store.Definition(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	list, err := s.store.DefinitionVersions(ctx, def.ID, pageOf(r))
	if err != nil {
		return err
	}
	page := views.HistoryPage{
		Page: s.frame(w, r, "definitions", def.Name+" history"), Name: def.Name, Newest: def.Version,
		Pager: pagerOf(r, list), CanEdit: may(r, "POST /admin/definitions/{name}/restore"),
	}
	for _, v := range list.Items {
		page.Versions = append(page.Versions, versionRow(&v))
	}
	if page.To, err = versionNumber(r, "to", def.Version); err != nil {
		return err
	}
	if page.From, err = versionNumber(r, "from", max(page.To-1, 1)); err != nil {
		return err
	}
	if page.From != page.To {
		if page.Lines, page.Graph, err = s.compare(r, def.Name, page.From, page.To); err != nil {
			return err
		}
	}
	return s.render(w, r, http.StatusOK, views.History(page), "")
}

func versionRow(v *db.PipelineDefinitionVersion) views.VersionRow {
	return views.VersionRow{Number: v.Number, Author: v.Author, Message: v.Message, CreatedAt: v.CreatedAt}
}

func versionNumber(r *http.Request, key string, otherwise int) (int, error) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return otherwise, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0, fault.New(fault.Invalid, "%s=%q is not a number.", key, text)
	}
	return number, nil
}

// compare says what differs between two versions: in the text, and in the graph.
func (s *Server) compare(r *http.Request, name string, from, to int) ([]views.DiffLine, *views.Graph, error) {
	d, err := s.engine.DiffVersions(r.Context(), name, from, to)
	if err != nil {
		return nil, nil, err
	}
	lines := diffLines(d.Text)
	was, _ := definition.Decode(d.From.Config)
	is, _ := definition.Decode(d.To.Config)
	if was == nil || is == nil {
		return lines, nil, nil
	}
	graph := s.graphDiff(was, is)
	return lines, &graph, nil
}

// diffLines reads a unified diff. Its head is left out; what lies between two places is one line.
func diffLines(unified string) []views.DiffLine {
	var lines []views.DiffLine
	var old, now int
	for text := range strings.Lines(unified) {
		text = strings.TrimSuffix(text, "\n")
		if _, err := fmt.Sscanf(text, "@@ -%d", &old); err == nil {
			if _, after, found := strings.Cut(text, " +"); found {
				_, _ = fmt.Sscanf(after, "%d", &now)
			}
			lines = append(lines, views.DiffLine{Kind: views.DiffGap})
			continue
		}
		if len(lines) == 0 || text == "" {
			continue
		}
		line := views.DiffLine{Text: text[1:]}
		switch text[0] {
		case '-':
			line.Kind, line.Old = views.DiffRemoved, old
			old++
		case '+':
			line.Kind, line.New = views.DiffAdded, now
			now++
		case ' ':
			line.Kind, line.Old, line.New = views.DiffSame, old, now
			old, now = old+1, now+1
		default:
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// graphDiff draws both documents as one: what is new, what is gone, what is different.
func (s *Server) graphDiff(was, is *definition.Document) views.Graph {
	g := views.Graph{Label: "What has changed in the graph"}
	before := map[string]definition.Node{}
	for _, n := range was.Nodes {
		before[n.ID] = n
	}
	for _, n := range is.Nodes {
		node := views.GraphNode{ID: n.ID, Type: n.Type}
		old, known := before[n.ID]
		switch {
		case !known:
			node.Status = "added"
		case !sameNode(old, n):
			node.Status = "changed"
		}
		delete(before, n.ID)
		g.Nodes = append(g.Nodes, node)
	}
	for _, n := range was.Nodes {
		if _, gone := before[n.ID]; gone {
			g.Nodes = append(g.Nodes, views.GraphNode{ID: n.ID, Type: n.Type, Status: "removed", Off: true})
		}
	}
	g.Edges = s.edgesOf(is)
	old := s.edgesOf(was)
	for i, e := range g.Edges {
		if !slices.Contains(old, e) {
			g.Edges[i].State = "done"
		}
	}
	for _, e := range old {
		if !slices.ContainsFunc(g.Edges, func(n views.GraphEdge) bool { return n.From == e.From && n.To == e.To && n.Label == e.Label }) {
			e.State = "off"
			g.Edges = append(g.Edges, e)
		}
	}
	return g
}

// sameNode compares two nodes but for where they lead: the edges show that.
func sameNode(a, b definition.Node) bool {
	a.Next, b.Next, a.OnError, b.OnError = nil, nil, nil, nil
	one, errA := json.Marshal(a)
	two, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(one, two)
}

// definitionRestore saves an older version as the newest.
func (s *Server) definitionRestore(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	number, err := strconv.Atoi(r.PostFormValue("version"))
	newest, errNewest := strconv.Atoi(r.PostFormValue("expected_version"))
	if err != nil || errNewest != nil {
		return fault.New(fault.Invalid, "version and expected_version must be numbers. Load the page again.")
	}
	if _, _, err := s.engine.RollBack(r.Context(), number, engine.DefinitionInput{Name: name, ExpectedVersion: &newest, Actor: actor(r), Admin: isAdmin(r)}); err != nil {
		return err
	}
	return s.done(w, r, views.DefinitionURL(name)+"/history", "restored")
}
