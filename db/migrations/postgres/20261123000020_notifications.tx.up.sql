-- One message of one notify node of one run. Like runs it carries no foreign keys: see the first migration.
CREATE TABLE notification_messages (
    id               text PRIMARY KEY,
    run_id           text NOT NULL,
    node_id          text NOT NULL,
    definition_name  text NOT NULL,
    incident_id      text,
    occurrence       int NOT NULL,
    revision         int NOT NULL,
    channel          text NOT NULL,
    driver           text NOT NULL,
    destination      text NOT NULL,
    idempotency_key  text NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('trigger', 'update', 'resolve')),
    title            text NOT NULL,
    severity         text NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    status           text NOT NULL CHECK (status IN ('pending', 'sent', 'failed', 'dead', 'skipped', 'cancelled')),
    reason           text NOT NULL,
    provider_id      text NOT NULL,
    attempts         int NOT NULL,
    may_have_arrived boolean NOT NULL,
    busy_until       timestamptz,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    sent_at          timestamptz,
    ended_at         timestamptz,
    UNIQUE (run_id, node_id)
);
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
    message_id      text NOT NULL,
    number          int NOT NULL CHECK (number > 0),
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    outcome         text NOT NULL CHECK (outcome IN ('sent', 'failed', 'unknown')),
    request         text NOT NULL,
    response_status int NOT NULL,
    response        text NOT NULL,
    error           text NOT NULL,
    PRIMARY KEY (message_id, number)
);
--bun:split
-- Where messages go, as far as something went wrong there. reported is the state that the alarm about it says.
CREATE TABLE channel_states (
    channel    text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('ok', 'failing', 'broken')),
    reported   text NOT NULL CHECK (reported IN ('ok', 'failing', 'broken')),
    since      timestamptz NOT NULL,
    error      text NOT NULL,
    updated_at timestamptz NOT NULL
);
