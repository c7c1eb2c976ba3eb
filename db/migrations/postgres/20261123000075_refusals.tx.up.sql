-- A receiver that refuses the messages of one node may take all others: message names what the trouble is about,
-- as <definition>/<node>, '' for the channel itself.
ALTER TABLE channel_states ADD COLUMN message text NOT NULL DEFAULT '';
--bun:split
ALTER TABLE channel_states ALTER COLUMN message DROP DEFAULT;
--bun:split
ALTER TABLE channel_states DROP CONSTRAINT channel_states_pkey;
--bun:split
ALTER TABLE channel_states ADD PRIMARY KEY (channel, message);
