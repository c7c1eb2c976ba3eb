package server

import (
	"net/http"

	"penstock/db"
	"penstock/views"
)

func (s *Server) notificationPages(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	page := views.NotificationsPage{Page: s.frame(w, r, "runs", "Notifications"), Status: q.Get("status"), Channel: q.Get("channel")}
	byTab := map[string][]db.NotificationStatus{
		"": nil, "pending": {db.NotificationPending}, "failed": {db.NotificationFailed, db.NotificationDead}, "sent": {db.NotificationSent},
		"skipped": {db.NotificationSkipped, db.NotificationCancelled},
	}
	var err error
	page.Tabs, err = statusTabs("/admin/notifications", page.Status, []views.Option{
		{Label: "All"}, {Value: "pending", Label: "Under way"}, {Value: "failed", Label: "Failed"}, {Value: "sent", Label: "Sent"}, {Value: "skipped", Label: "Not needed"},
	}, uncounted)
	if err != nil {
		return err
	}
	channels, err := s.store.Channels(ctx)
	if err != nil {
		return err
	}
	page.Channels = []views.Option{{Label: "Any channel"}}
	for _, c := range channels {
		page.Channels = append(page.Channels, views.Option{Value: c.Name, Label: c.Name})
	}
	list, err := s.store.Notifications(ctx, db.NotificationFilter{Status: byTab[page.Status], Channel: page.Channel, Page: pageOf(r)})
	if err != nil {
		return err
	}
	if page.Rows, err = s.notificationRows(ctx, list.Items); err != nil {
		return err
	}
	page.Pager, page.Filtered = pagerOf(r, list), page.Status+page.Channel != ""
	return s.render(w, r, http.StatusOK, views.Notifications(page), views.ResultsFragment)
}
