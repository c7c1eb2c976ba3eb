-- Who sends alerts. due_at is when a source from which something is expected is late; reported_since is the
-- silence that the newest alert about it says.
CREATE TABLE sources (
    name             text PRIMARY KEY,
    driver           text NOT NULL,
    description      text NOT NULL,
    expect_every     int NOT NULL CHECK (expect_every >= 0),
    grace            int NOT NULL CHECK (grace >= 0),
    is_active        boolean NOT NULL,
    last_received_at timestamptz,
    due_at           timestamptz,
    silent_since     timestamptz,
    reported_since   timestamptz,
    created_by       text NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
