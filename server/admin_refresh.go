package server

import (
	"maps"
	"net/http"
	"strings"

	"penstock/db"
)

// mostNew is up to which number new rows are counted.
const mostNew = 100

// pollKeys are what an open page adds to its address when it asks for its rows again.
var pollKeys = []string{"rows", "top", "next", "previous", "further"}

// shownRows reads a part of a list. A page that is open asks for the rows it shows, by their ids, so that none
// moves or goes while somebody reads; what has come since is only counted.
func shownRows[T any](r *http.Request, page db.Page, read func(ids []string, page db.Page) (db.Connection[T], error)) (list db.Connection[T], fresh int, err error) {
	q := r.URL.Query()
	ids, top := q.Get("rows"), q.Get("top")
	if ids == "" || r.Header.Get("HX-Request") != "true" {
		list, err = read(nil, page)
		return list, 0, err
	}
	if list, err = read(strings.Split(ids, ","), db.Page{First: rowsPerPage}); err != nil {
		return list, 0, err
	}
	list.HasNext, list.HasPrevious, list.Further = q.Get("next") != "", q.Get("previous") != "", q.Get("further")
	if top != "" && !list.HasPrevious {
		newer, err := read(nil, db.Page{Last: mostNew, Before: top})
		return list, len(newer.Items), err
	}
	return list, 0, nil
}

// pollOf returns the address of the newest page of a list, and the one by which the rows of this page are read
// again.
func pollOf[T any](r *http.Request, list db.Connection[T], id func(*T) string) (newest, poll string) {
	q := r.URL.Query()
	for _, key := range pollKeys {
		q.Del(key)
	}
	poll = r.URL.Path + "?" + q.Encode()
	if len(list.Items) > 0 {
		ids := make([]string, len(list.Items))
		for i := range list.Items {
			ids[i] = id(&list.Items[i])
		}
		again := maps.Clone(q)
		again.Set("rows", strings.Join(ids, ","))
		again.Set("top", list.Cursors[0])
		for key, yes := range map[string]bool{"next": list.HasNext, "previous": list.HasPrevious} {
			if yes {
				again.Set(key, "1")
			}
		}
		if list.Further != "" {
			again.Set("further", list.Further)
		}
		poll = r.URL.Path + "?" + again.Encode()
	}
	q.Del("after")
	q.Del("before")
	return r.URL.Path + "?" + q.Encode(), poll
}
