// Package layout places the nodes of a small directed graph in layers from left to right and routes
// the edges between them so that no edge crosses a node. It is deterministic: the same graph always
// looks the same, and nodes keep the order they are given in where nothing speaks against it.
package layout

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Sizes of a drawing, in SVG units.
const (
	NodeWidth  = 184
	NodeHeight = 46
	layerGap   = 64
	nodeGap    = 20
	passHeight = 8 // room for an edge that passes a layer
)

// Edge leads from one node to another.
type Edge struct{ From, To string }

// Drawing is a placed graph. Boxes are in the order of the nodes, Lines in the order of the edges.
type Drawing struct {
	Width, Height int
	Boxes         []Box
	Lines         []Line
}

// Box is where a node is: its top left corner.
type Box struct{ X, Y int }

// Line is the way of an edge: a path, where it arrives, and where a label fits.
type Line struct {
	Path           string
	EndX, EndY     int
	LabelX, LabelY int
}

// item is a node or the place where an edge passes a layer.
type item struct {
	layer         int
	height        float64
	y             float64 // centre
	before, after []int   // neighbours in the layers beside
}

type graph struct {
	items  []item
	layers [][]int // items by layer, from top to bottom
}

// Draw places the nodes. Edges that close a cycle are drawn, but do not count for the order; edges of
// unknown nodes get an empty path.
func Draw(nodes []string, edges []Edge) Drawing {
	index := make(map[string]int, len(nodes))
	for i, id := range nodes {
		index[id] = i
	}
	links := make([][2]int, len(edges))
	for i, e := range edges {
		from, okFrom := index[e.From]
		to, okTo := index[e.To]
		if !okFrom || !okTo || from == to {
			from, to = -1, -1
		}
		links[i] = [2]int{from, to}
	}
	forward := breakCycles(len(nodes), links)
	g := &graph{}
	for _, layer := range rank(len(nodes), links, forward) {
		g.items = append(g.items, item{layer: layer, height: NodeHeight})
	}
	chains := g.addPasses(links, forward)
	g.order()
	g.align()
	return g.drawing(len(nodes), links, chains)
}

// breakCycles reports for every link whether it leads forward in a depth-first walk.
func breakCycles(n int, links [][2]int) []bool {
	out := make([][]int, n)
	for i, l := range links {
		if l[0] >= 0 {
			out[l[0]] = append(out[l[0]], i)
		}
	}
	forward := make([]bool, len(links))
	state := make([]int, n) // 0 new, 1 on the way, 2 done
	var walk func(int)
	walk = func(node int) {
		state[node] = 1
		for _, i := range out[node] {
			to := links[i][1]
			forward[i] = state[to] != 1
			if state[to] == 0 {
				walk(to)
			}
		}
		state[node] = 2
	}
	for node := range n {
		if state[node] == 0 {
			walk(node)
		}
	}
	return forward
}

// rank is the layer of each node: one after its last predecessor; a node without one moves up to its
// first successor.
func rank(n int, links [][2]int, forward []bool) []int {
	layer := make([]int, n)
	for changed := true; changed; {
		changed = false
		for i, l := range links {
			if forward[i] && layer[l[1]] <= layer[l[0]] {
				layer[l[1]] = layer[l[0]] + 1
				changed = true
			}
		}
	}
	for node := range n {
		nearest, first := math.MaxInt, true
		for i, l := range links {
			if forward[i] && l[1] == node {
				first = false
			}
			if forward[i] && l[0] == node {
				nearest = min(nearest, layer[l[1]]-1)
			}
		}
		if first && nearest != math.MaxInt {
			layer[node] = nearest
		}
	}
	return layer
}

// addPasses splits long links into steps of one layer and returns, by link, the items on its way.
func (g *graph) addPasses(links [][2]int, forward []bool) [][]int {
	chains := make([][]int, len(links))
	for i, l := range links {
		if !forward[i] {
			continue
		}
		at := l[0]
		for layer := g.items[l[0]].layer + 1; layer < g.items[l[1]].layer; layer++ {
			g.items = append(g.items, item{layer: layer, height: passHeight})
			pass := len(g.items) - 1
			g.join(at, pass)
			chains[i] = append(chains[i], pass)
			at = pass
		}
		g.join(at, l[1])
	}
	for i, it := range g.items {
		for len(g.layers) <= it.layer {
			g.layers = append(g.layers, nil)
		}
		g.layers[it.layer] = append(g.layers[it.layer], i)
	}
	return chains
}

func (g *graph) join(a, b int) {
	g.items[a].after = append(g.items[a].after, b)
	g.items[b].before = append(g.items[b].before, a)
}

// order sorts the layers by the mean place of their neighbours, to and fro, and keeps the order with
// the fewest crossings.
func (g *graph) order() {
	best, fewest := clone(g.layers), g.crossings()
	for sweep := 0; sweep < 12 && fewest > 0; sweep++ {
		if sweep%2 == 0 {
			for l := 1; l < len(g.layers); l++ {
				g.sortLayer(l, l-1, func(i int) []int { return g.items[i].before })
			}
		} else {
			for l := len(g.layers) - 2; l >= 0; l-- {
				g.sortLayer(l, l+1, func(i int) []int { return g.items[i].after })
			}
		}
		if c := g.crossings(); c < fewest {
			best, fewest = clone(g.layers), c
		}
	}
	g.layers = best
}

func (g *graph) sortLayer(layer, beside int, neighbours func(int) []int) {
	place := map[int]float64{}
	for p, i := range g.layers[beside] {
		place[i] = float64(p)
	}
	weight := map[int]float64{}
	for p, i := range g.layers[layer] {
		weight[i] = float64(p)
		if near := neighbours(i); len(near) > 0 {
			sum := 0.0
			for _, n := range near {
				sum += place[n]
			}
			weight[i] = sum / float64(len(near))
		}
	}
	slices.SortStableFunc(g.layers[layer], func(a, b int) int {
		switch {
		case weight[a] < weight[b]:
			return -1
		case weight[a] > weight[b]:
			return 1
		}
		return 0
	})
}

func (g *graph) crossings() int {
	place := make([]int, len(g.items))
	for _, layer := range g.layers {
		for p, i := range layer {
			place[i] = p
		}
	}
	crossings := 0
	for _, layer := range g.layers {
		var steps [][2]int
		for _, i := range layer {
			for _, to := range g.items[i].after {
				steps = append(steps, [2]int{place[i], place[to]})
			}
		}
		for a := range steps {
			for b := a + 1; b < len(steps); b++ {
				if (steps[a][0]-steps[b][0])*(steps[a][1]-steps[b][1]) < 0 {
					crossings++
				}
			}
		}
	}
	return crossings
}

// align gives every item a height: as near to the middle of its neighbours as the order allows.
func (g *graph) align() {
	for _, layer := range g.layers {
		y := 0.0
		for _, i := range layer {
			g.items[i].y = y + g.items[i].height/2
			y += g.items[i].height + nodeGap
		}
	}
	for pass := range 16 {
		for n := range g.layers {
			l := n
			if pass%2 == 1 {
				l = len(g.layers) - 1 - n
			}
			g.settle(g.layers[l])
		}
	}
}

// settle moves the items of a layer towards their neighbours. Pushing all down and pushing all up are
// both without overlap, and so is the middle of the two.
func (g *graph) settle(layer []int) {
	want := make([]float64, len(layer))
	for p, i := range layer {
		it := g.items[i]
		want[p] = it.y
		near := append(slices.Clone(it.before), it.after...)
		if len(near) == 0 {
			continue
		}
		sum := 0.0
		for _, n := range near {
			sum += g.items[n].y
		}
		want[p] = sum / float64(len(near))
	}
	down, up := slices.Clone(want), slices.Clone(want)
	apart := func(p int) float64 {
		return (g.items[layer[p-1]].height+g.items[layer[p]].height)/2 + nodeGap
	}
	for p := 1; p < len(layer); p++ {
		down[p] = max(down[p], down[p-1]+apart(p))
	}
	for p := len(layer) - 2; p >= 0; p-- {
		up[p] = min(up[p], up[p+1]-apart(p+1))
	}
	for p, i := range layer {
		g.items[i].y = (down[p] + up[p]) / 2
	}
}

func (g *graph) drawing(nodes int, links [][2]int, chains [][]int) Drawing {
	top, bottom := math.Inf(1), math.Inf(-1)
	for _, it := range g.items {
		top, bottom = min(top, it.y-it.height/2), max(bottom, it.y+it.height/2)
	}
	if nodes == 0 {
		return Drawing{}
	}
	const margin = 3 // room for thick outlines
	x := func(i int) int { return margin + g.items[i].layer*(NodeWidth+layerGap) }
	y := func(i int) int { return int(math.Round(g.items[i].y-top)) + margin }
	d := Drawing{
		Width:  2*margin + len(g.layers)*NodeWidth + (len(g.layers)-1)*layerGap,
		Height: int(math.Ceil(bottom-top)) + 2*margin,
	}
	for i := range nodes {
		d.Boxes = append(d.Boxes, Box{X: x(i), Y: y(i) - NodeHeight/2})
	}
	for i, l := range links {
		if l[0] < 0 {
			d.Lines = append(d.Lines, Line{})
			continue
		}
		const tip = 7 // the arrow head
		var path strings.Builder
		atX, atY := x(l[0])+NodeWidth, y(l[0])
		fmt.Fprintf(&path, "M%d %d", atX, atY)
		bend := func(toX, toY int) {
			if toY == atY && toX > atX {
				fmt.Fprintf(&path, "H%d", toX)
			} else {
				half := max((toX-atX)/2, layerGap/2)
				fmt.Fprintf(&path, "C%d %d %d %d %d %d", atX+half, atY, toX-half, toY, toX, toY)
			}
			atX, atY = toX, toY
		}
		line := Line{EndX: x(l[1]), EndY: y(l[1])}
		// The label sits where the edge has left its node but not yet met others.
		firstX, firstY := line.EndX-tip, line.EndY
		if len(chains[i]) > 0 {
			firstX, firstY = x(chains[i][0]), y(chains[i][0])
		}
		line.LabelX, line.LabelY = (atX+firstX)/2, (atY+firstY)/2-5
		for _, pass := range chains[i] {
			bend(x(pass), y(pass))
			fmt.Fprintf(&path, "H%d", x(pass)+NodeWidth)
			atX = x(pass) + NodeWidth
		}
		bend(line.EndX-tip, line.EndY)
		line.Path = path.String()
		d.Lines = append(d.Lines, line)
	}
	return d
}

func clone(layers [][]int) [][]int {
	out := make([][]int, len(layers))
	for i, l := range layers {
		out[i] = slices.Clone(l)
	}
	return out
}
