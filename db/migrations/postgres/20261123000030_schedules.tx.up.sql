CREATE TABLE schedules (
    id                      text PRIMARY KEY,
    definition_id           text NOT NULL REFERENCES pipeline_definitions (id),
    definition_name         text NOT NULL,
    entry                   text NOT NULL,
    position                int NOT NULL,
    cron                    text NOT NULL,
    time_zone               text NOT NULL,
    overlap                 text NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel')),
    catch_up                text NOT NULL CHECK (catch_up IN ('none', 'one', 'all')),
    catch_up_window_seconds int NOT NULL,
    payload                 json,
    environment             text NOT NULL,
    revision                int NOT NULL,
    handled_until           timestamptz,
    next_tick               timestamptz,
    queued_tick             timestamptz,
    last_tick               timestamptz,
    last_run_id             text,
    skipped                 int NOT NULL,
    skipped_tick            timestamptz,
    skip_reason             text NOT NULL,
    created_at              timestamptz NOT NULL,
    UNIQUE (definition_id, entry)
);
--bun:split
CREATE INDEX schedules_list ON schedules (created_at, id);
--bun:split
CREATE INDEX schedules_next ON schedules (next_tick) WHERE next_tick IS NOT NULL;
--bun:split
CREATE INDEX schedules_queued ON schedules (queued_tick) WHERE queued_tick IS NOT NULL;
--bun:split
ALTER TABLE runs ADD COLUMN scheduled_at timestamptz;
