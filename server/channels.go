package server

import (
	"encoding/json"
	"net/http"
	"time"

	"penstock/db"
	"penstock/engine"
	"penstock/fault"
)

func (s *Server) channelRoutes() []route {
	return []route{
		{"GET /orchestration/channels/", s.channelList},
		{"GET /orchestration/channels/{name}/", s.channelGet},
		{"PUT /orchestration/channels/{name}/", s.channelPut},
		{"DELETE /orchestration/channels/{name}/", s.channelDelete},
		{"POST /orchestration/channels/{name}/test/", s.channelTest},
	}
}

// channelDetail is a channel. Secrets in its settings are references.
type channelDetail struct {
	Name        string          `json:"name"`
	Driver      string          `json:"driver"`
	Description string          `json:"description"`
	IsActive    bool            `json:"is_active"`
	Config      json.RawMessage `json:"config"`
	TestedAt    *time.Time      `json:"tested_at"`
	TestError   string          `json:"test_error"`
	CreatedBy   string          `json:"created_by"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`

	Health *engine.ChannelStatus `json:"health,omitempty"` // not after a change
}

// healthy adds how the channels do.
func (s *Server) healthy(r *http.Request, channels []channelDetail) error {
	statuses, err := s.engine.ChannelStatuses(r.Context())
	for i := range channels {
		channels[i].Health = new(statuses.Of(channels[i].Name))
	}
	return err
}

func channelOf(c db.Channel) channelDetail {
	d := channelDetail{
		Name: c.Name, Driver: c.Driver, Description: c.Description, IsActive: c.IsActive, Config: c.Config,
		TestedAt: orNull(c.TestedAt.UTC()), TestError: c.TestError, CreatedBy: c.CreatedBy, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	if len(d.Config) == 0 {
		d.Config = json.RawMessage("{}")
	}
	return d
}

func (s *Server) channelList(w http.ResponseWriter, r *http.Request) error {
	channels, err := s.store.Channels(r.Context())
	if err != nil {
		return err
	}
	rows := make([]channelDetail, len(channels))
	for i, c := range channels {
		rows[i] = channelOf(c)
	}
	if err := s.healthy(r, rows); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Channels []channelDetail `json:"channels"`
		Count    int             `json:"count"`
	}{rows, len(rows)})
}

func (s *Server) channelGet(w http.ResponseWriter, r *http.Request) error {
	c, err := s.store.Channel(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	detail := []channelDetail{channelOf(*c)}
	if err := s.healthy(r, detail); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, detail[0])
}

// channelPut creates (201) or replaces (200). A secret that the settings leave out keeps its value.
func (s *Server) channelPut(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name        string          `json:"name"`
		Driver      string          `json:"driver"`
		Config      json.RawMessage `json:"config"`
		Description *string         `json:"description"`
		IsActive    *bool           `json:"is_active"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := sameName(body.Name, name); err != nil {
		return err
	}
	c, created, err := s.engine.SaveChannel(r.Context(), engine.ChannelInput{
		Name: name, Driver: body.Driver, Config: body.Config, Description: body.Description, IsActive: body.IsActive,
		Actor: actor(r), Admin: isAdmin(r),
	})
	if err != nil {
		return err
	}
	return writeJSON(w, createdOr(created, w, r), channelOf(*c))
}

func (s *Server) channelDelete(w http.ResponseWriter, r *http.Request) error {
	if err := s.engine.DeleteChannel(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// exchange is a request of a test with its headers and body, and the answer, without secrets.
type exchange struct {
	Request string  `json:"request"`
	Answer  *string `json:"answer"` // null without one
}

// channelTest sends a test message and answers with exactly what the receiver said: 200 if it took
// the message, 422 if it did not or could not be asked.
func (s *Server) channelTest(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	test, err := s.engine.TestChannel(r.Context(), name)
	answer := struct {
		Channel      string     `json:"channel"`
		Status       string     `json:"status"`  // success or failed
		Request      string     `json:"request"` // what was sent where, in a line without secrets
		MessageID    string     `json:"message_id"`
		ResponseCode int        `json:"response_code"` // HTTP status or SMTP code, 0 without an answer
		Response     string     `json:"response"`
		Exchanges    []exchange `json:"exchanges"`
		Error        *string    `json:"error,omitempty"`
	}{
		Channel: name, Status: "success", Request: test.Request, MessageID: test.MessageID, ResponseCode: test.Status, Response: test.Response,
		Exchanges: make([]exchange, len(test.Exchanges)),
	}
	for i, x := range test.Exchanges {
		answer.Exchanges[i] = exchange{x.Request, orNull(x.Answer)}
	}
	if err == nil {
		return writeJSON(w, http.StatusOK, answer)
	}
	f := fault.Of(err)
	switch f.Code {
	case fault.Internal, fault.NotFound, fault.Unauthorized: // ours, not the receiver's
		return err
	}
	answer.Status, answer.Error = "failed", &f.Message
	return writeJSON(w, http.StatusUnprocessableEntity, answer)
}
