-- What people did to an incident.
CREATE TABLE incident_actions (
    id          TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL REFERENCES incidents (id),
    kind        TEXT NOT NULL CHECK (kind IN ('acknowledged', 'resolved', 'closed', 'reopened', 'note')),
    actor       TEXT NOT NULL,
    text        TEXT NOT NULL,
    created_at  TEXT NOT NULL
) STRICT;
--bun:split
CREATE INDEX incident_actions_incident ON incident_actions (incident_id, created_at, id);
