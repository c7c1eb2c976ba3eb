-- When the process last said that it works. One that only holds its lock may hang.
ALTER TABLE executors ADD COLUMN seen_at timestamptz;
