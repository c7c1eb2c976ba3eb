package graph

import (
	"context"
	"sync"

	"penstock/db"
)

// pages loads the first pages of the lists of many parents with one statement, and their counts with
// another; see relation. Pages with cursors are read one by one.
type pages[T any] struct {
	fetch  func(ctx context.Context, ids []string, first int) (map[string]db.Connection[T], error)
	counts *relation[int]

	mu     sync.Mutex
	seen   []string
	bySize map[int]*relation[db.Connection[T]]
}

func newPages[T any](
	fetch func(context.Context, []string, int) (map[string]db.Connection[T], error),
	count func(context.Context, []string) (map[string]int, error),
	found func(*T), // is called with every item
) *pages[T] {
	p := &pages[T]{counts: newRelation(count), bySize: map[int]*relation[db.Connection[T]]{}}
	p.fetch = func(ctx context.Context, ids []string, first int) (map[string]db.Connection[T], error) {
		byParent, err := fetch(ctx, ids, first)
		for _, c := range byParent {
			for i := range c.Items {
				found(&c.Items[i])
			}
		}
		return byParent, err
	}
	return p
}

// announce says whose lists will perhaps be asked for.
func (p *pages[T]) announce(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, id)
	p.counts.announce(id)
	for _, r := range p.bySize {
		r.announce(id)
	}
}

func (p *pages[T]) load(ctx context.Context, id string, first int) (db.Connection[T], error) {
	p.mu.Lock()
	r := p.bySize[first]
	if r == nil {
		r = newRelation(func(ctx context.Context, ids []string) (map[string]db.Connection[T], error) {
			return p.fetch(ctx, ids, first)
		})
		for _, id := range p.seen {
			r.announce(id)
		}
		p.bySize[first] = r
	}
	p.mu.Unlock()
	return r.load(ctx, id)
}

// below returns a page of the list below a parent; one is how it is read if it cannot be loaded with others.
func (p *pages[T]) below(ctx context.Context, r *Resolver, l list, parent string, first *int32, after *string, last *int32, before *string, one func(db.Page) (db.Connection[T], error)) (*Connection[T], error) {
	page, err := r.page(l, first, after, last, before, nil)
	if err != nil {
		return nil, err
	}
	var c db.Connection[T]
	if page.Last > 0 || page.After != "" || page.Before != "" {
		c, err = one(page)
	} else {
		c, err = p.load(ctx, parent, page.First)
	}
	return connect(l, page, c, func(ctx context.Context) (int, error) { return p.counts.load(ctx, parent) }), err
}
