package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

// placeKeys are what an address of a list has besides its filters.
var placeKeys = append([]string{"after", "before", "all"}, pollKeys...)

// filtersOf is the part of a list's address that filters it, always in one order.
func filtersOf(q url.Values) string {
	kept := url.Values{}
	for key, values := range q {
		if len(values) > 0 && values[0] != "" && !slices.Contains(placeKeys, key) {
			kept.Set(key, values[0])
		}
	}
	return kept.Encode()
}

// toolsOf is what stands over a list: the reader's saved views, and what can be chosen. count counts all that match.
func (s *Server) toolsOf(r *http.Request, list string, choose bool, pager views.Pager, count func() (int, error)) (views.ListTools, error) {
	tools := views.ListTools{
		List: list, Query: filtersOf(r.URL.Query()), Back: backTo(r), Choose: choose, More: pager.Newer+pager.Older != "", CanSave: may(r, "POST /admin/views/new"),
	}
	saved, err := s.store.SavedViews(r.Context(), actor(r), list)
	if err != nil {
		return tools, err
	}
	for _, v := range saved {
		tools.Views = append(tools.Views, views.SavedView{ID: v.ID, Name: v.Name, URL: "/admin/" + list + "?" + v.Query, Current: v.Query == tools.Query})
	}
	if choose && r.URL.Query().Has("all") {
		tools.All, err = count()
	}
	return tools, err
}

// viewSave keeps the filters of a list under a name, for the one who asks.
func (s *Server) viewSave(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	list, name := field(r, "list"), strings.Join(strings.Fields(field(r, "name")), " ")
	query, err := url.ParseQuery(field(r, "query"))
	switch {
	case err != nil || len(field(r, "query")) > 2000 || filtersOf(query) == "":
		return fault.New(fault.Invalid, "The filters cannot be kept: there are none, or they are too long.")
	case list != "runs" && list != "incidents":
		return fault.New(fault.Invalid, "There is no list %q.", list)
	case name == "" || len([]rune(name)) > 60:
		return fault.New(fault.Invalid, "Give the view a name of 1 to 60 characters.")
	}
	v := db.SavedView{Owner: actor(r), List: list, Name: name, Query: filtersOf(query), CreatedAt: time.Now().UTC()}
	if err := s.store.SaveView(r.Context(), v); err != nil {
		return err
	}
	return s.done(w, r, "/admin/"+list+"?"+v.Query, "view-saved")
}

func (s *Server) viewDelete(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	if err := s.store.DeleteView(r.Context(), actor(r), r.PathValue("id")); err != nil {
		return err
	}
	return s.done(w, r, localPath(field(r, "back")), "view-deleted")
}
