CREATE TABLE meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);
--bun:split
CREATE TABLE pipeline_definitions (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL,
    version     int NOT NULL CHECK (version > 0),
    config      json NOT NULL,
    tags        json NOT NULL,
    is_active   boolean NOT NULL,
    node_count  int NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    deleted_at  timestamptz
);
--bun:split
CREATE UNIQUE INDEX pipeline_definitions_name ON pipeline_definitions (name) WHERE deleted_at IS NULL;
--bun:split
CREATE INDEX pipeline_definitions_list ON pipeline_definitions (updated_at, id) WHERE deleted_at IS NULL;
--bun:split
CREATE TABLE definition_tags (
    definition_id text NOT NULL REFERENCES pipeline_definitions (id),
    key           text NOT NULL,
    value         text NOT NULL,
    PRIMARY KEY (definition_id, key)
);
--bun:split
CREATE INDEX definition_tags_value ON definition_tags (key, value);
--bun:split
CREATE TABLE pipeline_definition_versions (
    id              text PRIMARY KEY,
    definition_id   text NOT NULL REFERENCES pipeline_definitions (id),
    definition_name text NOT NULL,
    number          int NOT NULL CHECK (number > 0),
    config          json NOT NULL,
    checksum        text NOT NULL,
    author          text NOT NULL,
    message         text NOT NULL,
    created_at      timestamptz NOT NULL,
    UNIQUE (definition_id, number)
);
--bun:split
CREATE INDEX pipeline_definition_versions_list ON pipeline_definition_versions (definition_id, created_at, id);
--bun:split
CREATE TABLE deliveries (
    id           text PRIMARY KEY,
    trace_id     text NOT NULL,
    source       text NOT NULL,
    definition   text NOT NULL,
    content_type text NOT NULL,
    headers      json NOT NULL,
    body         bytea,
    parsed       json,
    status       text NOT NULL CHECK (status IN ('accepted', 'no_alerts', 'rejected')),
    error        text NOT NULL,
    intake       json,
    received_at  timestamptz NOT NULL,
    intake_at    timestamptz
);
--bun:split
CREATE INDEX deliveries_list ON deliveries (received_at, id);
--bun:split
CREATE INDEX deliveries_trace ON deliveries (trace_id);
--bun:split
CREATE INDEX deliveries_pending ON deliveries (received_at, id) WHERE intake_at IS NULL AND status = 'accepted' AND definition = '';
--bun:split
CREATE TABLE incidents (
    id              text PRIMARY KEY,
    group_key       text NOT NULL,
    title           text NOT NULL,
    status          text NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved', 'closed')),
    severity        text NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    alert_name      text NOT NULL,
    host            text NOT NULL,
    source          text NOT NULL,
    summary         text NOT NULL,
    alert_count     int NOT NULL,
    firing_count    int NOT NULL,
    occurrence      int NOT NULL,
    revision        int NOT NULL,
    started_at      timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text NOT NULL,
    resolved_at     timestamptz,
    closed_at       timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
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
    id            text PRIMARY KEY,
    source        text NOT NULL,
    fingerprint   text NOT NULL,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz,
    name          text NOT NULL,
    host          text NOT NULL,
    status        text NOT NULL CHECK (status IN ('firing', 'resolved')),
    severity      text NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    severity_text text NOT NULL,
    summary       text NOT NULL,
    description   text NOT NULL,
    labels        json NOT NULL,
    annotations   json NOT NULL,
    url           text NOT NULL,
    links         json,
    incident_id   text REFERENCES incidents (id),
    delivery_id   text NOT NULL,
    repeats       int NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (source, fingerprint, starts_at)
);
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
    id                 text PRIMARY KEY,
    trace_id           text NOT NULL,
    status             text NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'partial', 'failed', 'cancelled')),
    source             text NOT NULL,
    environment        text NOT NULL,
    trigger_type       text NOT NULL CHECK (trigger_type IN ('webhook', 'alert', 'api', 'manual', 'pipeline', 'schedule')),
    definition_id      text NOT NULL,
    definition_name    text NOT NULL,
    version_id         text NOT NULL,
    definition_version int NOT NULL,
    delivery_id        text,
    incident_id        text,
    parent_run_id      text,
    idempotency_key    text,
    change             text,
    payload            json,
    error              text NOT NULL,
    epoch              int NOT NULL,
    created_by         text NOT NULL,
    created_at         timestamptz NOT NULL,
    started_at         timestamptz,
    finished_at        timestamptz
);
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
    run_id      text NOT NULL,
    node_id     text NOT NULL,
    attempt     int NOT NULL CHECK (attempt > 0),
    node_type   text NOT NULL,
    position    int NOT NULL,
    status      text NOT NULL CHECK (status IN ('pending', 'running', 'retrying', 'succeeded', 'failed', 'skipped', 'cancelled')),
    output      json,
    errors      json,
    skip_reason text NOT NULL,
    not_before  timestamptz,
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (run_id, node_id, attempt)
);
--bun:split
CREATE TABLE run_events (
    run_id  text NOT NULL,
    seq     bigint NOT NULL CHECK (seq > 0),
    kind    text NOT NULL CHECK (kind IN ('run', 'stage', 'log', 'text')),
    node_id text NOT NULL,
    attempt int NOT NULL,
    status  text NOT NULL,
    text    text NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (run_id, seq)
);
--bun:split
CREATE TABLE channels (
    id          text PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    driver      text NOT NULL,
    description text NOT NULL,
    config      json NOT NULL,
    is_active   boolean NOT NULL,
    tested_at   timestamptz,
    test_error  text NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
--bun:split
CREATE TABLE secrets (
    name       text PRIMARY KEY,
    sealed     bytea NOT NULL,
    updated_at timestamptz NOT NULL
);
--bun:split
CREATE TABLE api_tokens (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    prefix     text NOT NULL,
    hash       text NOT NULL UNIQUE,
    scopes     json NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at    timestamptz
);
--bun:split
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;
--bun:split
CREATE TABLE users (
    id            text PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('viewer', 'responder', 'editor', 'admin')),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);
--bun:split
CREATE TABLE sessions (
    hash       text PRIMARY KEY,
    user_id    text,
    data       bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
--bun:split
CREATE INDEX sessions_user ON sessions (user_id);
--bun:split
CREATE INDEX sessions_expiry ON sessions (expires_at);
--bun:split
CREATE TABLE executors (
    id         text PRIMARY KEY,
    started_at timestamptz NOT NULL
);
