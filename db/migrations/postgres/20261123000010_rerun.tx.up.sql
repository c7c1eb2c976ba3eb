ALTER TABLE runs ADD COLUMN rerun_of_run_id text;
--bun:split
ALTER TABLE runs ADD COLUMN rerun_from text;
--bun:split
ALTER TABLE runs ADD COLUMN effect_key text;
--bun:split
CREATE INDEX runs_rerun ON runs (rerun_of_run_id, created_at, id) WHERE rerun_of_run_id IS NOT NULL;
--bun:split
ALTER TABLE stage_executions ADD COLUMN copied_from_run_id text;
