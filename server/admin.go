package server

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"penstock/auth"
	"penstock/db"
	"penstock/fault"
	"penstock/views"
	"penstock/views/assets"
)

func (s *Server) adminRoutes() []route {
	return []route{
		{"GET /assets/{file}", s.asset},
		{"GET /login", s.loginForm},
		{"POST /login", s.login},
		{"POST /logout", s.logout},
		{"GET /setup", s.setupForm},
		{"POST /setup", s.setup},

		{"GET /admin/", s.overview},
		{"GET /admin/incidents/", s.incidentPages},
		{"POST /admin/incidents/bulk", s.incidentBulk},
		{"GET /admin/incidents/{id}/", s.incidentPage},
		{"POST /admin/incidents/{id}/acknowledge", s.incidentAcknowledge},
		{"POST /admin/incidents/{id}/resolve", s.incidentResolve},
		{"POST /admin/incidents/{id}/close", s.incidentClose},
		{"POST /admin/incidents/{id}/reopen", s.incidentReopen},
		{"POST /admin/incidents/{id}/note", s.incidentNote},
		{"GET /admin/alerts/", s.alertPages},
		{"GET /admin/alerts/{id}/", s.alertPage},
		{"GET /admin/deliveries/", s.deliveryPages},
		{"GET /admin/deliveries/{id}/", s.deliveryPage},
		{"POST /admin/deliveries/{id}/replay", s.deliveryReplayForm},
		{"GET /admin/notifications/", s.notificationPages},
		{"GET /admin/search", s.searchPage},
		{"POST /admin/views/new", s.viewSave},
		{"POST /admin/views/{id}/delete", s.viewDelete},
		{"GET /admin/runs/", s.runPages},
		{"POST /admin/runs/bulk", s.runBulk},
		{"GET /admin/runs/{run_id}/", s.runPage},
		{"GET /admin/runs/{run_id}/live", s.runLive},
		{"GET /admin/runs/{run_id}/json", s.runJSON},
		{"POST /admin/runs/{run_id}/cancel", s.runCancel},
		{"POST /admin/runs/{run_id}/retry", s.runRetry},
		{"POST /admin/runs/{run_id}/rerun", s.runAgain},
		{"GET /admin/definitions/", s.definitionPages},
		{"GET /admin/definitions/new", s.definitionNew},
		{"POST /admin/definitions/new", s.definitionCreate},
		{"GET /admin/definitions/{name}/", s.definitionPage},
		{"POST /admin/definitions/{name}/", s.definitionSave},
		{"POST /admin/definitions/{name}/delete", s.definitionDeleteForm},
		{"GET /admin/definitions/{name}/history", s.definitionHistory},
		{"POST /admin/definitions/{name}/restore", s.definitionRestore},
		{"GET /admin/definitions/{name}/execute", s.executeForm},
		{"POST /admin/definitions/{name}/execute", s.executeRun},
		{"POST /admin/validate", s.draftValidate},
		{"POST /admin/draft", s.draftCheck},
		{"POST /admin/dry-run", s.dryRun},
		{"POST /admin/try-match", s.matchTry},
		{"POST /admin/try-schedule", s.timesTry},
		{"GET /admin/settings/", s.settings},
		{"POST /admin/settings/theme", s.themeChoose},
		{"POST /admin/settings/channels/{name}/test", s.channelTestForm},
		{"GET /admin/settings/channels/new", s.channelNew},
		{"POST /admin/settings/channels/new", s.channelSave},
		{"GET /admin/settings/channels/{name}/", s.channelPage},
		{"POST /admin/settings/channels/{name}/", s.channelSave},
		{"POST /admin/settings/channels/{name}/delete", s.channelDeleteForm},
		{"GET /admin/settings/sources/new", s.sourceNew},
		{"POST /admin/settings/sources/new", s.sourceSave},
		{"GET /admin/settings/sources/{name}/", s.sourcePage},
		{"POST /admin/settings/sources/{name}/", s.sourceSave},
		{"POST /admin/settings/sources/{name}/delete", s.sourceDeleteForm},
		{"GET /admin/settings/providers/", s.providerPage},
		{"POST /admin/settings/providers/{name}/test", s.providerTestForm},
		{"GET /admin/settings/schedules/", s.schedulePage},
		{"GET /admin/settings/tokens/", s.tokenPage},
		{"POST /admin/settings/tokens/", s.tokenMake},
		{"POST /admin/settings/tokens/{name}/revoke", s.tokenRevokeForm},
		{"GET /admin/settings/users/", s.userPage},
		{"POST /admin/settings/users/", s.userAdd},
		{"POST /admin/settings/users/{name}/role", s.userRole},
		{"POST /admin/settings/users/{name}/password", s.userPassword},
		{"POST /admin/settings/users/{name}/disable", s.userDisable},
		{"POST /admin/settings/users/{name}/enable", s.userEnable},
		{"GET /admin/settings/account/", s.accountPage},
		{"POST /admin/settings/password", s.passwordChange},
		{"GET /admin/settings/about/", s.aboutPage},
	}
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	if !assets.Serve(w, r, r.PathValue("file")) {
		return errNoPage
	}
	return nil
}

// render answers with a page or, if HTMX asks, with the one fragment of it that HTMX replaces. It is
// buffered: a page that cannot be drawn is a clean error.
func (s *Server) render(w http.ResponseWriter, r *http.Request, code int, page templ.Component, fragment views.Fragment) error {
	var b bytes.Buffer
	w.Header().Add("Vary", "HX-Request")
	var err error
	if fragment != "" && r.Header.Get("HX-Request") == "true" {
		err = templ.RenderFragments(r.Context(), &b, page, fragment)
	} else {
		err = page.Render(r.Context(), &b)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, err = w.Write(b.Bytes())
	return gone(err)
}

const (
	themeCookie = "penstock_theme"
	flashCookie = "penstock_flash"
)

// flashes are what a page says after the change that led to it. Only the key travels.
var flashes = map[string]string{
	"created":  "Definition created.",
	"saved":    "Definition saved.",
	"deleted":  "Definition deleted.",
	"restored": "The version was restored as the newest.",
	"cancel":   "The run is cancelled.",
	"retry":    "The run goes on at what had failed.",
	"rerun":    "This is the new run.",
	"ack":      "Incident acknowledged.",
	"resolved": "Incident resolved.",
	"closed":   "Incident closed.",
	"reopened": "Incident reopened.",
	"noted":    "Note added.",

	"channel-saved": "Channel saved. Send a test to see that it works.", "channel-deleted": "Channel deleted.", "token-revoked": "Token revoked.",
	"user-added": "User added.", "user-changed": "User changed.",
	"replayed": "The delivery was sent through again.",
	"theme":    "Appearance changed.",

	"view-saved": "View saved.", "view-deleted": "View forgotten.",

	"source-saved": "Source saved.", "source-deleted": "Source deleted.",
	"password": "Password changed. Your other sessions have ended.", "user-password": "The new password holds from now on.",
}

// frame fills what the layout needs.
func (s *Server) frame(w http.ResponseWriter, r *http.Request, section, title string) views.Page {
	p, _ := auth.From(r.Context())
	page := views.Page{Title: title, Section: section, User: p.Name, Admin: isAdmin(r), Session: p.Kind == auth.KindSession}
	if c, err := r.Cookie(themeCookie); err == nil && slices.Contains([]string{"light", "dark"}, c.Value) {
		page.Theme = c.Value
	}
	if c, err := r.Cookie(flashCookie); err == nil && r.Header.Get("HX-Request") == "" {
		page.Flash = cmp.Or(flashes[c.Value], bulkFlash(c.Value))
		http.SetCookie(w, s.cookie(flashCookie, "", -1))
	}
	return page
}

func (s *Server) cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/admin", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.publicURL, "https:"),
	}
}

// done leads to a page after a change and lets it say what happened.
func (s *Server) done(w http.ResponseWriter, r *http.Request, path, flash string) error {
	if flash != "" {
		http.SetCookie(w, s.cookie(flashCookie, flash, 30))
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

// may reports whether the matrix lets the caller use a route, so that pages offer only what works.
func may(r *http.Request, pattern string) bool {
	p, _ := auth.From(r.Context())
	return auth.Allowed(p, pattern) == nil
}

// readForm parses the form of a POST: at most 2 MiB, because a document of 1 MiB grows when encoded.
func readForm(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxBody)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form cannot be read, or is larger than 2 MiB.")
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") && len(r.PostForm) == 0 && r.ContentLength > 0 {
		return fault.New(fault.Unsupported, "This address takes forms (application/x-www-form-urlencoded).")
	}
	return nil
}

// field is a value of the form in the line ends the product uses.
func field(r *http.Request, name string) string {
	return strings.ReplaceAll(r.PostFormValue(name), "\r\n", "\n")
}

const (
	rowsPerPage = 50
	lookThrough = 10_000 // records, for filters without an index: some ten milliseconds
)

// pageOf reads the part of a list that the address asks for. slow are the filters that no index serves.
func pageOf(r *http.Request, slow ...string) db.Page {
	q := r.URL.Query()
	page := db.Page{First: rowsPerPage, After: q.Get("after")}
	if before := q.Get("before"); before != "" {
		page = db.Page{Last: rowsPerPage, Before: before}
	}
	if strings.Join(slow, "") != "" {
		page.Within = lookThrough
	}
	return page
}

// pagerOf links to the neighbours of a part of a list, filters kept.
func pagerOf[T any](r *http.Request, c db.Connection[T]) views.Pager {
	address := func(key, cursor string) string {
		q := r.URL.Query()
		for _, old := range append(pollKeys, "after", "before") {
			q.Del(old)
		}
		q.Set(key, cursor)
		return r.URL.Path + "?" + q.Encode()
	}
	var p views.Pager
	if n := len(c.Items); n > 0 {
		if c.HasPrevious {
			p.Newer = address("before", c.Cursors[0])
		}
		if c.HasNext {
			p.Older = address("after", c.Cursors[n-1])
		}
	}
	switch {
	case c.Further == "":
	case r.URL.Query().Has("before"):
		p.Newer, p.Looked = address("before", c.Further), lookThrough
	default:
		p.Older, p.Looked = address("after", c.Further), lookThrough
	}
	return p
}
