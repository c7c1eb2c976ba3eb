-- What changed, in the order of the commits: one row per change of a run or incident that lists show.
-- Triggers write it, so that nothing which changes them can forget it. tx is for PostgreSQL.
CREATE TABLE changes (
    tx     INTEGER NOT NULL DEFAULT 0,
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    topic  TEXT NOT NULL CHECK (topic IN ('run', 'incident')),
    record TEXT NOT NULL,
    at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;
--bun:split
CREATE TRIGGER runs_added AFTER INSERT ON runs BEGIN
    INSERT INTO changes (topic, record) VALUES ('run', NEW.id);
END;
--bun:split
CREATE TRIGGER runs_changed AFTER UPDATE ON runs
WHEN NEW.status <> OLD.status OR NEW.incident_id IS NOT OLD.incident_id OR NEW.source <> OLD.source BEGIN
    INSERT INTO changes (topic, record) VALUES ('run', NEW.id);
END;
--bun:split
CREATE TRIGGER incidents_added AFTER INSERT ON incidents BEGIN
    INSERT INTO changes (topic, record) VALUES ('incident', NEW.id);
END;
--bun:split
CREATE TRIGGER incidents_changed AFTER UPDATE ON incidents
WHEN NEW.status <> OLD.status OR NEW.revision <> OLD.revision OR NEW.severity <> OLD.severity
    OR NEW.firing_count <> OLD.firing_count OR NEW.alert_count <> OLD.alert_count BEGIN
    INSERT INTO changes (topic, record) VALUES ('incident', NEW.id);
END;
