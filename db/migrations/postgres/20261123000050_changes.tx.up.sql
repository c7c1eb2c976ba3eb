-- What changed: one row per change of a run or incident that lists show. Triggers write it, so that nothing
-- which changes them can forget it. Transactions do not commit in the order of seq. Readers go by (tx, seq) and
-- stop before the oldest transaction that is still open, so that nothing ever appears before what they have read.
CREATE TABLE changes (
    tx     bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq    bigint GENERATED ALWAYS AS IDENTITY,
    topic  text NOT NULL CHECK (topic IN ('run', 'incident')),
    record text NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tx, seq)
);
--bun:split
CREATE FUNCTION note_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (topic, record) SELECT TG_ARGV[0], id FROM added;
    RETURN NULL;
END $$;
--bun:split
CREATE FUNCTION note_changed_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (topic, record) SELECT 'run', id FROM new_rows JOIN old_rows USING (id)
    WHERE (new_rows.status, new_rows.incident_id, new_rows.source) IS DISTINCT FROM (old_rows.status, old_rows.incident_id, old_rows.source);
    RETURN NULL;
END $$;
--bun:split
CREATE FUNCTION note_changed_incidents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (topic, record) SELECT 'incident', id FROM new_rows JOIN old_rows USING (id)
    WHERE (new_rows.status, new_rows.revision, new_rows.severity, new_rows.firing_count, new_rows.alert_count)
        IS DISTINCT FROM (old_rows.status, old_rows.revision, old_rows.severity, old_rows.firing_count, old_rows.alert_count);
    RETURN NULL;
END $$;
--bun:split
CREATE TRIGGER runs_added AFTER INSERT ON runs
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_added('run');
--bun:split
CREATE TRIGGER runs_changed AFTER UPDATE ON runs
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_changed_runs();
--bun:split
CREATE TRIGGER incidents_added AFTER INSERT ON incidents
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_added('incident');
--bun:split
CREATE TRIGGER incidents_changed AFTER UPDATE ON incidents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_changed_incidents();
