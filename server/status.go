package server

import (
	"net/http"
	"time"

	"penstock/db"
)

func (s *Server) statusRoutes() []route {
	return []route{{"GET /orchestration/status/", s.status}}
}

type statusAnswer struct {
	Version   string        `json:"version"`
	StartedAt time.Time     `json:"started_at"`
	Database  string        `json:"database"`
	Executors int           `json:"executors"`
	Backlog   backlogAnswer `json:"backlog"`
	Store     struct {
		Bytes    int64 `json:"bytes"`
		Used     int64 `json:"used_bytes"`
		WALBytes int64 `json:"wal_bytes"`
	} `json:"store"`
}

type backlogAnswer struct {
	Pending   int        `json:"pending"`
	Running   int        `json:"running"`
	Retrying  int        `json:"retrying"`
	Stuck     int        `json:"stuck"`
	OldestRun *oldestRun `json:"oldest_run"`
}

type oldestRun struct {
	RunID      string       `json:"run_id"`
	Definition string       `json:"definition"`
	Status     db.RunStatus `json:"status"`
	CreatedAt  time.Time    `json:"created_at"`
	URL        string       `json:"url"` // its page
}

// status says what is going on: the work that is not done, the room that is taken, who works.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	all, err := s.engine.Status(r.Context())
	if err != nil {
		return err
	}
	here := s.engine.Stats()
	a := statusAnswer{
		Version: here.Version, StartedAt: here.StartedAt, Database: all.Database, Executors: all.Executors,
		Backlog: backlogAnswer{Pending: all.Backlog.Pending, Running: all.Backlog.Running, Retrying: all.Backlog.Retrying, Stuck: all.Backlog.Stuck},
	}
	a.Store.Bytes, a.Store.Used, a.Store.WALBytes = all.Size.Bytes, all.Size.Used, all.Size.WAL
	if run := all.Backlog.Oldest; run != nil {
		a.Backlog.OldestRun = &oldestRun{run.ID, run.DefinitionName, run.Status, run.CreatedAt.UTC(), s.address(r) + "/admin/runs/" + run.ID}
	}
	return writeJSON(w, http.StatusOK, a)
}
