package main

import "context"

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
		{"R10", "receivers fail a few times", onSQLite, true, backedOff},
		{"R10", "receivers fail a few times", onPostgres, false, backedOff},
		{"R11", "receivers answer 429, 400, 401 and 404", onSQLite, true, refused},
		{"R11", "receivers answer 429, 400, 401 and 404", onPostgres, false, refused},
		{"R12", "receivers take messages and cut the connection", both, true, cutAfterReading},
		{"R13", "a receiver takes messages and never answers", both, false, hangingReceiver},
		{"R14", "a receiver is down, and half of what it is to be told ends meanwhile", onSQLite, true, downForLong},
		{"R14", "a receiver is down, and half of what it is to be told ends meanwhile", onPostgres, false, downForLong},
		{"R15", "one body a hundred times", both, true, repeated},
		{"R16", "alerts end, known ones and unknown ones", both, true, resolvedAlerts},
		{"R17", "a storm of alerts in groups", both, true, cannot("windows that group alerts are not offered")},
		{"R18", "a definition that always fails and a receiver that never works, beside good ones", onSQLite, true, poisoned},
		{"R18", "a definition that always fails and a receiver that never works, beside good ones", onPostgres, false, poisoned},
		{"R19", "a load that the machine can bear", both, false, borne},
		{"R20", "a load, five times the load, the load", both, false, overloaded},
		{"R21", "minutes of load with kill -9 and receivers that refuse now and then", both, false, soaked},
		{"R22", "subscribers, some of whom never read or come and go", onSQLite, true, watched},
		{"R22", "subscribers, some of whom never read or come and go", onPostgres, false, watched},
		{"R23", "the wall clock jumps five days", both, true, cannot("the wall clock of one static binary cannot be moved here; the engine's tests do it with a clock of their own")},
		{"R24", "the clock of PostgreSQL jumps", onPostgres, true, databaseClock},
		{"R25", "days on which clocks change", both, true, cannot("the wall clock of one static binary cannot be moved here; the tests of engine/cron go through such days")},
		{"R26", "whatever keeps it from working ends the heartbeat", onSQLite, true, heartbeat},
		{"R26", "whatever keeps it from working ends the heartbeat", onPostgres, false, heartbeat},
		{"R27", "a source falls silent while the program is restarted", onSQLite, true, silent},
		{"R27", "a source falls silent while the program is restarted", onPostgres, false, silent},
		{"R28", "SIGTERM under load with a slow analyser at work", onSQLite, true, drained},
		{"R28", "SIGTERM under load with a slow analyser at work", onPostgres, false, drained},
		{"R29", "an upgrade that is killed while it migrates; a downgrade", both, false, upgraded},
		{"R30", "a second process on one file", onSQLite, true, secondProcess},
		{"R30", "three processes on one database: one is killed, one is stopped and wakes", onPostgres, true, manyProcesses},
		{"R30hung", "one of three processes stops for longer than the others wait", onPostgres, false, hung},
		{"R30seen", "a run is watched on a second process and cancelled on a third", onPostgres, true, seenElsewhere},
		{"COPY", "the database is copied to one of the other kind with runs under way", both, true, copied},
	}
}

// cannot is a case that is known and cannot be carried out by this program.
func cannot(why string) func(context.Context, *world) error {
	return func(context.Context, *world) error { return notRun(why) }
}
