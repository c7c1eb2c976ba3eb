CREATE TABLE schedules (
    id                      TEXT PRIMARY KEY,
    definition_id           TEXT NOT NULL REFERENCES pipeline_definitions (id),
    definition_name         TEXT NOT NULL,
    entry                   TEXT NOT NULL,
    position                INTEGER NOT NULL,
    cron                    TEXT NOT NULL,
    time_zone               TEXT NOT NULL,
    overlap                 TEXT NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel')),
    catch_up                TEXT NOT NULL CHECK (catch_up IN ('none', 'one', 'all')),
    catch_up_window_seconds INTEGER NOT NULL,
    payload                 TEXT CHECK (json_valid(payload)),
    environment             TEXT NOT NULL,
    revision                INTEGER NOT NULL,
    handled_until           TEXT,
    next_tick               TEXT,
    queued_tick             TEXT,
    last_tick               TEXT,
    last_run_id             TEXT,
    skipped                 INTEGER NOT NULL,
    skipped_tick            TEXT,
    skip_reason             TEXT NOT NULL,
    created_at              TEXT NOT NULL,
    UNIQUE (definition_id, entry)
) STRICT;
--bun:split
CREATE INDEX schedules_list ON schedules (created_at, id);
--bun:split
CREATE INDEX schedules_next ON schedules (next_tick) WHERE next_tick IS NOT NULL;
--bun:split
CREATE INDEX schedules_queued ON schedules (queued_tick) WHERE queued_tick IS NOT NULL;
--bun:split
ALTER TABLE runs ADD COLUMN scheduled_at TEXT;
