package server

import (
	"context"
	"net/http"

	"penstock/engine"
)

func (s *Server) alertRoutes() []route {
	return []route{
		{"POST /orchestration/pipeline/", func(w http.ResponseWriter, r *http.Request) error {
			return s.receive(w, r, r.URL.Query().Get("source"), false)
		}},
		{"POST /orchestration/pipeline/sync/", func(w http.ResponseWriter, r *http.Request) error {
			return s.receive(w, r, r.URL.Query().Get("source"), true)
		}},
		{"GET /orchestration/deliveries/", s.deliveryList},
		{"GET /orchestration/deliveries/{id}/", s.deliveryGet},
		{"POST /orchestration/deliveries/{id}/replay/", s.deliveryReplay},
		{"GET /orchestration/why/{id}/", s.why},
		{"POST /webhooks/{source}/", func(w http.ResponseWriter, r *http.Request) error {
			return s.receive(w, r, r.PathValue("source"), false)
		}},
	}
}

// receive takes a delivery in. The answer comes after the commit; if the caller waits, with the
// result of the run that the delivery started.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, source string, sync bool) error {
	p, err := readPatience(r)
	if err != nil {
		return err
	}
	if sync && !p.asked {
		p.wait = defaultWait
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	accepted, err := s.engine.Receive(r.Context(), engine.Inbound{
		Definition: r.URL.Query().Get("definition"), Source: source,
		ContentType: r.Header.Get("Content-Type"), Header: r.Header, Body: body, Actor: actor(r),
	})
	if err != nil {
		return err
	}
	if accepted.RunID == nil || p.async || p.wait == 0 {
		return writeJSON(w, http.StatusAccepted, accepted)
	}
	return s.answerRun(w, r, *accepted.RunID, p)
}

// answerRun waits for the run as long as the caller wants and answers with it: 200 when it has ended,
// whatever its status says, 202 while it is still running.
func (s *Server) answerRun(w http.ResponseWriter, r *http.Request, runID string, p patience) error {
	ctx, cancel := s.untilClosing(r)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, p.wait)
	defer stop()
	var result engine.RunResult
	var err error
	if p.async || p.wait == 0 {
		result, err = s.engine.Result(r.Context(), runID)
	} else {
		result, err = s.engine.Wait(ctx, runID)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", runPath(runID))
	code := http.StatusOK
	if !result.Status.Terminal() {
		code = http.StatusAccepted
	}
	return writeJSON(w, code, result)
}

func runPath(runID string) string { return "/orchestration/pipeline/" + runID + "/" }
