package views

import (
	"time"

	"penstock/views/layout"
)

// Editor is what the script of the definition editor begins with. It is JSON in the page.
type Editor struct {
	Name        string          `json:"name"` // "" for a new definition
	User        string          `json:"user"` // who edits
	Types       []EditorType    `json:"types"`
	Channels    []EditorChannel `json:"channels"`
	Definitions []string        `json:"definitions"` // others, that a node can run
	Samples     []EditorSample  `json:"samples"`     // earlier runs, to try a draft with
	Draft       Draft           `json:"draft"`
	DryRun      bool            `json:"dry_run"` // the caller may try drafts
}

// EditorType is a node type; the published schema says the rest.
type EditorType struct {
	Name string `json:"name"`
	Icon string `json:"icon"`
}

// EditorChannel is a stored channel.
type EditorChannel struct {
	Name   string `json:"name"`
	Driver string `json:"driver"`
}

// EditorSample is an earlier run.
type EditorSample struct {
	Run        string    `json:"run"`
	Definition string    `json:"definition"`
	Source     string    `json:"source"`
	Status     string    `json:"status"`
	At         time.Time `json:"at"`
}

// MatchTry is what a rule says of stored alerts, the newest first.
type MatchTry struct {
	Alerts []MatchedAlert `json:"alerts"`
}

// MatchedAlert is an alert that a rule was tried on.
type MatchedAlert struct {
	Name     string    `json:"name"`
	Host     string    `json:"host"`
	Severity string    `json:"severity"`
	At       time.Time `json:"at"`
	Matched  bool      `json:"matched"`
	Why      string    `json:"why,omitempty"` // it could not be asked
}

// Draft is what the server says about a document that is being edited.
type Draft struct {
	Issues []DraftIssue `json:"issues"`
	Boxes  []layout.Box `json:"boxes"` // of the nodes, in their order; none if it cannot be read
	Lines  []DraftLine  `json:"lines"`
	Down   bool         `json:"down"`           // edges lead down, not to the right
	JSON   string       `json:"json,omitempty"` // the document as JSON, if it is YAML
}

// DraftIssue is one thing that is wrong, or may be.
type DraftIssue struct {
	Severity string `json:"severity"` // error, warning
	Message  string `json:"message"`
	Path     string `json:"path"`           // JSON pointer
	Line     int    `json:"line,omitempty"` // with Column, from 1: where in the expression at Path
	Column   int    `json:"column,omitempty"`
}

// DraftLine is the way of an edge.
type DraftLine struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
	layout.Line
}
