package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// history is what the store says that happened. It is read with SQL of its own, not with the program's.
type history struct {
	alerts     map[string]string // status by fingerprint
	deliveries map[string]bool   // by id: taken in
	runs       map[string]*storedRun
}

type storedRun struct {
	id, status, err string
	alert           int64 // number of its alert, 0 if it is none of a feeder
	stages          map[string][]storedStage
}

type storedStage struct {
	attempt    int
	status     string
	errors     []string
	skipReason string
	output     string
}

// did reports whether the run did anything but find that its alert was a repeat.
func (r *storedRun) did() bool {
	for _, attempts := range r.stages {
		for _, s := range attempts {
			if s.status == "skipped" && strings.Contains(s.skipReason, "repeat") {
				return false
			}
		}
	}
	return true
}

func openDatabase(url string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	}
	return sql.Open("pgx", url)
}

func readHistory(ctx context.Context, url string) (*history, error) {
	db, err := openDatabase(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	h := &history{alerts: map[string]string{}, deliveries: map[string]bool{}, runs: map[string]*storedRun{}}
	err = each(ctx, db, "SELECT fingerprint, status FROM alerts", func(scan func(...any) error) error {
		var fingerprint, status string
		err := scan(&fingerprint, &status)
		h.alerts[fingerprint] = status
		return err
	})
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{} // by delivery
	err = each(ctx, db, "SELECT id, body FROM deliveries", func(scan func(...any) error) error {
		var id string
		var body []byte
		err := scan(&id, &body)
		numbers[id], h.deliveries[id] = numberIn(body), true
		return err
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, db, "SELECT id, status, error, COALESCE(delivery_id, '') FROM runs", func(scan func(...any) error) error {
		r := &storedRun{stages: map[string][]storedStage{}}
		var delivery string
		err := scan(&r.id, &r.status, &r.err, &delivery)
		r.alert = numbers[delivery]
		h.runs[r.id] = r
		return err
	})
	if err != nil {
		return nil, err
	}
	const stages = "SELECT run_id, node_id, attempt, status, COALESCE(CAST(errors AS text), '[]'), skip_reason, COALESCE(CAST(output AS text), '') " +
		"FROM stage_executions ORDER BY run_id, node_id, attempt"
	return h, each(ctx, db, stages, func(scan func(...any) error) error {
		var run, node, errors string
		var s storedStage
		if err := scan(&run, &node, &s.attempt, &s.status, &errors, &s.skipReason, &s.output); err != nil {
			return err
		}
		if h.runs[run] == nil {
			return fmt.Errorf("a stage of run %s, which is not stored", run)
		}
		h.runs[run].stages[node] = append(h.runs[run].stages[node], s)
		return json.Unmarshal([]byte(errors), &h.runs[run].stages[node][len(h.runs[run].stages[node])-1].errors)
	})
}

func each(ctx context.Context, db *sql.DB, query string, row func(scan func(...any) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// numberIn finds the number of a feeder's alert in what was sent, 0 if there is none.
func numberIn(body []byte) int64 {
	_, rest, _ := bytes.Cut(body, []byte(`"fault-`))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}
