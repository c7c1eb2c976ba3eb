package definition

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// graph is what a document means: indexes of nodes, and who leads to whom.
type graph struct {
	nodes     []Node
	index     map[string]int // the first node of an id
	sequence  bool           // no node says what is next: one after another
	edges     [][]edge       // from each node, in the order of the document
	ancestors []map[int]bool // of each node
	unknown   int            // ids that no node has
}

type edge struct {
	to      int
	outcome string
	onError bool
	path    string // of the id in the document
}

// newGraph reads the edges. What does not lead to another node is reported and left out.
func newGraph(doc *Document, types map[string]Type, report func(Issue)) *graph {
	g := &graph{nodes: doc.Nodes, index: map[string]int{}, sequence: true, edges: make([][]edge, len(doc.Nodes))}
	targets := make([][]Target, len(doc.Nodes))
	for i, n := range doc.Nodes {
		if _, double := g.index[n.ID]; !double && n.ID != "" {
			g.index[n.ID] = i
		}
		targets[i] = types[n.Type].targets(n.Config)
		g.sequence = g.sequence && n.Next == nil && len(targets[i]) == 0
	}
	for i, n := range doc.Nodes {
		base := fmt.Sprintf("/nodes/%d", i)
		if n.Next != nil {
			g.connect(i, n.Next.IDs, edge{path: base + "/next"}, report)
			for _, outcome := range n.Next.Outcomes() {
				g.connect(i, n.Next.When[outcome], edge{outcome: outcome, path: base + "/next" + pointer(outcome)}, report)
			}
		}
		for _, t := range targets[i] {
			g.connect(i, t.IDs, edge{outcome: t.Outcome, path: base + "/config" + t.Path}, report)
		}
		g.connect(i, n.OnError, edge{onError: true, path: base + "/on_error"}, report)
	}
	if g.sequence {
		g.chain()
	}
	g.ancestors = make([]map[int]bool, len(doc.Nodes))
	for i := range doc.Nodes {
		g.ancestors[i] = map[int]bool{}
	}
	for i := range doc.Nodes {
		g.spread(i, i)
	}
	return g
}

// chain leads from each node to the one below it. What only a failure leads to stands aside.
func (g *graph) chain() {
	aside := map[int]bool{}
	for _, edges := range g.edges {
		for _, e := range edges {
			aside[e.to] = true
		}
	}
	last := -1
	for i := range g.nodes {
		if aside[i] {
			continue
		}
		if last >= 0 {
			g.edges[last] = append([]edge{{to: i}}, g.edges[last]...)
		}
		last = i
	}
}

// connect adds an edge like e to each of the ids, which stand at e's path.
func (g *graph) connect(from int, ids []string, e edge, report func(Issue)) {
	path, key := e.path, "next"
	if e.onError {
		key = "on_error"
	}
	for k, id := range ids {
		at := path
		if len(ids) > 1 {
			at = fmt.Sprintf("%s/%d", path, k)
		}
		to, ok := g.index[id]
		switch {
		case id == "": // reported with the structure
		case !ok:
			if g.unknown++; g.unknown > MaxIssues+1 {
				return
			}
			report(Issue{Path: at, Code: CodeUnknownNode, NodeID: g.nodes[from].ID,
				Message: fmt.Sprintf("%q leads to %q, but no node has that id. %s", g.nodes[from].ID, id, g.suggest(id, from))})
		case to == from:
			report(Issue{Path: at, Code: CodeSelfEdge, NodeID: id,
				Message: fmt.Sprintf("%q leads to itself. Remove the id from its %s; failed attempts are repeated by max_retries.", id, key)})
		default:
			e.to, e.path = to, at
			g.edges[from] = append(g.edges[from], e)
		}
	}
}

// spread makes node an ancestor of everything that can be reached from at.
func (g *graph) spread(node, at int) {
	for _, e := range g.edges[at] {
		if !g.ancestors[e.to][node] {
			g.ancestors[e.to][node] = true
			g.spread(node, e.to)
		}
	}
}

// suggest names the nodes that an unknown id may have meant, as seen from another node.
func (g *graph) suggest(id string, from int) string {
	var others []string
	for i, n := range g.nodes {
		if n.ID != "" && i != from {
			others = append(others, n.ID)
		}
	}
	if len(others) == 0 {
		return "There is no other node."
	}
	return suggest(id, others)
}

// cycles reports one cycle for every group of nodes that lead back to each other.
func (g *graph) cycles(report func(Issue)) {
	told := map[int]bool{}
	for start := range g.nodes {
		if !g.ancestors[start][start] || told[start] {
			continue
		}
		cycle := g.cycleFrom(start)
		for i := range g.nodes { // the whole group, not only this way around
			if g.ancestors[i][start] && g.ancestors[start][i] {
				told[i] = true
			}
		}
		names := make([]string, len(cycle))
		for i, e := range cycle {
			names[i] = g.nodes[e.to].ID
		}
		last := cycle[len(cycle)-1]
		report(Issue{Path: last.path, Code: CodeCycle, NodeID: names[len(names)-2], Message: fmt.Sprintf(
			"The nodes lead back to themselves: %s. Remove one of these edges.", strings.Join(names, " → "))})
	}
}

// cycleFrom is the shortest way from start back to start, as edges; the first is a made-up one to start.
func (g *graph) cycleFrom(start int) []edge {
	came := map[int]edge{} // the edge by which a node was reached first
	from := map[int]int{}
	queue := []int{start}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range g.edges[at] {
			if _, seen := came[e.to]; seen {
				continue
			}
			came[e.to], from[e.to] = e, at
			if e.to == start {
				way := []edge{e}
				for n := at; n != start; n = from[n] {
					way = append(way, came[n])
				}
				way = append(way, edge{to: start})
				slices.Reverse(way)
				return way
			}
			queue = append(queue, e.to)
		}
	}
	return []edge{{to: start}, {to: start}}
}

// order sorts the nodes so that each stands behind all that lead to it, and in the order of the
// document where that leaves a choice. Only for graphs without cycles.
func (g *graph) order() []int {
	waiting := make([]int, len(g.nodes))
	for _, edges := range g.edges {
		for _, e := range edges {
			waiting[e.to]++
		}
	}
	order := make([]int, 0, len(g.nodes))
	done := make([]bool, len(g.nodes))
	for len(order) < len(g.nodes) {
		next := 0
		for done[next] || waiting[next] > 0 {
			next++
		}
		done[next] = true
		order = append(order, next)
		for _, e := range g.edges[next] {
			waiting[e.to]--
		}
	}
	return order
}

// DrawnEdge is an edge of a document as it is drawn.
type DrawnEdge struct {
	Edge
	To string
}

// Edges returns the edges of a document, valid or not, in its order.
func Edges(doc *Document, types map[string]Type) []DrawnEdge {
	var drawn []DrawnEdge
	g := newGraph(doc, types, func(Issue) {})
	for from, edges := range g.edges {
		for _, e := range edges {
			drawn = append(drawn, DrawnEdge{Edge{doc.Nodes[from].ID, e.outcome, e.onError}, doc.Nodes[e.to].ID})
		}
	}
	return drawn
}

// targets is what the configuration of a node draws; of an unknown type nothing.
func (t Type) targets(config json.RawMessage) []Target {
	if t.Targets == nil {
		return nil
	}
	return t.Targets(config)
}
