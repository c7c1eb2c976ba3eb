-- Times are UTC text of fixed width: they sort and compare as text.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
--bun:split
CREATE TABLE pipeline_definitions (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    config      TEXT NOT NULL CHECK (json_valid(config)),
    tags        TEXT NOT NULL CHECK (json_valid(tags)),
    is_active   INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    node_count  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    deleted_at  TEXT
) STRICT;
--bun:split
CREATE UNIQUE INDEX pipeline_definitions_name ON pipeline_definitions (name) WHERE deleted_at IS NULL;
--bun:split
CREATE INDEX pipeline_definitions_list ON pipeline_definitions (updated_at, id) WHERE deleted_at IS NULL;
--bun:split
CREATE TABLE definition_tags (
    definition_id TEXT NOT NULL REFERENCES pipeline_definitions (id),
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (definition_id, key)
) STRICT;
--bun:split
CREATE INDEX definition_tags_value ON definition_tags (key, value);
--bun:split
CREATE TABLE pipeline_definition_versions (
    id              TEXT PRIMARY KEY,
    definition_id   TEXT NOT NULL REFERENCES pipeline_definitions (id),
    definition_name TEXT NOT NULL,
    number          INTEGER NOT NULL CHECK (number > 0),
    config          TEXT NOT NULL CHECK (json_valid(config)),
    checksum        TEXT NOT NULL,
    author          TEXT NOT NULL,
    message         TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    UNIQUE (definition_id, number)
) STRICT;
--bun:split
CREATE INDEX pipeline_definition_versions_list ON pipeline_definition_versions (definition_id, created_at, id);
--bun:split
CREATE TABLE deliveries (
    id           TEXT PRIMARY KEY,
    trace_id     TEXT NOT NULL,
    source       TEXT NOT NULL,
    definition   TEXT NOT NULL,
    content_type TEXT NOT NULL,
    headers      TEXT NOT NULL CHECK (json_valid(headers)),
    body         BLOB,
    parsed       TEXT CHECK (json_valid(parsed)),
    status       TEXT NOT NULL CHECK (status IN ('accepted', 'no_alerts', 'rejected')),
    error        TEXT NOT NULL,
    intake       TEXT CHECK (json_valid(intake)),
    received_at  TEXT NOT NULL,
    intake_at    TEXT
) STRICT;
--bun:split
CREATE INDEX deliveries_list ON deliveries (received_at, id);
--bun:split
CREATE INDEX deliveries_trace ON deliveries (trace_id);
--bun:split
CREATE INDEX deliveries_pending ON deliveries (received_at, id) WHERE intake_at IS NULL AND status = 'accepted' AND definition = '';
--bun:split
CREATE TABLE incidents (
    id              TEXT PRIMARY KEY,
    group_key       TEXT NOT NULL,
    title           TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved', 'closed')),
    severity        TEXT NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    alert_name      TEXT NOT NULL,
    host            TEXT NOT NULL,
    source          TEXT NOT NULL,
    summary         TEXT NOT NULL,
    alert_count     INTEGER NOT NULL,
    firing_count    INTEGER NOT NULL,
    occurrence      INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    started_at      TEXT NOT NULL,
    acknowledged_at TEXT,
    acknowledged_by TEXT NOT NULL,
    resolved_at     TEXT,
    closed_at       TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT;
--bun:split
CREATE UNIQUE INDEX incidents_group ON incidents (group_key) WHERE status <> 'closed';
--bun:split
CREATE INDEX incidents_list ON incidents (created_at, id);
--bun:split
CREATE INDEX incidents_status ON incidents (status, created_at, id);
--bun:split
CREATE INDEX incidents_host ON incidents (host, created_at, id);
--bun:split
CREATE TABLE alerts (
    id            TEXT PRIMARY KEY,
    source        TEXT NOT NULL,
    fingerprint   TEXT NOT NULL,
    starts_at     TEXT NOT NULL,
    ends_at       TEXT,
    name          TEXT NOT NULL,
    host          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('firing', 'resolved')),
    severity      TEXT NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    severity_text TEXT NOT NULL,
    summary       TEXT NOT NULL,
    description   TEXT NOT NULL,
    labels        TEXT NOT NULL CHECK (json_valid(labels)),
    annotations   TEXT NOT NULL CHECK (json_valid(annotations)),
    url           TEXT NOT NULL,
    links         TEXT CHECK (json_valid(links)),
    incident_id   TEXT REFERENCES incidents (id),
    delivery_id   TEXT NOT NULL,
    repeats       INTEGER NOT NULL,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    UNIQUE (source, fingerprint, starts_at)
) STRICT;
--bun:split
CREATE INDEX alerts_list ON alerts (created_at, id);
--bun:split
CREATE INDEX alerts_firing ON alerts (created_at, id) WHERE status = 'firing';
--bun:split
CREATE INDEX alerts_incident ON alerts (incident_id, created_at, id) WHERE incident_id IS NOT NULL;
--bun:split
-- Runs and what belongs to them carry no foreign keys: they are written hundreds of times a second, by one
-- writer that has looked at the run's row in the same transaction.
CREATE TABLE runs (
    id                 TEXT PRIMARY KEY,
    trace_id           TEXT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'partial', 'failed', 'cancelled')),
    source             TEXT NOT NULL,
    environment        TEXT NOT NULL,
    trigger_type       TEXT NOT NULL CHECK (trigger_type IN ('webhook', 'alert', 'api', 'manual', 'pipeline', 'schedule')),
    definition_id      TEXT NOT NULL,
    definition_name    TEXT NOT NULL,
    version_id         TEXT NOT NULL,
    definition_version INTEGER NOT NULL,
    delivery_id        TEXT,
    incident_id        TEXT,
    parent_run_id      TEXT,
    idempotency_key    TEXT,
    change             TEXT,
    payload            TEXT CHECK (json_valid(payload)),
    error              TEXT NOT NULL,
    epoch              INTEGER NOT NULL,
    created_by         TEXT NOT NULL,
    created_at         TEXT NOT NULL,
    started_at         TEXT,
    finished_at        TEXT
) STRICT;
--bun:split
CREATE INDEX runs_list ON runs (created_at, id);
--bun:split
CREATE INDEX runs_status ON runs (status, created_at, id);
--bun:split
CREATE INDEX runs_definition ON runs (definition_id, created_at, id);
--bun:split
CREATE INDEX runs_trace ON runs (trace_id);
--bun:split
CREATE INDEX runs_delivery ON runs (delivery_id) WHERE delivery_id IS NOT NULL;
--bun:split
CREATE INDEX runs_incident ON runs (incident_id, created_at, id) WHERE incident_id IS NOT NULL;
--bun:split
CREATE INDEX runs_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
--bun:split
CREATE UNIQUE INDEX runs_idempotency ON runs (definition_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
--bun:split
CREATE TABLE stage_executions (
    run_id      TEXT NOT NULL,
    node_id     TEXT NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt > 0),
    node_type   TEXT NOT NULL,
    position    INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('pending', 'running', 'retrying', 'succeeded', 'failed', 'skipped', 'cancelled')),
    output      TEXT CHECK (json_valid(output)),
    errors      TEXT CHECK (json_valid(errors)),
    skip_reason TEXT NOT NULL,
    not_before  TEXT,
    started_at  TEXT,
    finished_at TEXT,
    PRIMARY KEY (run_id, node_id, attempt)
) STRICT;
--bun:split
CREATE TABLE run_events (
    run_id  TEXT NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    kind    TEXT NOT NULL CHECK (kind IN ('run', 'stage', 'log', 'text')),
    node_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    status  TEXT NOT NULL,
    text    TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
--bun:split
CREATE TABLE channels (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    driver      TEXT NOT NULL,
    description TEXT NOT NULL,
    config      TEXT NOT NULL CHECK (json_valid(config)),
    is_active   INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    tested_at   TEXT,
    test_error  TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;
--bun:split
CREATE TABLE secrets (
    name       TEXT PRIMARY KEY,
    sealed     BLOB NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
--bun:split
CREATE TABLE api_tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL CHECK (json_valid(scopes)),
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    used_at    TEXT
) STRICT;
--bun:split
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;
--bun:split
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'responder', 'editor', 'admin')),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    disabled_at   TEXT
) STRICT;
--bun:split
CREATE TABLE sessions (
    hash       TEXT PRIMARY KEY,
    user_id    TEXT,
    data       BLOB NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
--bun:split
CREATE INDEX sessions_user ON sessions (user_id);
--bun:split
CREATE INDEX sessions_expiry ON sessions (expires_at);
--bun:split
CREATE TABLE executors (
    id         TEXT PRIMARY KEY,
    started_at TEXT NOT NULL
) STRICT;
