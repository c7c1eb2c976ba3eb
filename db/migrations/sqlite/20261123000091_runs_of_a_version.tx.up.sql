-- The runs of an old version of a definition are found in the index alone.
DROP INDEX runs_definition;
--bun:split
CREATE INDEX runs_definition ON runs (definition_id, created_at, id, definition_version);
