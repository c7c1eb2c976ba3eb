package main

// allCases are in the order in which they are run.
func allCases() []faultCase {
	both, onSQLite, onPostgres := []string{sqlite, postgres}, []string{sqlite}, []string{postgres}
	return []faultCase{
		{"R01", "kill -9 at random instants under load", both, true, killed},
		{"R02", "SIGKILL at every flush to the disk in turn", onSQLite, false, killedAtFlush},
		{"R03", "the disk refuses to flush", onSQLite, true, failingDisk},
		{"R04", "the disk is full, and later is not", onSQLite, true, diskFull},
		{"R05", "the database cannot grow: WAL disk full, file size limit", both, false, walFull},
		{"R05c", "the file system becomes read-only", onSQLite, false, readOnly},
		{"R06", "PostgreSQL is stopped, started, killed and started", onPostgres, true, databaseRestarts},
		{"R07", "PostgreSQL ends all sessions every second", onPostgres, false, sessionsEnded},
		{"R08", "the network to PostgreSQL is cut without a word", onPostgres, true, networkCut},
		{"R09", "somebody locks the database", both, true, databaseLocked},
		{"R30", "a second process on one file", onSQLite, true, secondProcess},
		{"R30", "three processes on one database: one is killed, one is stopped and wakes", onPostgres, true, manyProcesses},
		{"COPY", "the database is copied to one of the other kind with runs under way", both, true, copied},
	}
}
