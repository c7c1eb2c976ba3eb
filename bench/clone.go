package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cloner fills a store with copies of a run that it has worked: everything that would be there if the run had
// been worked many times.
type cloner struct {
	db       *sql.DB
	postgres bool

	run, delivery, incident, alert string // ids of the original
	number                         int64  // of its delivery

	// With incidents, the runs belong to that many of them in turn, and runs and incidents are as various as they are
	// after some weeks. Without, every run has one of its own and has gone as the original did.
	incidents int64
}

// keepBodies is the setting of a server on copies: some are older than bodies are kept, and emptying a million of
// them at once would be measured with the runs, which never happens in a store that grew day by day.
const keepBodies = "PENSTOCK_RETAIN_BODIES=0"

// clones are made of so many runs at once.
const cloneBatch = 20_000

func (c *cloner) open(databaseURL string) error {
	driver, source := "pgx", databaseURL
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-262144)&_pragma=busy_timeout(10000)"
	}
	var err error
	c.postgres = driver == "pgx"
	c.db, err = sql.Open(driver, source)
	c.db.SetMaxOpenConns(1)
	return err
}

// original takes the newest run that has ended.
func (c *cloner) original(ctx context.Context) error {
	var fingerprint string
	err := c.db.QueryRowContext(ctx, `SELECT r.id, r.delivery_id, r.incident_id, a.id, a.fingerprint FROM runs AS r
		JOIN alerts AS a ON a.incident_id = r.incident_id
		WHERE r.status = 'completed' ORDER BY r.created_at DESC LIMIT 1`).Scan(&c.run, &c.delivery, &c.incident, &c.alert, &fingerprint)
	if err != nil {
		return fmt.Errorf("find a run to copy: %w", err)
	}
	_, err = fmt.Sscanf(fingerprint, mark+"%d", &c.number)
	return err
}

// id of the nth copy of a record: in the form of a UUID, in the order of n.
func (c *cloner) id(kind int) string { return c.numbered(kind, "s.n") }

// numbered is the id of the copy with the number that an expression gives.
func (c *cloner) numbered(kind int, n string) string {
	hex := "printf('%012x', " + n + ")"
	if c.postgres {
		hex = "lpad(to_hex(" + n + "), 12, '0')"
	}
	return fmt.Sprintf("'01000000-000%d-7000-8000-' || %s", kind, hex)
}

// recordID is the id of the nth copy of a record.
func recordID(kind int, n int64) string {
	return fmt.Sprintf("01000000-000%d-7000-8000-%012x", kind, n)
}

// ago is the column so much earlier: a day and a second for each run, or ten seconds for each, which is some weeks.
func (c *cloner) ago(column string) string {
	seconds := "(86400 + s.n)"
	if c.incidents > 0 {
		seconds = "(10 * s.n)"
	}
	if c.postgres {
		return "t." + column + " - " + seconds + " * interval '1 second'"
	}
	return fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%f000', t.%s, '-' || %s || ' seconds')", column, seconds)
}

// renumbered is the text column with the number of the copy instead of the original's.
func (c *cloner) renumbered(column string, blob bool) string {
	text, n := "t."+column, "CAST(s.n AS text)"
	switch {
	case blob && c.postgres:
		text = "convert_from(t." + column + ", 'UTF8')"
	case c.postgres:
		text += "::text"
	case blob:
		text = "CAST(" + text + " AS text)"
	}
	for _, word := range []string{mark, "host-"} {
		text = fmt.Sprintf("replace(%s, '%s%d', '%s' || %s)", text, word, c.number, word, n)
	}
	switch {
	case blob && c.postgres:
		return "convert_to(" + text + ", 'UTF8')"
	case blob:
		return "CAST(" + text + " AS blob)"
	case c.postgres:
		return "(" + text + ")::json"
	}
	return text
}

// table copies the rows of a table for the numbers from, from+1 … to-1. change holds expressions of columns.
func (c *cloner) table(ctx context.Context, name, where string, change map[string]string, from, to int64) error {
	rows, err := c.db.QueryContext(ctx, "SELECT * FROM "+name+" LIMIT 0")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	columns = slices.DeleteFunc(columns, func(column string) bool { return change[column] == "-" })
	values := make([]string, len(columns))
	for i, column := range columns {
		if values[i] = change[column]; values[i] == "" {
			values[i] = "t." + column
		}
	}
	series := fmt.Sprintf("WITH RECURSIVE s(n) AS (VALUES (%d) UNION ALL SELECT n + 1 FROM s WHERE n < %d)", from, to-1)
	if c.postgres {
		series = fmt.Sprintf("WITH s(n) AS (SELECT generate_series(%d::bigint, %d::bigint))", from, to-1)
	}
	_, err = c.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) %s SELECT %s FROM %s AS t, s WHERE %s",
		name, strings.Join(columns, ", "), series, strings.Join(values, ", "), name, where))
	if err != nil {
		return fmt.Errorf("copy rows of %s: %w", name, err)
	}
	return nil
}

// Kinds of ids.
const (
	runID = iota + 1
	deliveryID
	incidentID
	alertID
	decisionID
	messageID
)

// history copies the run as it is, with all that it left behind.
func (c *cloner) history(ctx context.Context, from, to int64) error {
	of := func(column, id string) string { return "t." + column + " = '" + id + "'" }
	incidents, incidentOf := of("id", c.incident), c.id(incidentID)
	incident := map[string]string{"id": c.id(incidentID), "group_key": "'clone-' || s.n", "created_at": c.ago("created_at"), "updated_at": c.ago("updated_at"),
		"status": "'resolved'", "resolved_at": c.ago("updated_at")}
	alert := map[string]string{"id": c.id(alertID), "fingerprint": "'clone-' || s.n", "delivery_id": c.id(deliveryID),
		"created_at": c.ago("created_at"), "updated_at": c.ago("updated_at"), "status": "'resolved'"}
	run := map[string]string{"id": c.id(runID), "delivery_id": c.id(deliveryID), "created_at": c.ago("created_at")}
	message := map[string]string{"id": c.id(messageID), "run_id": c.id(runID), "created_at": c.ago("created_at")}
	decision := map[string]string{"id": c.id(decisionID), "delivery_id": c.id(deliveryID), "created_at": c.ago("created_at")}
	if c.incidents > 0 {
		incidents += fmt.Sprintf(" AND s.n <= %d", c.incidents)
		incidentOf = c.numbered(incidentID, fmt.Sprintf("(s.n - 1) %% %d + 1", c.incidents))
		incident["status"] = "CASE WHEN s.n % 50 = 0 THEN 'open' WHEN s.n % 50 = 1 THEN 'acknowledged' WHEN s.n % 2 = 0 THEN 'closed' ELSE 'resolved' END"
		incident["severity"] = "CASE s.n % 4 WHEN 0 THEN 'critical' WHEN 1 THEN 'error' WHEN 2 THEN 'warning' ELSE 'info' END"
		incident["host"], incident["title"] = "'host-' || (s.n % 500)", "'Disk ' || (s.n % 40) || ' is full on host-' || (s.n % 500)"
		alert["severity"], alert["host"] = incident["severity"], incident["host"]
		run["status"] = "CASE WHEN s.n % 20 = 0 THEN 'failed' WHEN s.n % 20 = 1 THEN 'partial' ELSE 'completed' END"
		run["error"] = "CASE WHEN s.n % 20 = 0 THEN 'tell: the receiver of host-' || (s.n % 500) || ' answered 503' ELSE '' END"
		message["status"] = "CASE WHEN s.n % 20 = 0 THEN 'failed' ELSE 'sent' END"
	}
	for _, r := range []map[string]string{alert, run, message, decision} {
		r["incident_id"] = incidentOf
	}
	for _, t := range []struct {
		name, where string
		change      map[string]string
	}{
		{"deliveries", of("id", c.delivery), map[string]string{"id": c.id(deliveryID), "received_at": c.ago("received_at")}},
		{"incidents", incidents, incident},
		{"alerts", of("id", c.alert), alert},
		{"runs", of("id", c.run), run},
		{"stage_executions", of("run_id", c.run), map[string]string{"run_id": c.id(runID)}},
		{"run_events", of("run_id", c.run), map[string]string{"run_id": c.id(runID)}},
		{"decisions", of("delivery_id", c.delivery), decision},
		{"notification_messages", of("run_id", c.run), message},
		{"notification_attempts", "t.message_id IN (SELECT id FROM notification_messages WHERE run_id = '" + c.run + "')", map[string]string{"message_id": c.id(messageID)}},
	} {
		if err := c.table(ctx, t.name, t.where, t.change, from, to); err != nil {
			return err
		}
	}
	return nil
}

// pending copies the run as it was when it had been accepted, each with an alert of its own.
func (c *cloner) pending(ctx context.Context, from, to int64) error {
	err := c.table(ctx, "deliveries", "t.id = '"+c.delivery+"'", map[string]string{
		"id": c.id(deliveryID), "body": c.renumbered("body", true), "parsed": c.renumbered("parsed", false), "intake": "NULL", "intake_at": "NULL",
	}, from, to)
	if err != nil {
		return err
	}
	return c.table(ctx, "runs", "t.id = '"+c.run+"'", map[string]string{
		"id": c.id(runID), "delivery_id": c.id(deliveryID), "status": "'pending'", "epoch": "1", "incident_id": "NULL", "change": "NULL",
		"started_at": "NULL", "finished_at": "NULL",
	}, from, to)
}

// all makes n copies, numbered from first on.
func (c *cloner) all(ctx context.Context, copies func(context.Context, int64, int64) error, first, n int64) error {
	for from := first; from < first+n; from += cloneBatch {
		if err := copies(ctx, from, min(from+cloneBatch, first+n)); err != nil {
			return err
		}
	}
	// Rows about changes are gone an hour later. PostgreSQL learns by itself in time what its tables hold; nobody tells SQLite.
	statements := []string{"DELETE FROM changes", "PRAGMA wal_checkpoint(TRUNCATE)"}
	if c.postgres {
		statements = []string{"TRUNCATE changes", "VACUUM ANALYZE"}
	}
	for _, s := range statements {
		if _, err := c.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
