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
// writes nothing. A run that only waits is in the store alone (docs/adr/0008).
//
// States of a run and of a stage. Every transition is a write in settle.go or start.go, or one of the
// store's methods CancelRun and RetryRun; nothing else changes a status.
//
//	run    pending ──▶ running ──▶ completed   every node succeeded or was skipped
//	          │           ├──────▶ partial     a node that is not required failed
//	          │           ├──────▶ failed      a required node failed; what it leads to by on_error has run
//	          └───────────┴──────▶ cancelled   by a person, or with the run that waits for it
//	       failed, cancelled ──▶ pending       by Retry; finished nodes stay finished
//	       any end ──▶ another run             by Rerun; it begins with rows that are copied
//
//	stage  pending ──▶ running ──▶ succeeded   pending: asked for by Retry or Rerun; else it begins with running
//	          │           ├──────▶ retrying ──▶ failed   when the next attempt starts, or the run has failed or is cancelled
//	          │           ├──────▶ failed      final: the node has failed, or the process stopped in it
//	          ├───────────┴──────▶ cancelled   with the run
//	          └──────────────────▶ skipped     also a row of its own: never ran, and why
//
// What a node does follows from what the nodes before it did, never from when ([progress.launch],
// tested with random graphs in property_test.go). It is decided once all of them are final. An edge is
// taken if its node succeeded, was passed over, or failed without being required, with the outcome the
// edge names; an edge of on_error, if its node failed. No edge taken: skipped. Once a required node has
// failed, only nodes start to which an on_error leads, directly or through others.
package engine
