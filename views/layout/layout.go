// Package layout places the nodes of a small directed graph in layers, from left to right or from top
// to bottom, and routes the edges between them so that no edge crosses a node. It is deterministic:
// the same graph always looks the same, and nodes keep the order they are given in where nothing
// speaks against it.
package layout

import (
	"cmp"
	"math"
	"slices"
)

// Size of a node, in SVG units.
const (
	NodeWidth  = 184
	NodeHeight = 46
)

// Direction in which edges lead.
type Direction struct {
	down         bool
	depth, width float64 // of a node, along the edges and across
	layerGap     float64 // between layers
	nodeGap      float64 // between nodes of a layer
}

// Right is for wide places, Down for narrow ones.
var (
	Right = Direction{depth: NodeWidth, width: NodeHeight, layerGap: 46, nodeGap: 20}
	Down  = Direction{down: true, depth: NodeHeight, width: NodeWidth, layerGap: 36, nodeGap: 16}
)

const passWidth = 8 // room for an edge that passes a layer

// Edge leads from one node to another.
type Edge struct{ From, To string }

// Drawing is a placed graph. Boxes are in the order of the nodes, Lines in the order of the edges.
type Drawing struct {
	Width, Height int
	Boxes         []Box
	Lines         []Line
}

// Box is where a node is: its top left corner.
type Box struct {
	X int `json:"x"`
	Y int `json:"y"`
}

// Line is the way of an edge: a path, where it arrives, and where a label fits.
type Line struct {
	Path   string `json:"path"`
	EndX   int    `json:"end_x"`
	EndY   int    `json:"end_y"`
	LabelX int    `json:"label_x"`
	LabelY int    `json:"label_y"`
}

// item is a node or the place where an edge passes a layer.
type item struct {
	layer         int
	width         float64
	at            float64 // its middle, across the direction
	before, after []int   // neighbours in the layers beside
}

type graph struct {
	Direction
	items  []item
	layers [][]int // items by layer, in their order
}

// Draw places the nodes. Edges that close a cycle are drawn, but do not count for the order; edges of
// unknown nodes get an empty path.
func Draw(nodes []string, edges []Edge, direction Direction) Drawing {
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
	g := &graph{Direction: direction}
	for _, layer := range rank(len(nodes), links, forward) {
		g.items = append(g.items, item{layer: layer, width: g.width})
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
			g.items = append(g.items, item{layer: layer, width: passWidth})
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

// align gives every item a place: as near to the middle of its neighbours as the order allows.
func (g *graph) align() {
	for _, layer := range g.layers {
		at := 0.0
		for _, i := range layer {
			g.items[i].at = at + g.items[i].width/2
			at += g.items[i].width + g.nodeGap
		}
	}
	for pass := range 24 {
		for n := range g.layers {
			l := n
			if pass%2 == 1 {
				l = len(g.layers) - 1 - n
			}
			g.settle(g.layers[l])
		}
		if pass > 12 {
			g.straighten()
		}
	}
}

// settle moves the items of a layer towards their neighbours. Pushing all one way and pushing all the
// other way are both without overlap, and so is the middle of the two.
func (g *graph) settle(layer []int) {
	want := make([]float64, len(layer))
	for p, i := range layer {
		it := g.items[i]
		want[p] = it.at
		near := append(slices.Clone(it.before), it.after...)
		if len(near) == 0 {
			continue
		}
		sum, weights := 0.0, 0.0
		for _, n := range near {
			weight := 1.0
			if g.only(i, n) || g.only(n, i) {
				weight = 6
			}
			sum, weights = sum+weight*g.items[n].at, weights+weight
		}
		want[p] = sum / weights
	}
	up, down := slices.Clone(want), slices.Clone(want)
	apart := func(p int) float64 {
		return (g.items[layer[p-1]].width+g.items[layer[p]].width)/2 + g.nodeGap
	}
	for p := 1; p < len(layer); p++ {
		up[p] = max(up[p], up[p-1]+apart(p))
	}
	for p := len(layer) - 2; p >= 0; p-- {
		down[p] = min(down[p], down[p+1]-apart(p+1))
	}
	for p, i := range layer {
		g.items[i].at = (up[p] + down[p]) / 2
	}
}

// only reports whether a leads to b alone, and b comes from a alone.
func (g *graph) only(a, b int) bool {
	return len(g.items[a].after) == 1 && len(g.items[b].before) == 1 && g.items[a].after[0] == b
}

// straighten puts the items of a chain in one line where the layers have room for it.
func (g *graph) straighten() {
	done := make([]bool, len(g.items))
	for start := range g.items {
		if done[start] || len(g.items[start].before) == 1 && g.only(g.items[start].before[0], start) {
			continue
		}
		chain, sum := []int{start}, g.items[start].at
		for last := start; len(g.items[last].after) == 1 && g.only(last, g.items[last].after[0]); {
			last = g.items[last].after[0]
			chain, sum = append(chain, last), sum+g.items[last].at
		}
		g.inLine(chain, sum/float64(len(chain)))
		for _, i := range chain {
			done[i] = true
		}
	}
}

// inLine moves a chain to the place of its members that is nearest to their mean and fits all.
func (g *graph) inLine(chain []int, mean float64) {
	places := []float64{mean}
	for _, i := range chain {
		places = append(places, g.items[i].at)
	}
	slices.SortFunc(places, func(a, b float64) int { return cmp.Compare(math.Abs(a-mean), math.Abs(b-mean)) })
	for _, at := range places {
		if !slices.ContainsFunc(chain, func(i int) bool { return !g.fits(i, at) }) {
			for _, i := range chain {
				g.items[i].at = at
			}
			return
		}
	}
}

// fits reports whether an item can be moved without coming too near to the others of its layer.
func (g *graph) fits(i int, at float64) bool {
	layer := g.layers[g.items[i].layer]
	p := slices.Index(layer, i)
	for _, q := range []int{p - 1, p + 1} {
		if q < 0 || q >= len(layer) {
			continue
		}
		distance := at - g.items[layer[q]].at
		if q > p {
			distance = -distance
		}
		if distance < (g.items[i].width+g.items[layer[q]].width)/2+g.nodeGap {
			return false
		}
	}
	return true
}

func clone(layers [][]int) [][]int {
	out := make([][]int, len(layers))
	for i, l := range layers {
		out[i] = slices.Clone(l)
	}
	return out
}
