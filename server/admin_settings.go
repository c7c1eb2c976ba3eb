package server

import (
	"cmp"
	"net/http"
	"time"

	"penstock/db"
	"penstock/views"
)

func (s *Server) settings(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	page := views.SettingsPage{
		Page:    s.frame(w, r, "settings", "Settings"),
		CanTest: may(r, "POST /admin/settings/channels/{name}/test"),
	}
	var err error
	if page.Sources, err = s.sourceRows(ctx); err != nil {
		return err
	}
	channels, err := s.store.Channels(ctx)
	if err != nil {
		return err
	}
	states, err := s.store.ChannelStates(ctx)
	if err != nil {
		return err
	}
	titles := map[string]string{}
	for _, kind := range s.engine.ChannelKinds() {
		titles[kind.Name] = kind.Title
	}
	for _, c := range channels {
		row := views.ChannelRow{
			Name: c.Name, Driver: cmp.Or(titles[c.Driver], c.Driver), Description: c.Description, Active: c.IsActive,
			State: testState(c), TestedAt: c.TestedAt, TestError: c.TestError,
		}
		if state := states[c.Name]; state != nil && c.IsActive && state.State != db.ChannelOK {
			row.Trouble = string(state.State)
		}
		page.Channels = append(page.Channels, row)
	}
	return s.render(w, r, http.StatusOK, views.Settings(page), "")
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
