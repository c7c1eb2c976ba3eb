package server

import (
	"encoding/json"

	"penstock/db"
	"penstock/engine/definition"
	"penstock/views"
)

// definitionGraph is the drawing of a document; problems counts the errors of each node.
func (s *Server) definitionGraph(doc *definition.Document, problems map[string]int) views.Graph {
	g := views.Graph{Label: "Graph of the definition", Edges: s.edgesOf(doc), Down: true}
	for _, n := range doc.Nodes {
		g.Nodes = append(g.Nodes, views.GraphNode{ID: n.ID, Type: n.Type, Issues: problems[n.ID]})
	}
	return g
}

// edgesOf are the edges of a document as it is written, valid or not.
func (s *Server) edgesOf(doc *definition.Document) []views.GraphEdge {
	var edges []views.GraphEdge
	for _, e := range s.engine.Edges(doc) {
		label := e.Outcome
		if e.OnError {
			label = onError
		}
		edges = append(edges, views.GraphEdge{From: e.From, To: e.To, Label: label})
	}
	return edges
}

const onError = "on error"

// runGraph is the drawing of a run: what each node did and which edges were taken.
func (s *Server) runGraph(runID, current string, doc *definition.Document, stages []views.Stage, newest map[string]db.StageExecution) views.Graph {
	g := views.Graph{Label: "Graph of the run", Edges: s.edgesOf(doc), Current: current, Swap: "#panel"}
	for _, stage := range stages {
		g.Nodes = append(g.Nodes, views.GraphNode{
			ID: stage.ID, Type: stage.Type, Status: stage.Status, Off: stage.Status == string(db.StageSkipped), URL: views.StageURL(runID, stage.ID),
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
