ALTER TABLE deliveries ADD COLUMN heard_at TEXT;
--bun:split
ALTER TABLE alerts ADD COLUMN heard_at TEXT;
