ALTER TABLE deliveries ADD COLUMN replay_of text;
--bun:split
CREATE TABLE decisions (
    id          text PRIMARY KEY,
    delivery_id text NOT NULL,
    incident_id text,
    change      text NOT NULL CHECK (change IN ('created', 'severity_changed', 'resolved', 'reopened', 'repeated')),
    revision    int NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('started', 'no_route', 'repeat', 'nothing_to_resolve')),
    alert_ids   json NOT NULL,
    considered  json NOT NULL,
    created_at  timestamptz NOT NULL
);
--bun:split
CREATE INDEX decisions_list ON decisions (created_at, id);
--bun:split
CREATE INDEX decisions_outcome ON decisions (outcome, created_at, id);
--bun:split
CREATE INDEX decisions_delivery ON decisions (delivery_id, created_at, id);
--bun:split
CREATE INDEX decisions_incident ON decisions (incident_id, created_at, id) WHERE incident_id IS NOT NULL;
