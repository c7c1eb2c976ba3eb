package layout

import (
	"fmt"
	"math"
	"strings"
)

const (
	margin = 3 // room for thick outlines
	tip    = 7 // length of an arrow head
)

// drawing turns places into coordinates.
func (g *graph) drawing(nodes int, links [][2]int, chains [][]int) Drawing {
	if nodes == 0 {
		return Drawing{}
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, it := range g.items {
		low, high = min(low, it.at-it.width/2), max(high, it.at+it.width/2)
	}
	for i := range g.items {
		g.items[i].at += margin - low
	}
	depth := 2*margin + float64(len(g.layers))*(g.depth+g.layerGap) - g.layerGap
	width := high - low + 2*margin
	var d Drawing
	d.Width, d.Height = g.turn(math.Ceil(depth), math.Ceil(width))
	for i := range nodes {
		x, y := g.turn(g.begin(i), g.items[i].at-g.width/2)
		d.Boxes = append(d.Boxes, Box{X: x, Y: y})
	}
	for i, l := range links {
		if l[0] < 0 {
			d.Lines = append(d.Lines, Line{})
			continue
		}
		d.Lines = append(d.Lines, g.line(l[0], l[1], chains[i]))
	}
	return d
}

// begin is where an item begins along the direction.
func (g *graph) begin(i int) float64 {
	return margin + float64(g.items[i].layer)*(g.depth+g.layerGap)
}

// turn makes coordinates of a place along and across the direction.
func (g *graph) turn(along, across float64) (x, y int) {
	if g.down {
		along, across = across, along
	}
	return int(math.Round(along)), int(math.Round(across))
}

// line leads from one item over the passes to another.
func (g *graph) line(from, to int, passes []int) Line {
	var path strings.Builder
	along, across := g.begin(from)+g.depth, g.items[from].at
	point := func(command string, places ...float64) {
		path.WriteString(command)
		for i := 0; i < len(places); i += 2 {
			x, y := g.turn(places[i], places[i+1])
			if i > 0 {
				path.WriteByte(' ')
			}
			fmt.Fprintf(&path, "%d %d", x, y)
		}
	}
	point("M", along, across)
	lead := func(toAlong, toAcross float64) {
		if math.Round(toAcross) == math.Round(across) && toAlong > along {
			point("L", toAlong, across)
		} else {
			half := max((toAlong-along)/2, g.layerGap/2)
			point("C", along+half, across, toAlong-half, toAcross, toAlong, toAcross)
		}
		along, across = toAlong, toAcross
	}
	var line Line
	line.EndX, line.EndY = g.turn(g.begin(to), g.items[to].at)
	// A label sits where the edge has left its node but not yet met others.
	nextAlong, nextAcross := g.begin(to)-tip, g.items[to].at
	if len(passes) > 0 {
		nextAlong, nextAcross = g.begin(passes[0]), g.items[passes[0]].at
	}
	line.LabelX, line.LabelY = g.turn((along+nextAlong)/2, (across+nextAcross)/2)
	for _, p := range passes {
		lead(g.begin(p), g.items[p].at)
		along += g.depth
		point("L", along, across)
	}
	lead(g.begin(to)-tip, g.items[to].at)
	line.Path = path.String()
	return line
}
