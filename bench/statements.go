package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"penstock/auth"
	"penstock/db"
	"penstock/db/seal"
	"penstock/drivers"
	"penstock/drivers/ai"
	"penstock/drivers/alerts"
	"penstock/drivers/notify"
	"penstock/engine"
	"penstock/nodes"
	"penstock/server"
)

// statementsOf asks a server inside this process for the pages and returns what each reads from the store. No
// penstock may use the store meanwhile.
func statementsOf(ctx context.Context, databaseURL, key, token string, list []string) ([][]string, error) {
	var mu sync.Mutex
	var seen []string
	store, err := db.Open(ctx, db.Options{URL: databaseURL, OnQuery: func(statement string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(statement, "SELECT") || strings.HasPrefix(statement, "WITH") {
			seen = append(seen, statement)
		}
	}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	handler, err := pagesHandler(ctx, store, key)
	if err != nil {
		return nil, err
	}
	all := make([][]string, len(list))
	for i, page := range list {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+page, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		mu.Lock()
		seen = nil
		mu.Unlock()
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			return nil, fmt.Errorf("GET %s: %d: %s", page, answer.Code, answer.Body)
		}
		mu.Lock()
		all[i] = seen
		mu.Unlock()
	}
	return all, nil
}

func pagesHandler(ctx context.Context, store *db.Store, key string) (http.Handler, error) {
	raw, err := seal.ParseKey(key)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.New(raw)
	if err != nil {
		return nil, err
	}
	o := engine.Options{
		Store: store, Hub: engine.NewHub(), Sealer: sealer,
		Sources: drivers.NewRegistry(named[alerts.Source]("alertmanager")), Notify: drivers.NewRegistry(named[notify.Driver]("console")), AI: drivers.NewRegistry(named[ai.Provider]("local")),
	}
	o.Types = nodes.All(nodes.Deps{Sources: o.Sources, Notify: o.Notify, AI: o.AI})
	e, err := engine.New(ctx, o)
	if err != nil {
		return nil, err
	}
	service, err := auth.New(auth.Options{Store: store, Key: raw})
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Options{Store: store, Engine: e, Auth: service, GraphQL: http.NotFoundHandler()})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}

// named is a kind of which the pages need only the name: nothing works here.
func named[T any](name string) drivers.Kind[T] {
	return drivers.Define(name, name, func(context.Context, struct{}) (none T, err error) { return none, errors.ErrUnsupported })
}

// statementTimes runs the statements of each page alone, all pages in turn, and reads every row.
func statementTimes(ctx context.Context, databaseURL string, statements [][]string) ([][]time.Duration, error) {
	driver, source := "pgx", databaseURL
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?mode=ro&_pragma=cache_size(-8192)" // like a reader of the server
	}
	database, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = database.Close() }()
	database.SetMaxOpenConns(1)
	took := make([][]time.Duration, len(statements))
	for round := range pageRounds + 1 {
		for i, page := range statements {
			begin := time.Now()
			for _, statement := range page {
				if err := readAll(ctx, database, statement); err != nil {
					return nil, fmt.Errorf("%w in %s", err, statement)
				}
			}
			if round > 0 {
				took[i] = append(took[i], time.Since(begin))
			}
		}
	}
	return took, nil
}

func readAll(ctx context.Context, database *sql.DB, statement string) error {
	rows, err := database.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
	}
	return rows.Err()
}
