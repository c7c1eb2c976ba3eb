ALTER TABLE deliveries ADD COLUMN heard_at timestamptz;
--bun:split
ALTER TABLE alerts ADD COLUMN heard_at timestamptz;
