-- A receiver that refuses the messages of one node may take all others: message names what the trouble is about,
-- as <definition>/<node>, '' for the channel itself.
CREATE TABLE channel_troubles (
    channel    TEXT NOT NULL,
    message    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('ok', 'failing', 'broken')),
    reported   TEXT NOT NULL CHECK (reported IN ('ok', 'failing', 'broken')),
    since      TEXT NOT NULL,
    error      TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (channel, message)
) STRICT;
--bun:split
INSERT INTO channel_troubles SELECT channel, '', state, reported, since, error, updated_at FROM channel_states;
--bun:split
DROP TABLE channel_states;
--bun:split
ALTER TABLE channel_troubles RENAME TO channel_states;
