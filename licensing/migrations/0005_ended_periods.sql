-- Whoever tells of periods that ended asks for those of one moment.
CREATE INDEX allowance_by_end ON licensing.allowance (ended_at) WHERE ended_at IS NOT NULL;
