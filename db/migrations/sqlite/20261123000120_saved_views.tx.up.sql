-- Filters of a list that somebody has given a name.
CREATE TABLE saved_views (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    list       TEXT NOT NULL CHECK (list IN ('incidents', 'runs')),
    name       TEXT NOT NULL,
    query      TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (owner, list, name)
) STRICT;
