-- Runs that wait in the store alone, until when, and for which channel: no process works them.
ALTER TABLE runs ADD COLUMN wake_at timestamptz;
--bun:split
ALTER TABLE runs ADD COLUMN waits_for text;
--bun:split
CREATE INDEX runs_wake ON runs (wake_at) WHERE wake_at IS NOT NULL;
--bun:split
CREATE INDEX runs_waits ON runs (waits_for, wake_at) WHERE waits_for IS NOT NULL;
