-- For /v1: what lists and reports are read by, and how a currency gets fewer decimals.

-- A service's transactions in the order of their receipt, and its revenue by the moment at which the money left.
CREATE INDEX transactions_service_id_id_idx ON transactions (service_id, id) WHERE service_id IS NOT NULL;
CREATE INDEX transactions_revenue_idx ON transactions (service_id, (coalesce(finished_at, created_at)))
WHERE service_id IS NOT NULL AND status = 'Success';

-- While a currency is about to get fewer decimals: no amount may have more than this from now on, see src/store/scale.rs.
ALTER TABLE currencies ADD COLUMN lowering_to SMALLINT;
ALTER TABLE currencies ADD CONSTRAINT currencies_lowering_to_check CHECK (lowering_to BETWEEN 0 AND scale);
