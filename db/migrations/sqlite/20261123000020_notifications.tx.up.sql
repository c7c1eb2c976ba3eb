-- One message of one notify node of one run. Like runs it carries no foreign keys: see the first migration.
CREATE TABLE notification_messages (
    id               TEXT PRIMARY KEY,
    run_id           TEXT NOT NULL,
    node_id          TEXT NOT NULL,
    definition_name  TEXT NOT NULL,
    incident_id      TEXT,
    occurrence       INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    channel          TEXT NOT NULL,
    driver           TEXT NOT NULL,
    destination      TEXT NOT NULL,
    idempotency_key  TEXT NOT NULL,
    kind             TEXT NOT NULL CHECK (kind IN ('trigger', 'update', 'resolve')),
    title            TEXT NOT NULL,
    severity         TEXT NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    status           TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed', 'dead', 'skipped', 'cancelled')),
    reason           TEXT NOT NULL,
    provider_id      TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    may_have_arrived INTEGER NOT NULL CHECK (may_have_arrived IN (0, 1)),
    busy_until       TEXT,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    sent_at          TEXT,
    ended_at         TEXT,
    UNIQUE (run_id, node_id)
) STRICT;
--bun:split
CREATE INDEX notification_messages_list ON notification_messages (created_at, id);
--bun:split
CREATE INDEX notification_messages_status ON notification_messages (status, created_at, id);
--bun:split
CREATE INDEX notification_messages_channel ON notification_messages (channel, created_at, id);
--bun:split
CREATE INDEX notification_messages_incident ON notification_messages (incident_id, created_at, id) WHERE incident_id IS NOT NULL;
--bun:split
-- outcome 'unknown' without finished_at is an attempt that is under way, or one whose process ended in it.
CREATE TABLE notification_attempts (
    message_id      TEXT NOT NULL,
    number          INTEGER NOT NULL CHECK (number > 0),
    started_at      TEXT NOT NULL,
    finished_at     TEXT,
    outcome         TEXT NOT NULL CHECK (outcome IN ('sent', 'failed', 'unknown')),
    request         TEXT NOT NULL,
    response_status INTEGER NOT NULL,
    response        TEXT NOT NULL,
    error           TEXT NOT NULL,
    PRIMARY KEY (message_id, number)
) STRICT, WITHOUT ROWID;
--bun:split
-- Where messages go, as far as something went wrong there. reported is the state that the alarm about it says.
CREATE TABLE channel_states (
    channel    TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('ok', 'failing', 'broken')),
    reported   TEXT NOT NULL CHECK (reported IN ('ok', 'failing', 'broken')),
    since      TEXT NOT NULL,
    error      TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
