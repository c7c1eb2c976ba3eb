package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

const (
	mostChosen = 2 * rowsPerPage  // at one time: more than a list shows
	bulkPage   = 200              // records of a list that are worked at a time, where all that match are chosen
	bulkTime   = 20 * time.Second // for all that match; the rest takes another time
)

// bulkList is a list whose records are worked together.
type bulkList struct {
	path     string
	actions  map[string]func(ctx context.Context, id string) error
	matching func(list *http.Request, page db.Page) (ids []string, next string, err error)
}

// runBulk cancels or continues the chosen runs.
func (s *Server) runBulk(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	reason, err := reasonOf(r)
	if err != nil {
		return err
	}
	return s.bulk(w, r, bulkList{path: "/admin/runs", matching: s.matchingRuns, actions: map[string]func(context.Context, string) error{
		"cancel": func(ctx context.Context, id string) error {
			_, err := s.engine.Cancel(ctx, id, reason, actor(r))
			return err
		},
		"retry": func(ctx context.Context, id string) error {
			_, err := s.engine.Retry(ctx, id, actor(r))
			return err
		},
	}})
}

// incidentBulk takes on, ends or closes the chosen incidents.
func (s *Server) incidentBulk(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	each := func(change func(context.Context, string, string) (*db.Incident, error)) func(context.Context, string) error {
		return func(ctx context.Context, id string) error {
			_, err := change(ctx, id, actor(r))
			return err
		}
	}
	return s.bulk(w, r, bulkList{path: "/admin/incidents", matching: s.matchingIncidents, actions: map[string]func(context.Context, string) error{
		"acknowledge": each(s.engine.AcknowledgeIncident), "resolve": each(s.engine.ResolveIncident), "close": each(s.engine.CloseIncident),
	}})
}

// bulk does one thing with every chosen record, or with all that match the filters of the list, and leads back to
// it. What is in no state for it stays as it is and is counted.
func (s *Server) bulk(w http.ResponseWriter, r *http.Request, list bulkList) error {
	name, ids, all := field(r, "do"), r.PostForm["id"], r.PostForm.Has("match")
	action, known := list.actions[name]
	switch {
	case !known:
		return fault.New(fault.Invalid, "There is no action %q.", name)
	case len(ids) == 0 && !all:
		return fault.New(fault.Invalid, "Nothing is chosen. Tick what it is about first.")
	case len(ids) > mostChosen:
		return fault.New(fault.Invalid, "At most %d at a time.", mostChosen)
	}
	done, refused, rest := 0, 0, 0
	work := func(ids []string) error {
		for _, id := range ids {
			switch err := action(r.Context(), id); {
			case err == nil:
				done++
			case fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound):
				refused++
			default:
				return err
			}
		}
		return nil
	}
	if !all {
		if err := work(ids); err != nil {
			return err
		}
	} else {
		shown, err := http.NewRequestWithContext(r.Context(), http.MethodGet, list.path+"?"+field(r, "match"), nil)
		if err != nil {
			return fault.New(fault.Invalid, "The filters cannot be read.")
		}
		page, until := db.Page{First: bulkPage, Within: lookThrough}, time.Now().Add(bulkTime)
		for {
			ids, next, err := list.matching(shown, page)
			if err == nil {
				err = work(ids)
			}
			if err != nil {
				return err
			}
			if page.After = next; next == "" {
				break
			}
			if time.Now().After(until) {
				rest = 1
				break
			}
		}
	}
	back := localPath(field(r, "back"))
	if !strings.HasPrefix(back, list.path) {
		back = list.path
	}
	return s.done(w, r, back, fmt.Sprintf("bulk-%s.%d.%d.%d", name, done, refused, rest))
}

func (s *Server) matchingRuns(list *http.Request, page db.Page) (ids []string, next string, err error) {
	filter, err := s.runFilter(list, &views.RunsPage{})
	if err != nil {
		return nil, "", err
	}
	filter.Page, filter.Columns = page, []string{"id"}
	found, err := s.store.Runs(list.Context(), filter)
	for _, run := range found.Items {
		ids = append(ids, run.ID)
	}
	return ids, restOf(found), err
}

func (s *Server) matchingIncidents(list *http.Request, page db.Page) (ids []string, next string, err error) {
	filter, err := incidentFilter(list)
	if err != nil {
		return nil, "", err
	}
	filter.Page = page
	found, err := s.store.Incidents(list.Context(), filter)
	for _, inc := range found.Items {
		ids = append(ids, inc.ID)
	}
	return ids, restOf(found), err
}

// restOf is where a list goes on after a part of it, "" at its end.
func restOf[T any](c db.Connection[T]) string {
	if n := len(c.Items); n > 0 && c.HasNext {
		return c.Cursors[n-1]
	}
	return c.Further
}

// bulkFlash says what became of chosen records; "" if it is none of these keys.
func bulkFlash(key string) string {
	name, counts, _ := strings.Cut(key, ".")
	done, counts, _ := strings.Cut(counts, ".")
	refused, rest, _ := strings.Cut(counts, ".")
	yes, errYes := strconv.Atoi(done)
	no, errNo := strconv.Atoi(refused)
	words, known := map[string][2]string{
		"bulk-cancel":      {"cancelled", "not: ended before"},
		"bulk-retry":       {"continued", "not: only what has failed or was cancelled can go on"},
		"bulk-acknowledge": {"acknowledged", "not: only open ones can be"},
		"bulk-resolve":     {"resolved", "not: closed before"},
		"bulk-close":       {"closed", "not"},
	}[name]
	if !known || errYes != nil || errNo != nil {
		return ""
	}
	text := fmt.Sprintf("%d %s.", yes, words[0])
	if no > 0 {
		text += fmt.Sprintf(" %d %s.", no, words[1])
	}
	if rest == "1" {
		text += " There are more: do it once again."
	}
	return text
}

// reasonOf is why a person does something.
func reasonOf(r *http.Request) (string, error) {
	reason := strings.Join(strings.Fields(field(r, "reason")), " ")
	if len([]rune(reason)) > 300 {
		return "", fault.New(fault.Invalid, "Not cancelled: the reason is longer than 300 characters.")
	}
	return reason, nil
}

// backTo is the address of a list as the reader sees it, without what only its refreshing uses.
func backTo(r *http.Request) string {
	q := r.URL.Query()
	for _, key := range append([]string{"all"}, pollKeys...) {
		q.Del(key)
	}
	if len(q) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + q.Encode()
}
