package db

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"penstock/fault"
)

const (
	defaultPage = 50
	largestPage = 1000
)

// Page asks for a part of a list: the first items after a cursor or the last ones before one.
// The zero value is the first 50.
type Page struct {
	First  int
	After  string
	Last   int
	Before string

	OldestFirst bool // the other way round

	// Within, if not 0, is how many records of the list are looked at, whether or not the filters let them pass: a
	// search for what is rare ends. Records that a filter with an index leaves out are not looked at. Counts have
	// this bound too: they count among the first of the list.
	Within int

	narrow func(*bun.SelectQuery) // applies the filter with an index
}

// Connection is a part of a list, always in the order of the list.
type Connection[T any] struct {
	Items       []T
	Cursors     []string // of the items
	HasNext     bool
	HasPrevious bool
	Further     string // the cursor from which to go on where [Page.Within] ended the search; "" where it did not
}

// list reads a page of q, newest first by a time column and the id, or oldest first. q has *[]T as its model, items, and its filters.
func list[T any](ctx context.Context, q *bun.SelectQuery, items *[]T, p Page, column string, key func(*T) (time.Time, string)) (Connection[T], error) {
	var c Connection[T]
	limit, backward := p.First, p.Last > 0
	if backward {
		limit = p.Last
	}
	if p.First < 0 || p.Last < 0 || p.First > 0 && p.Last > 0 || limit > largestPage {
		return c, fault.New(fault.Invalid, "Ask for the first or the last items, 1 to %d.", largestPage)
	}
	if limit == 0 {
		limit = defaultPage
	}
	if err := p.place(q, column); err != nil {
		return c, err
	}
	further, err := lookWithin[T](ctx, q, p, column)
	if err != nil {
		return c, err
	}
	*items = make([]T, 0, limit+1)
	if err := q.Limit(int64(limit + 1)).Scan(ctx); err != nil {
		return c, wrap(err, "list")
	}
	c.Items = *items
	more := len(c.Items) > limit
	if more {
		c.Items = c.Items[:limit]
	} else {
		c.Further = further
	}
	if backward {
		slices.Reverse(c.Items)
		c.HasPrevious, c.HasNext = more || p.After != "", p.Before != ""
	} else {
		c.HasNext, c.HasPrevious = more || p.Before != "", p.After != ""
	}
	c.Cursors = make([]string, len(c.Items))
	for i := range c.Items {
		c.Cursors[i] = cursorOf(key(&c.Items[i]))
	}
	return c, nil
}

// merged is [list] for any of several values of a filter with an index, in which each is a list of its own; read reads one
// of them.
func merged[T any, V cmp.Ordered](values []V, p Page, read func(V) (Connection[T], error), key func(*T) (time.Time, string)) (Connection[T], error) {
	var all Connection[T]
	limit := cmp.Or(p.First, p.Last, defaultPage)
	for _, v := range slices.Compact(slices.Sorted(slices.Values(values))) {
		c, err := read(v)
		if err != nil {
			return c, err
		}
		all.Items = append(all.Items, c.Items...)
		all.HasNext, all.HasPrevious = all.HasNext || c.HasNext, all.HasPrevious || c.HasPrevious
	}
	slices.SortFunc(all.Items, func(a, b T) int {
		at, id := key(&a)
		other, otherID := key(&b)
		order := cmp.Or(at.Compare(other), cmp.Compare(id, otherID))
		if p.OldestFirst {
			return order
		}
		return -order
	})
	if beyond := len(all.Items) - limit; beyond > 0 && p.Last > 0 {
		all.Items, all.HasPrevious = all.Items[beyond:], true
	} else if beyond > 0 {
		all.Items, all.HasNext = all.Items[:limit], true
	}
	for i := range all.Items {
		all.Cursors = append(all.Cursors, cursorOf(key(&all.Items[i])))
	}
	return all, nil
}

// ascending says how the page is read: the last items are read from the other end.
func (p Page) ascending() bool { return p.OldestFirst != (p.Last > 0) }

// place puts q in the order of the page, from its cursor.
func (p Page) place(q *bun.SelectQuery, column string) error {
	col := bun.Ident(column)
	later, earlier := p.After, p.Before // cursors whose items come later in time than what is asked for, and earlier
	if p.OldestFirst {
		later, earlier = earlier, later
	}
	for _, bound := range []struct{ cursor, operator string }{{later, "<"}, {earlier, ">"}} {
		if bound.cursor == "" {
			continue
		}
		at, id, err := parseCursor(bound.cursor)
		if err != nil {
			return err
		}
		q.Where("(?TableAlias.?, ?TableAlias.id) "+bound.operator+" (?, ?)", col, at, id)
	}
	order := "?TableAlias.? DESC, ?TableAlias.id DESC"
	if p.ascending() {
		order = "?TableAlias.? ASC, ?TableAlias.id ASC"
	}
	q.OrderExpr(order, col)
	return nil
}

// lookWithin keeps q to what [Page.Within] allows and returns the cursor from which to go on; "" if there is no more.
func lookWithin[T any](ctx context.Context, q *bun.SelectQuery, p Page, column string) (further string, err error) {
	if p.Within == 0 {
		return "", nil
	}
	col := bun.Ident(column)
	last := q.NewSelect().Model((*T)(nil)).ColumnExpr("?TableAlias.? AS at, ?TableAlias.id", col)
	if p.narrow != nil {
		p.narrow(last)
	}
	if err := p.place(last, column); err != nil {
		return "", err
	}
	var edge struct {
		At time.Time
		ID string
	}
	switch err := last.Offset(int64(p.Within-1)).Limit(1).Scan(ctx, &edge.At, &edge.ID); {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err != nil:
		return "", wrap(err, "list")
	}
	beyond := ">="
	if p.ascending() {
		beyond = "<="
	}
	q.Where("(?TableAlias.?, ?TableAlias.id) "+beyond+" (?, ?)", col, edge.At, edge.ID)
	return cursorOf(edge.At, edge.ID), nil
}

// count counts what q finds, on all pages.
func count[T any](ctx context.Context, q *bun.SelectQuery, p Page, column string) (int, error) {
	if _, err := lookWithin[T](ctx, q, Page{Within: p.Within, OldestFirst: p.OldestFirst, narrow: p.narrow}, column); err != nil {
		return 0, err
	}
	n, err := q.Count(ctx)
	return int(n), wrap(err, "count")
}

const cursorTime = "2006-01-02T15:04:05.000000Z"

func cursorOf(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.UTC().Format(cursorTime) + " " + id))
}

func parseCursor(cursor string) (at time.Time, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		var stamp string
		stamp, id, _ = strings.Cut(string(text), " ")
		at, err = time.Parse(cursorTime, stamp)
	}
	if err != nil || id == "" || strings.ContainsRune(id, 0) {
		return at, id, fault.New(fault.Invalid, "The cursor is not one of this list. Start again without it.")
	}
	return at, id, nil
}

// contains adds a filter that is true when one of the columns contains text, whatever its case.
func contains(q *bun.SelectQuery, text string, columns ...string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	like := "?TableAlias.? LIKE ? ESCAPE '!'" // SQLite's ignores the case by itself
	if q.Dialect().Name() != dialect.SQLite {
		like, text = "LOWER(?TableAlias.?) LIKE ? ESCAPE '!'", strings.ToLower(text)
	}
	pattern := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
	q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		for _, c := range columns {
			q.WhereOr(like, bun.Ident(c), pattern)
		}
		return q
	})
}

// equals adds filters for the columns whose wanted value is not empty.
func equals[V ~string](q *bun.SelectQuery, column string, value V) {
	if value != "" {
		q.Where("?TableAlias.? = ?", bun.Ident(column), value)
	}
}

// same is what equals and holds what contains does, of a record that was read already.
func same[V ~string](wanted, value V) bool { return wanted == "" || wanted == value }

func holds(text string, values ...string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "" || slices.ContainsFunc(values, func(v string) bool { return strings.Contains(strings.ToLower(v), text) })
}

// byID makes a map of rows.
func byID[T any](rows []T, id func(*T) string) map[string]*T {
	m := make(map[string]*T, len(rows))
	for i := range rows {
		m[id(&rows[i])] = &rows[i]
	}
	return m
}
