package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"penstock/db"
	"penstock/fault"
	"penstock/views"
)

func (s *Server) settings(w http.ResponseWriter, r *http.Request) error {
	return s.settingsRender(w, r, "", "")
}

// settingsRender shows the settings. only, if set, leaves one channel, for the fragment that HTMX
// swaps; receipt is what its receiver answered to the test just made.
func (s *Server) settingsRender(w http.ResponseWriter, r *http.Request, only, receipt string) error {
	ctx := r.Context()
	page := views.SettingsPage{
		Page:    s.frame(w, r, "settings", "Settings"),
		CanTest: may(r, "POST /admin/settings/channels/{name}/test"),
	}
	channels, err := s.store.Channels(ctx)
	if err != nil {
		return err
	}
	if only == "" {
		if page.Sources, err = s.sourceRows(ctx); err != nil {
			return err
		}
	}
	for _, c := range channels {
		if only != "" && c.Name != only {
			continue
		}
		row := views.ChannelRow{
			Name: c.Name, Driver: c.Driver, Description: c.Description, Active: c.IsActive,
			State: "untested", TestedAt: c.TestedAt, TestError: c.TestError,
		}
		switch {
		case c.TestError != "":
			row.State = "failed"
		case !c.TestedAt.IsZero():
			row.State = "passed"
		}
		if only != "" {
			row.Receipt = receipt
		}
		page.Channels = append(page.Channels, row)
	}
	return s.render(w, r, http.StatusOK, views.Settings(page), views.ChannelFragment)
}

func tokenRow(t db.APIToken) views.TokenRow {
	row := views.TokenRow{
		Name: t.Name, Prefix: t.Prefix, State: "active", Scopes: t.Scopes,
		CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, UsedAt: t.UsedAt,
	}
	switch {
	case !t.RevokedAt.IsZero():
		row.State = "revoked"
	case !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(time.Now()):
		row.State = "expired"
	}
	return row
}

// channelTestForm sends a test message. A refused test is an outcome, which the row shows.
func (s *Server) channelTestForm(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	receipt, err := s.engine.TestChannel(r.Context(), name)
	if err != nil && fault.Is(err, fault.NotFound) {
		return err
	}
	said := ""
	if err == nil {
		said = "Accepted by the receiver."
		if receipt.Status != 0 {
			said = fmt.Sprintf("Accepted by the receiver (%d).", receipt.Status)
		}
	}
	if r.Header.Get("HX-Request") == "true" {
		return s.settingsRender(w, r, name, said)
	}
	flash := "tested"
	if err != nil {
		flash = "" // the row says what went wrong
	}
	return s.done(w, r, "/admin/settings", flash)
}

func (s *Server) themeChoose(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	theme := r.PostFormValue("theme")
	if !slices.Contains([]string{"", "light", "dark"}, theme) {
		return fault.New(fault.Invalid, "There is no such appearance.")
	}
	age := 365 * 24 * 3600
	if theme == "" {
		age = -1
	}
	http.SetCookie(w, s.cookie(themeCookie, theme, age))
	return s.done(w, r, "/admin/settings", "theme")
}

func (s *Server) sourceRows(ctx context.Context) (rows []views.SourceRow, err error) {
	sources, err := s.store.Sources(ctx)
	for _, src := range sources {
		row := views.SourceRow{
			Name: src.Name, Driver: src.Driver, Description: src.Description, State: "active",
			Expected: time.Duration(src.ExpectEvery) * time.Second, LastReceivedAt: src.LastReceivedAt,
		}
		switch {
		case !src.IsActive:
			row.State = "inactive"
		case !src.SilentSince.IsZero():
			row.State = "silent"
		}
		rows = append(rows, row)
	}
	return rows, err
}
