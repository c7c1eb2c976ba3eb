package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"penstock/db"
)

// bareVariable makes this program the bare handler: its value is a file with a barePlan.
const bareVariable = "PENSTOCK_BENCH_BARE"

// barePlan is what the bare handler sends to the database: for every page the statements that the server sends.
type barePlan struct {
	DatabaseURL string
	Pages       []barePage
}

type barePage struct{ Runs, Stages string }

// pageColumns are the columns that the server reads for pageQuery, beside id and created_at.
var pageColumns = []string{"status", "source", "environment", "definition_version", "started_at", "finished_at"}

// barePages reads pages of the list as the resolvers do, while no server runs, and keeps the statements.
// cursors[i] is where page i begins.
func barePages(ctx context.Context, databaseURL string, n int) (pages []barePage, cursors []string, err error) {
	var sent []string
	store, err := db.Open(ctx, db.Options{URL: databaseURL, OnQuery: func(q string) { sent = append(sent, q) }})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = store.Close() }()
	after := ""
	for range n {
		sent = nil
		runs, err := store.Runs(ctx, db.RunFilter{Columns: pageColumns, Page: db.Page{First: pageSize, After: after}})
		if err != nil {
			return nil, nil, err
		}
		var ids []string
		for _, run := range runs.Items {
			ids = append(ids, run.ID)
		}
		if _, err := store.StageSummariesByRun(ctx, ids); err != nil {
			return nil, nil, err
		}
		if len(sent) != 2 || !runs.HasNext {
			return nil, nil, fmt.Errorf("a page took %d statements, and 2 were expected; %d runs", len(sent), len(ids))
		}
		pages, cursors = append(pages, barePage{sent[0], sent[1]}), append(cursors, after)
		after = runs.Cursors[len(ids)-1]
	}
	return pages, cursors, nil
}

// bare answers with the pages of a plan, and nothing between net/http and the database but database/sql and
// encoding/json. It prints its address and ends when its standard input does.
func bare(file string) error {
	var plan barePlan
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		return err
	}
	// Every page of a real list is another text, so a cache of prepared statements would help nobody.
	driver, source, connections := "pgx", plan.DatabaseURL+"&default_query_exec_mode=simple_protocol", 16
	if path, ok := strings.CutPrefix(plan.DatabaseURL, "sqlite:"); ok { // with the settings of the server's readers
		driver, source, connections = "sqlite", "file:"+path+"?mode=ro&_pragma=query_only(1)&_pragma=cache_size(-8192)&_pragma=busy_timeout(2000)&_pragma=temp_store(2)", 4
	}
	pool, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := strconv.Atoi(r.URL.Path[1:])
			var answer bareAnswer
			if err == nil {
				answer, err = plan.Pages[n].read(r.Context(), pool)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}))
	}()
	fmt.Println("http://" + listener.Addr().String() + "/")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// bareAnswer has what pageQuery asks for, in its shape.
type bareAnswer struct {
	Data struct {
		Runs struct {
			Nodes    []*bareRun `json:"nodes"`
			PageInfo struct {
				HasNextPage bool `json:"hasNextPage"`
			} `json:"pageInfo"`
		} `json:"runs"`
	} `json:"data"`
}

type bareRun struct {
	RunID       string      `json:"runId"`
	Status      string      `json:"status"`
	Source      string      `json:"source"`
	Environment string      `json:"environment"`
	Version     int         `json:"definitionVersion"`
	CreatedAt   moment      `json:"createdAt"`
	StartedAt   *moment     `json:"startedAt"`
	FinishedAt  *moment     `json:"finishedAt"`
	DurationMs  *int64      `json:"durationMs"`
	Stages      []bareStage `json:"stages"`
}

type bareStage struct {
	NodeID     string  `json:"nodeId"`
	NodeType   string  `json:"nodeType"`
	Attempt    int     `json:"attempt"`
	Status     string  `json:"status"`
	StartedAt  *moment `json:"startedAt"`
	FinishedAt *moment `json:"finishedAt"`
	DurationMs *int64  `json:"durationMs"`
}

// moment is a time, which SQLite keeps as text.
type moment struct{ time.Time }

func (m *moment) Scan(value any) (err error) {
	switch v := value.(type) {
	case time.Time:
		m.Time = v.UTC()
	case string:
		m.Time, err = time.Parse("2006-01-02 15:04:05.999999", v)
	default:
		err = fmt.Errorf("a time is %T", value)
	}
	return err
}

func (p barePage) read(ctx context.Context, pool *sql.DB) (a bareAnswer, err error) {
	byID := map[string]*bareRun{}
	var run bareRun
	list := &a.Data.Runs
	err = scan(ctx, pool, p.Runs, map[string]any{
		"id": &run.RunID, "status": &run.Status, "source": &run.Source, "environment": &run.Environment, "definition_version": &run.Version,
		"created_at": &run.CreatedAt, "started_at": &run.StartedAt, "finished_at": &run.FinishedAt,
	}, func() {
		if len(list.Nodes) == pageSize {
			list.PageInfo.HasNextPage = true
			return
		}
		run.Status, run.DurationMs = strings.ToUpper(run.Status), bareDuration(run.StartedAt, run.FinishedAt)
		list.Nodes = append(list.Nodes, new(run))
		byID[run.RunID] = list.Nodes[len(list.Nodes)-1]
	})
	if err != nil {
		return a, err
	}
	var runID string
	var stage bareStage
	return a, scan(ctx, pool, p.Stages, map[string]any{
		"run_id": &runID, "node_id": &stage.NodeID, "node_type": &stage.NodeType, "attempt": &stage.Attempt, "status": &stage.Status,
		"started_at": &stage.StartedAt, "finished_at": &stage.FinishedAt,
	}, func() {
		stage.Status, stage.DurationMs = strings.ToUpper(stage.Status), bareDuration(stage.StartedAt, stage.FinishedAt)
		byID[runID].Stages = append(byID[runID].Stages, stage)
	})
}

func bareDuration(from, to *moment) *int64 {
	if from == nil || to == nil {
		return nil
	}
	return new(to.Sub(from.Time).Milliseconds())
}

// scan reads the columns that are wanted of every row and calls found after each.
func scan(ctx context.Context, pool *sql.DB, statement string, wanted map[string]any, found func()) error {
	rows, err := pool.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	into := make([]any, len(columns))
	for i, column := range columns {
		if into[i] = wanted[column]; into[i] == nil {
			into[i] = new(sql.RawBytes)
		}
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		found()
	}
	return rows.Err()
}
