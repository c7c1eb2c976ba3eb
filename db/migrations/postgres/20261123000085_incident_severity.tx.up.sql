CREATE INDEX incidents_severity ON incidents (status, severity, created_at, id);
