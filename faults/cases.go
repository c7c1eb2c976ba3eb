package main

// allCases are in the order in which they are run.
func allCases() []faultCase {
	both, onSQLite, onPostgres := []string{sqlite, postgres}, []string{sqlite}, []string{postgres}
	_ = onSQLite
	return []faultCase{
		{"R01", "kill -9 at random instants under load", both, true, killed},
		{"R06", "PostgreSQL is stopped, started, killed and started", onPostgres, true, databaseRestarts},
	}
}
