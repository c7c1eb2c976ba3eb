ALTER TABLE deliveries ADD COLUMN replay_of TEXT;
--bun:split
CREATE TABLE decisions (
    id          TEXT PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    incident_id TEXT,
    change      TEXT NOT NULL CHECK (change IN ('created', 'severity_changed', 'resolved', 'reopened', 'repeated')),
    revision    INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('started', 'no_route', 'repeat', 'nothing_to_resolve')),
    alert_ids   TEXT NOT NULL CHECK (json_valid(alert_ids)),
    considered  TEXT NOT NULL CHECK (json_valid(considered)),
    created_at  TEXT NOT NULL
) STRICT;
--bun:split
CREATE INDEX decisions_list ON decisions (created_at, id);
--bun:split
CREATE INDEX decisions_outcome ON decisions (outcome, created_at, id);
--bun:split
CREATE INDEX decisions_delivery ON decisions (delivery_id, created_at, id);
--bun:split
CREATE INDEX decisions_incident ON decisions (incident_id, created_at, id) WHERE incident_id IS NOT NULL;
