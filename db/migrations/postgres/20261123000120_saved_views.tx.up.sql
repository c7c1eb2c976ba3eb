-- Filters of a list that somebody has given a name.
CREATE TABLE saved_views (
    id         text PRIMARY KEY,
    owner      text NOT NULL,
    list       text NOT NULL CHECK (list IN ('incidents', 'runs')),
    name       text NOT NULL,
    query      text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (owner, list, name)
);
