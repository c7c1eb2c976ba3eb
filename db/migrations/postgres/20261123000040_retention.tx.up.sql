CREATE INDEX deliveries_bodies ON deliveries (received_at, id) WHERE body IS NOT NULL;
