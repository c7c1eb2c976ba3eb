package server

import (
	"encoding/json"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/views"
)

// definitionGraph is the drawing of a document; problems counts the errors of each node.
func definitionGraph(doc *definition.Document, problems map[string]int) views.Graph {
	g := views.Graph{Label: "Graph of the definition", Edges: edgesOf(doc), Down: true}
	for _, n := range doc.Nodes {
		g.Nodes = append(g.Nodes, views.GraphNode{ID: n.ID, Type: n.Type, Issues: problems[n.ID]})
	}
	return g
}

// edgesOf are the edges of a document as it is written, valid or not: without any "next" each node
// leads to the one below it.
func edgesOf(doc *definition.Document) []views.GraphEdge {
	var edges []views.GraphEdge
	written := false
	for _, n := range doc.Nodes {
		if n.Next == nil {
			continue
		}
		written = true
		for _, to := range n.Next.IDs {
			edges = append(edges, views.GraphEdge{From: n.ID, To: to})
		}
		for _, outcome := range n.Next.Outcomes() {
			for _, to := range n.Next.When[outcome] {
				edges = append(edges, views.GraphEdge{From: n.ID, To: to, Label: outcome})
			}
		}
	}
	if !written {
		for i := 1; i < len(doc.Nodes); i++ {
			edges = append(edges, views.GraphEdge{From: doc.Nodes[i-1].ID, To: doc.Nodes[i].ID})
		}
	}
	return edges
}

// runGraph is the drawing of a run: what each node did and which edges were taken.
func runGraph(runID, current string, doc *definition.Document, stages []views.Stage, newest map[string]db.StageExecution) views.Graph {
	g := views.Graph{Label: "Graph of the run", Edges: edgesOf(doc), Current: current, Swap: "#panel"}
	for _, s := range stages {
		g.Nodes = append(g.Nodes, views.GraphNode{
			ID: s.ID, Type: s.Type, Status: s.Status, Off: s.Status == string(db.StageSkipped), URL: views.StageURL(runID, s.ID),
		})
	}
	for i, e := range g.Edges {
		from, left := newest[e.From]
		to, reached := newest[e.To]
		switch {
		case left && from.Status == db.StageSkipped, reached && to.Status == db.StageSkipped:
			g.Edges[i].State = "off"
		case left && from.Status.Done() && e.Label != "" && branchOf(from.Output) != e.Label:
			g.Edges[i].State = "off"
		case reached && left:
			g.Edges[i].State = "done"
		}
	}
	return g
}

// branchOf is the outcome of a condition.
func branchOf(output json.RawMessage) string {
	var out struct {
		Branch string `json:"branch"`
	}
	_ = json.Unmarshal(output, &out) // no branch is ""
	return out.Branch
}
