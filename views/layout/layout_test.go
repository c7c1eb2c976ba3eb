package layout_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"penstock/views/layout"
)

func TestDraw(t *testing.T) {
	t.Parallel()

	t.Run("a chain is one straight line", func(t *testing.T) {
		t.Parallel()
		d := layout.Draw([]string{"a", "b", "c"}, []layout.Edge{{"a", "b"}, {"b", "c"}}, layout.Right)
		for i := 1; i < len(d.Boxes); i++ {
			if d.Boxes[i].Y != d.Boxes[0].Y || d.Boxes[i].X <= d.Boxes[i-1].X {
				t.Errorf("boxes %v, want one row from left to right", d.Boxes)
			}
		}
	})

	t.Run("branches lie side by side around their source", func(t *testing.T) {
		t.Parallel()
		d := layout.Draw([]string{"a", "b", "c", "d"}, []layout.Edge{{"a", "b"}, {"a", "c"}, {"b", "d"}, {"c", "d"}}, layout.Right)
		if d.Boxes[1].X != d.Boxes[2].X || d.Boxes[1].Y >= d.Boxes[2].Y {
			t.Errorf("branches at %v and %v, want one layer in the order given", d.Boxes[1], d.Boxes[2])
		}
		if mid := (d.Boxes[1].Y + d.Boxes[2].Y) / 2; abs(mid-d.Boxes[0].Y) > 1 || abs(mid-d.Boxes[3].Y) > 1 {
			t.Errorf("source %v and sink %v are not between the branches", d.Boxes[0], d.Boxes[3])
		}
	})

	t.Run("a chain between branches stays straight", func(t *testing.T) {
		t.Parallel()
		d := layout.Draw([]string{"in", "a", "side", "b", "c", "x", "y"},
			[]layout.Edge{{"in", "a"}, {"in", "side"}, {"a", "b"}, {"b", "c"}, {"c", "x"}, {"c", "y"}}, layout.Right)
		if d.Boxes[1].Y != d.Boxes[3].Y || d.Boxes[3].Y != d.Boxes[4].Y {
			t.Errorf("a, b, c at %v %v %v, want one line", d.Boxes[1], d.Boxes[3], d.Boxes[4])
		}
	})

	t.Run("down is right, turned", func(t *testing.T) {
		t.Parallel()
		d := layout.Draw([]string{"a", "b", "c"}, []layout.Edge{{"a", "b"}, {"a", "c"}}, layout.Down)
		if d.Boxes[0].Y >= d.Boxes[1].Y || d.Boxes[1].Y != d.Boxes[2].Y || d.Boxes[2].X-d.Boxes[1].X < layout.NodeWidth {
			t.Errorf("boxes %v, want b and c side by side below a", d.Boxes)
		}
		if l := d.Lines[0]; l.EndX != d.Boxes[1].X+layout.NodeWidth/2 || l.EndY != d.Boxes[1].Y {
			t.Errorf("the edge ends at %d,%d, want the middle of the top of %v", l.EndX, l.EndY, d.Boxes[1])
		}
	})

	t.Run("a cycle and an unknown node do not hang or crash it", func(t *testing.T) {
		t.Parallel()
		d := layout.Draw([]string{"a", "b"}, []layout.Edge{{"a", "b"}, {"b", "a"}, {"a", "gone"}, {"a", "a"}}, layout.Right)
		if len(d.Lines) != 4 || d.Lines[1].Path == "" || d.Lines[2].Path != "" || d.Lines[3].Path != "" {
			t.Errorf("lines %v", d.Lines)
		}
		if d := layout.Draw(nil, nil, layout.Down); d.Width != 0 {
			t.Errorf("nothing is %d wide", d.Width)
		}
	})

	t.Run("boxes never overlap and edges lead to the right", func(t *testing.T) {
		t.Parallel()
		random := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			n := 1 + random.IntN(24)
			var nodes []string
			var edges []layout.Edge
			for i := range n {
				nodes = append(nodes, fmt.Sprint(i))
				for j := range i {
					if random.IntN(n) < 3 {
						edges = append(edges, layout.Edge{From: fmt.Sprint(j), To: fmt.Sprint(i)})
					}
				}
			}
			d := layout.Draw(nodes, edges, layout.Right)
			for i, a := range d.Boxes {
				if a.X < 0 || a.Y < 0 || a.X+layout.NodeWidth > d.Width || a.Y+layout.NodeHeight > d.Height {
					t.Fatalf("box %v is outside %d×%d", a, d.Width, d.Height)
				}
				for _, b := range d.Boxes[:i] {
					if a.X == b.X && abs(a.Y-b.Y) < layout.NodeHeight {
						t.Fatalf("%v and %v overlap", a, b)
					}
				}
			}
			for _, e := range edges {
				var from, to int
				fmt.Sscan(e.From, &from)
				fmt.Sscan(e.To, &to)
				if d.Boxes[from].X >= d.Boxes[to].X {
					t.Fatalf("%v leads to the left", e)
				}
			}
		}
	})
}

func abs(n int) int { return max(n, -n) }
