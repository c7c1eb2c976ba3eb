package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"penstock/db"
	"penstock/fault"
)

// mostChosen bounds one action: more than a list shows at a time.
const mostChosen = 2 * rowsPerPage

// runBulk cancels or continues the chosen runs.
func (s *Server) runBulk(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	reason, err := reasonOf(r)
	if err != nil {
		return err
	}
	return s.bulk(w, r, "/admin/runs", map[string]func(context.Context, string) error{
		"cancel": func(ctx context.Context, id string) error {
			_, err := s.engine.Cancel(ctx, id, reason, actor(r))
			return err
		},
		"retry": func(ctx context.Context, id string) error {
			_, err := s.engine.Retry(ctx, id, actor(r))
			return err
		},
	})
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
	return s.bulk(w, r, "/admin/incidents", map[string]func(context.Context, string) error{
		"acknowledge": each(s.engine.AcknowledgeIncident), "resolve": each(s.engine.ResolveIncident), "close": each(s.engine.CloseIncident),
	})
}

// bulk does one thing with every chosen record and leads back to the list. What is in no state for it stays as it
// is and is counted.
func (s *Server) bulk(w http.ResponseWriter, r *http.Request, list string, actions map[string]func(context.Context, string) error) error {
	name, ids := field(r, "do"), r.PostForm["id"]
	action, known := actions[name]
	switch {
	case !known:
		return fault.New(fault.Invalid, "There is no action %q.", name)
	case len(ids) == 0:
		return fault.New(fault.Invalid, "Nothing is chosen. Tick what it is about first.")
	case len(ids) > mostChosen:
		return fault.New(fault.Invalid, "At most %d at a time.", mostChosen)
	}
	done, refused := 0, 0
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
	back := localPath(field(r, "back"))
	if !strings.HasPrefix(back, list) {
		back = list
	}
	return s.done(w, r, back, fmt.Sprintf("bulk-%s.%d.%d", name, done, refused))
}

// bulkFlash says what became of chosen records; "" if it is none of these keys.
func bulkFlash(key string) string {
	name, counts, _ := strings.Cut(key, ".")
	done, refused, _ := strings.Cut(counts, ".")
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
	for _, key := range []string{"rows", "top", "next", "previous"} {
		q.Del(key)
	}
	if len(q) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + q.Encode()
}
