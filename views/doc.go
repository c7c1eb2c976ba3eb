// Package views is the HTML: templ components and the small structs they show. A component is a pure
// function of its arguments: it reads no clock, no store and no request, so that a golden file can
// hold it. Every page works without JavaScript; the parts that HTMX replaces are fragments
// ([templ.Fragment]) of the same page, so the two cannot differ.
//
// The Content-Security-Policy allows neither inline scripts nor style attributes: behaviour is in
// assets, measures of drawings are SVG attributes.
package views

//go:generate go tool templ generate
