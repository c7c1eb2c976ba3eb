package db

import (
	"fmt"
	"strings"

	"github.com/uptrace/bun/schema"
)

// EventChannel is the PostgreSQL channel on which the run ids and newest sequence numbers of committed events
// are notified: a JSON list of "<run id>:<sequence>".
const EventChannel = "penstock_events"

const notifyLimit = 7800 // bytes; PostgreSQL refuses 8000

// addEvents returns what stores events and, on PostgreSQL, tells the other processes. They are published after
// the commit. With again an earlier attempt may have stored them.
func (tx *Tx) addEvents(events []*RunEvent, again bool) []schema.QueryAppender {
	if len(events) == 0 {
		return nil
	}
	insert := tx.store.write.NewInsert().Model(&events)
	if again {
		insert.On("CONFLICT (run_id, seq) DO NOTHING")
	}
	queries := []schema.QueryAppender{insert}
	last := map[string]int64{}
	for _, e := range events {
		tx.events = append(tx.events, *e)
		last[e.RunID] = max(last[e.RunID], e.Sequence)
	}
	if !tx.store.isSQLite() { // on SQLite there is no other process
		for _, payload := range notifications(last) {
			queries = append(queries, tx.store.write.NewSelect().ColumnExpr("pg_notify(?, ?)", EventChannel, payload))
		}
	}
	return queries
}

func notifications(last map[string]int64) (payloads []string) {
	var b strings.Builder
	for run, sequence := range last {
		item := fmt.Sprintf("%q", fmt.Sprintf("%s:%d", run, sequence))
		if b.Len() > 0 && b.Len()+len(item)+2 > notifyLimit {
			payloads = append(payloads, b.String()+"]")
			b.Reset()
		}
		if b.Len() == 0 {
			b.WriteByte('[')
		} else {
			b.WriteByte(',')
		}
		b.WriteString(item)
	}
	return append(payloads, b.String()+"]")
}
