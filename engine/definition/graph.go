package definition

import (
	"fmt"
	"slices"
	"strings"
)

// graph is what a document means: indexes of nodes, and who leads to whom.
type graph struct {
	nodes     []Node
	index     map[string]int // the first node of an id
	sequence  bool           // no node has next: one after another
	edges     [][]edge       // from each node, in the order of the document
	ancestors []map[int]bool // of each node
}

type edge struct {
	to      int
	outcome string
	path    string // of the id in the document
}

// newGraph reads the edges. What does not lead to another node is reported and left out.
func newGraph(doc *Document, report func(Issue)) *graph {
	g := &graph{nodes: doc.Nodes, index: map[string]int{}, sequence: true, edges: make([][]edge, len(doc.Nodes))}
	for i, n := range doc.Nodes {
		if _, double := g.index[n.ID]; !double && n.ID != "" {
			g.index[n.ID] = i
		}
		g.sequence = g.sequence && n.Next == nil
	}
	for i, n := range doc.Nodes {
		if g.sequence {
			if i+1 < len(doc.Nodes) {
				g.edges[i] = []edge{{to: i + 1}}
			}
			continue
		}
		if n.Next == nil {
			continue
		}
		path := fmt.Sprintf("/nodes/%d/next", i)
		g.connect(i, n.Next.IDs, "", path, report)
		for _, outcome := range n.Next.Outcomes() {
			g.connect(i, n.Next.When[outcome], outcome, path+pointer(outcome), report)
		}
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

func (g *graph) connect(from int, ids []string, outcome, path string, report func(Issue)) {
	for k, id := range ids {
		at := path
		if len(ids) > 1 {
			at = fmt.Sprintf("%s/%d", path, k)
		}
		to, ok := g.index[id]
		switch {
		case id == "": // reported with the structure
		case !ok:
			report(Issue{Path: at, Code: CodeUnknownNode, NodeID: g.nodes[from].ID,
				Message: fmt.Sprintf("%q leads to %q, but no node has that id. %s", g.nodes[from].ID, id, g.suggest(id, from))})
		case to == from:
			report(Issue{Path: at, Code: CodeSelfEdge, NodeID: id,
				Message: fmt.Sprintf("%q leads to itself. Remove the id from its next; failed attempts are repeated by max_retries.", id)})
		default:
			g.edges[from] = append(g.edges[from], edge{to: to, outcome: outcome, path: at})
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
