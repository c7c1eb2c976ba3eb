package server

import (
	"fmt"
	"net/http"

	"penstock/drivers/outbound"
	"penstock/engine"
	"penstock/fault"
	"penstock/views"
)

// channelTestForm sends a test message and shows what was sent and answered. A refused test is an outcome.
func (s *Server) channelTestForm(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	test, err := s.engine.TestChannel(r.Context(), name)
	if fault.Is(err, fault.NotFound) {
		return err
	}
	said := "The receiver accepted the message."
	if test.Status != 0 {
		said = fmt.Sprintf("The receiver accepted the message (%d).", test.Status)
	}
	return s.channelShow(w, r, name, outcomeOf(err, said, test.Exchanges))
}

func outcomeOf(err error, said string, exchanges []outbound.Exchange) *views.Outcome {
	o := &views.Outcome{Passed: err == nil, Text: said}
	if err != nil {
		o.Text = fault.Of(err).Message
	}
	for _, x := range exchanges {
		o.Exchanges = append(o.Exchanges, views.Exchange(x))
	}
	return o
}

func (s *Server) providerPage(w http.ResponseWriter, r *http.Request) error {
	return s.providersRender(w, r, "", nil)
}

// providerTestForm asks an analyser about an alert that is made up, and shows what was sent and answered.
func (s *Server) providerTestForm(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	test, err := s.engine.TestProvider(r.Context(), name)
	if fault.Is(err, fault.NotFound) {
		return err
	}
	said := fmt.Sprintf("It answered in %d ms: %s", test.Took.Milliseconds(), test.Analysis.Summary)
	if u := test.Analysis.Usage; u.InputTokens+u.OutputTokens > 0 {
		said += fmt.Sprintf(" (%d tokens in, %d out, %.4f USD)", u.InputTokens, u.OutputTokens, u.CostUSD)
	}
	return s.providersRender(w, r, name, outcomeOf(err, said, test.Exchanges))
}

func (s *Server) providersRender(w http.ResponseWriter, r *http.Request, tested string, outcome *views.Outcome) error {
	page := views.ProvidersPage{Page: s.frame(w, r, "settings", "Analysers"), CanTest: may(r, "POST /admin/settings/providers/{name}/test")}
	providers, err := s.engine.Providers(r.Context())
	if err != nil {
		return err
	}
	for _, p := range providers {
		row := views.ProviderRow{
			Name: p.Name, Title: p.Title, State: providerState(p), Model: p.Model, Address: p.Address, Missing: p.Missing, Problem: p.Problem, UsedBy: p.UsedBy,
		}
		if p.Name == tested {
			row.Outcome = outcome
		}
		page.Rows = append(page.Rows, row)
	}
	return s.render(w, r, http.StatusOK, views.Providers(page), "")
}

func providerState(p engine.Provider) string {
	switch {
	case p.Problem != "":
		return "invalid"
	case len(p.Missing) > 0:
		return "incomplete"
	}
	return "ready"
}
