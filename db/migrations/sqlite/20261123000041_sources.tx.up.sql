-- Who sends alerts. due_at is when a source from which something is expected is late; reported_since is the
-- silence that the newest alert about it says.
CREATE TABLE sources (
    name             TEXT PRIMARY KEY,
    driver           TEXT NOT NULL,
    description      TEXT NOT NULL,
    expect_every     INTEGER NOT NULL CHECK (expect_every >= 0),
    grace            INTEGER NOT NULL CHECK (grace >= 0),
    is_active        INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    last_received_at TEXT,
    due_at           TEXT,
    silent_since     TEXT,
    reported_since   TEXT,
    created_by       TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
) STRICT;
