// Package engine is the heart: deliveries become alerts, incidents and runs, and runs are worked to
// their end whatever happens to the process.
//
// One path. Every door (REST, GraphQL, admin, command line) calls [Engine.Receive] or
// [Engine.Execute]. Both commit a pending run before they answer; after the commit the run is
// started in this process, and whatever a crash or a full process left pending is started by the
// sweeper of any process.
//
// A run is a DBOS workflow: the library owns who works on it, takes it over when its process died,
// and refuses a second worker. What a run has done is in our own tables: a row in stage_executions
// per attempt and per skip is the checkpoint (docs/adr/0002). Every (re)start raises runs.epoch and
// every write carries the epoch it was started with, so a process that comes back from the dead
// writes nothing.
//
// States of a run and of a stage. Every transition is a write in run.go or start.go, or one of the
// store's methods CancelRun and RetryRun; nothing else changes a status.
//
//	run    pending ──▶ running ──▶ completed   every node succeeded or was skipped
//	          │           ├──────▶ partial     a node that is not required failed
//	          │           ├──────▶ failed      a required node failed
//	          └───────────┴──────▶ cancelled   by a person
//	       failed, cancelled ──▶ pending       by Retry; finished nodes stay finished
//
//	stage  running ──▶ succeeded
//	          ├──────▶ retrying ──▶ failed     when the next attempt starts, or the run is cancelled
//	          ├──────▶ failed                  final: the node has failed, or the process stopped in it
//	          └──────▶ cancelled
//	       skipped                             a row of its own: never ran, and why
package engine
