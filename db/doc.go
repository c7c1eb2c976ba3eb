// Package db is the store: every line of SQL, on SQLite and on PostgreSQL. [Open] returns a [Store] that
// behaves the same on both; a statement that differs by database is branched in one function, with the reason.
//
// Three rules a reader must know. A write is durable when its method returns nil. Inside [Store.InTx] only the
// [Tx] is used: on SQLite there is one writer, and calling the Store from inside waits for itself. JSON columns
// of type json.RawMessage are kept byte for byte; times come back in UTC with microseconds.
package db
