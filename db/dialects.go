package db

import (
	"strings"
	"time"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

// sqliteDialect writes times as fixed-width UTC text: it sorts as it should, and bun reads it back as UTC
// (text with a zone offset would come back in the zone of the machine).
type sqliteDialect struct{ *sqlitedialect.Dialect }

func (sqliteDialect) AppendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "'2006-01-02 15:04:05.000000'")
}

func (d sqliteDialect) AppendString(b []byte, text string) []byte {
	return d.Dialect.AppendString(b, withoutNUL(text))
}

type postgresDialect struct{ *pgdialect.Dialect }

func (d postgresDialect) AppendString(b []byte, text string) []byte {
	return d.Dialect.AppendString(b, withoutNUL(text))
}

// withoutNUL leaves out the one character that not every database takes in a text; bun refuses to write it.
func withoutNUL(text string) string { return strings.ReplaceAll(text, "\x00", "") }
