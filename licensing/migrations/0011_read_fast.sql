-- Indexes by which pages find what they show without reading what they do not.

-- What a creator earned by style is added up from this index alone (`sql/earned.sql`).
CREATE INDEX output_earned ON licensing.output (creator_id, style_id) INCLUDE (currency, settled_at, share)
    WHERE NOT test AND NOT shared;
CREATE INDEX output_revoked_of ON licensing.output (creator_id, revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX disputed_changed ON licensing.disputed (output_id) WHERE from_share <> 0 OR from_fee <> 0;
-- The operator's lists, the newest first.
CREATE INDEX payment_by_time ON licensing.payment (created_at DESC, payment_id DESC);
CREATE INDEX invoice_by_time ON licensing.invoice (issued_at DESC, number DESC);
