-- What else was sold of a style, and how it looks: asked before anything near it is sold to somebody else. Everything a
-- look needs is in the index, for an exclusive sale reads all pictures of its style.
CREATE INDEX output_by_style ON licensing.output (style_id) INCLUDE (client_id, phash)
    WHERE NOT test AND revoked_at IS NULL;
CREATE INDEX output_exclusive ON licensing.output (style_id) INCLUDE (client_id, phash)
    WHERE tier = 'exclusive' AND NOT test AND revoked_at IS NULL;
