package server

import (
	"encoding/json"
	"net/http"
	"regexp"
	"unicode/utf8"

	"penstock/db"
	"penstock/engine"
	"penstock/views"
)

func (s *Server) deliveryPages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := views.DeliveriesPage{
		Page: s.frame(w, r, "incidents", "Deliveries"), Sample: s.sample(r), Status: q.Get("status"), Source: q.Get("source"),
	}
	var err error
	page.Tabs, err = statusTabs("/admin/deliveries", page.Status, []views.Option{
		{Label: "All"}, {Value: "accepted", Label: "Accepted"}, {Value: "no_alerts", Label: "No alerts in it"}, {Value: "rejected", Label: "Refused"},
	}, uncounted)
	if err != nil {
		return err
	}
	list, err := s.store.Deliveries(r.Context(), db.DeliveryFilter{Status: page.Status, Source: page.Source, Page: pageOf(r, page.Status, page.Source)})
	if err != nil {
		return err
	}
	for i := range list.Items {
		page.Rows = append(page.Rows, deliveryRow(&list.Items[i]))
	}
	page.Pager, page.Filtered = pagerOf(r, list), page.Status+page.Source != ""
	return s.render(w, r, http.StatusOK, views.Deliveries(page), views.ResultsFragment)
}

func deliveryRow(d *db.Delivery) views.DeliveryRow {
	return views.DeliveryRow{
		ID: d.ID, Source: d.Source, Definition: d.Definition, Status: d.Status, Error: d.Error, ReplayOf: d.ReplayOf, ReceivedAt: d.ReceivedAt,
	}
}

func (s *Server) deliveryPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	d, err := s.store.Delivery(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	page := views.DeliveryPage{
		Page: s.frame(w, r, "incidents", "Delivery "+d.Source), DeliveryRow: deliveryRow(d), TraceID: d.TraceID, ContentType: d.ContentType,
		Headers: sortedTags(d.Headers), Body: withoutSecrets(d.Body), Size: len(d.Body), IntakeAt: d.IntakeAt,
		CanReplay: may(r, "POST /admin/deliveries/{id}/replay"),
	}
	alerts, err := engine.AlertsOf(d)
	if err != nil {
		return err
	}
	if page.AlertCount = len(alerts); page.AlertCount > 0 {
		raw, err := json.Marshal(alerts)
		if err != nil {
			return err
		}
		page.Alerts = withoutSecrets(raw)
	}
	if page.Why, err = s.whyOf(ctx, d.ID); err != nil {
		return err
	}
	if page.Runs, err = s.runRows(ctx, db.RunFilter{DeliveryID: d.ID, Page: db.Page{First: 20}}); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, views.Delivery(page), "")
}

func (s *Server) deliveryReplayForm(w http.ResponseWriter, r *http.Request) error {
	accepted, err := s.engine.Replay(r.Context(), engine.ReplayInput{DeliveryID: r.PathValue("id"), Actor: actor(r)})
	if err != nil {
		return err
	}
	return s.done(w, r, views.DeliveryURL(accepted.DeliveryID), "replayed")
}

var (
	secretValue = regexp.MustCompile(`(?i)("[^"]*(?:password|passwd|secret|token|api[_-]?key|authorization|credential)[^"]*": )"(?:[^"\\]|\\.)+"`)
	userInfo    = regexp.MustCompile(`(\w://)[^/\s"@]+@`)
)

// withoutSecrets lays JSON out for reading and leaves out what looks like a password: texts under such a
// name, and credentials inside addresses. What is neither JSON nor text is described.
func withoutSecrets(raw []byte) string {
	if !utf8.Valid(raw) {
		return "(not text)"
	}
	text := secretValue.ReplaceAllString(pretty(raw), `$1"[secret]"`)
	return userInfo.ReplaceAllString(text, "$1[secret]@")
}
