-- What creators will not have drawn and for whom, by version; '' in style_id: for all their styles without rules of their
-- own. NULL in rules: the style has no rules of its own any more.
CREATE TABLE licensing.rules (
    creator_id text NOT NULL,
    style_id   text NOT NULL DEFAULT '',
    version    integer NOT NULL CHECK (version >= 1),
    rules      jsonb,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (creator_id, version),
    CHECK (style_id <> '' OR rules IS NOT NULL)
);
CREATE INDEX rules_of_style ON licensing.rules (creator_id, style_id, version);

-- Approval has three words instead of yes and no. Nothing was ever sold under yes, so no sale is told differently.
ALTER TABLE licensing.terms DISABLE TRIGGER USER;
UPDATE licensing.terms SET permissions = permissions
    || jsonb_build_object('approval', CASE permissions ->> 'approval' WHEN 'true' THEN 'all' ELSE 'off' END);
ALTER TABLE licensing.terms ENABLE TRIGGER USER;
