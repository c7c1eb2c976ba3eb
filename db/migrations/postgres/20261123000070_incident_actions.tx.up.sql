-- What people did to an incident.
CREATE TABLE incident_actions (
    id          text PRIMARY KEY,
    incident_id text NOT NULL REFERENCES incidents (id),
    kind        text NOT NULL CHECK (kind IN ('acknowledged', 'resolved', 'closed', 'reopened', 'note')),
    actor       text NOT NULL,
    text        text NOT NULL,
    created_at  timestamptz NOT NULL
);
--bun:split
CREATE INDEX incident_actions_incident ON incident_actions (incident_id, created_at, id);
