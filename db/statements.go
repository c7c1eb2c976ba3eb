package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"modernc.org/sqlite"
)

const (
	keptStatements = 256 // of a connection
	keptArguments  = 600 // of a statement; parsing a longer one is little beside its rows
)

// openSQLitePool opens connections that keep their statements: SQLite takes as long to read one as to work it.
func openSQLitePool(dsn string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(keepingConnector{connector}), nil
}

type keepingConnector struct{ driver.Connector }

func (k keepingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := simplelru.NewLRU(keptStatements, func(_ string, st *keptStatement) {
		if st.gone = true; !st.reading {
			_ = st.Close()
		}
	})
	return &keepingConn{conn.(sqliteConn), kept}, err
}

// sqliteConn is what the driver's connections can.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keepingConn is a connection with its prepared statements. The text of a statement has its values in it; those
// that do not matter for the plan are taken out, so that texts are alike.
type keepingConn struct {
	sqliteConn
	kept *simplelru.LRU[string, *keptStatement]
}

type keptStatement struct {
	driver.Stmt
	reading bool // its rows are open
	gone    bool // not kept any more
}

func (c *keepingConn) Close() error {
	c.kept.Purge()
	return c.sqliteConn.Close()
}

func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	st, args, err := c.statement(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return st.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	st, args, err := c.statement(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := st.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	st.reading = true
	return &keptRows{rows.(sqliteRows), st}, nil
}

// statement is the prepared statement of a text and its arguments; nil for one that is not worth it.
func (c *keepingConn) statement(ctx context.Context, query string, args []driver.NamedValue) (*keptStatement, []driver.NamedValue, error) {
	shape, all := query, args
	if len(args) == 0 {
		if shape, all = lift(query); len(all) == 0 || len(all) > keptArguments {
			return nil, args, nil
		}
	}
	st, ok := c.kept.Get(shape)
	if ok && st.reading {
		return nil, args, nil
	}
	if !ok {
		prepared, err := c.PrepareContext(ctx, shape)
		if err != nil {
			return nil, args, err
		}
		st = &keptStatement{Stmt: prepared}
		c.kept.Add(shape, st)
	}
	return st, all, nil
}

// sqliteRows is what the driver's rows can.
type sqliteRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

type keptRows struct {
	sqliteRows
	st *keptStatement
}

func (r *keptRows) Close() error {
	err := r.sqliteRows.Close()
	if r.st.reading = false; r.st.gone {
		_ = r.st.Close()
	}
	return err
}

// lift takes values out of a statement that bun has written, and puts parameters in their place: everything in
// lists of VALUES, and ids elsewhere. What else there is, such as the status in a condition, chooses the index.
func lift(query string) (shape string, args []driver.NamedValue) {
	if strings.HasPrefix(query, "CREATE") { // a trigger has no parameters
		return query, nil
	}
	var b strings.Builder
	done := 0 // up to where query is written
	put := func(from, to int, v driver.Value) {
		b.WriteString(query[done:from])
		b.WriteByte('?')
		done = to
		args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: v})
	}
	depth, values := 0, -1 // of parentheses; where the list of VALUES is, -1 outside
	for i := 0; i < len(query); {
		ch, end := query[i], i+1
		switch {
		case ch == '"':
			end = quotedEnd(query, i)
		case ch == '\'':
			end = quotedEnd(query, i)
			if text := query[i+1 : end-1]; values >= 0 || len(text) == 36 && text[8] == '-' && text[13] == '-' {
				put(i, end, strings.ReplaceAll(text, "''", "'"))
			}
		case ch == '(':
			depth++
		case ch == ')':
			if depth--; depth < values {
				values = -1
			}
		case isWord(ch):
			for end < len(query) && (isWord(query[end]) || query[end] == '.') {
				end++
			}
			word := query[i:end]
			switch {
			case word == "VALUES":
				values = depth
			case values >= 0 && depth == values: // ON CONFLICT and what follows
				values = -1
			case values < 0:
			case word == "NULL":
				put(i, end, nil)
			case word == "TRUE":
				put(i, end, int64(1))
			case word == "FALSE":
				put(i, end, int64(0))
			case word == "X" && end < len(query) && query[end] == '\'':
				close := quotedEnd(query, end)
				if blob, err := hex.DecodeString(query[end+1 : close-1]); err == nil {
					put(i, close, blob)
				}
				end = close
			default:
				if n, err := strconv.ParseInt(word, 10, 64); err == nil {
					put(i, end, n)
				}
			}
		}
		i = end
	}
	if len(args) == 0 {
		return query, nil
	}
	b.WriteString(query[done:])
	return b.String(), args
}

// quotedEnd is the end of what is quoted at i; a quote within is written twice.
func quotedEnd(query string, i int) int {
	quote := query[i]
	for end := i + 1; end < len(query); end++ {
		if query[end] != quote {
			continue
		}
		if end+1 < len(query) && query[end+1] == quote {
			end++
			continue
		}
		return end + 1
	}
	return len(query)
}

func isWord(ch byte) bool {
	return ch == '_' || '0' <= ch && ch <= '9' || 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z'
}
