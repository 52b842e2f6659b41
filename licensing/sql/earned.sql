-- What a creator earned by style, since the beginning. Statements go line by line through a month; this goes through all
-- months there ever were, so it reads sales from an index alone. An index is enough where nobody has to be asked for each row
-- whose it is: so the function runs with its owner's rights and asks once for whom the connection acts.

-- The same lines as `licensing.statements.LINES`, summed: sales, those taken back, what disputes changed, what clients left
-- unused of licences, trainings. `p_style`: of this style alone; NULL: of all.
CREATE OR REPLACE FUNCTION licensing.earned_by_style(p_creator text, p_currency text, p_until timestamptz, p_style text)
RETURNS TABLE (style_id text, pictures bigint, share bigint) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    PERFORM licensing.require_party(p_creator);
    RETURN QUERY
    WITH part AS (
        SELECT o.style_id, count(*) AS pictures, sum(o.share) AS share FROM licensing.output o
        WHERE o.creator_id = p_creator AND NOT o.test AND NOT o.shared AND o.currency = p_currency
          AND o.settled_at < p_until AND o.style_id = coalesce(p_style, o.style_id)
        GROUP BY o.style_id
        UNION ALL
        SELECT o.style_id, 1, s.share FROM licensing.output_share s JOIN licensing.output o USING (output_id)
        WHERE s.author_id = p_creator AND NOT o.test AND o.currency = p_currency AND o.settled_at < p_until
        UNION ALL
        SELECT o.style_id, -1, -o.share FROM licensing.output o
        WHERE o.creator_id = p_creator AND NOT o.shared AND o.revoked_at < p_until AND o.price > 0
          AND o.currency = p_currency
        UNION ALL
        SELECT o.style_id, -1, -s.share FROM licensing.output_share s JOIN licensing.output o USING (output_id)
        WHERE s.author_id = p_creator AND o.revoked_at < p_until AND o.price > 0 AND o.currency = p_currency
        UNION ALL
        SELECT o.style_id, 0, change.sign * own.amount
        FROM licensing.disputed d JOIN licensing.output o USING (output_id),
             LATERAL (VALUES (d.ended_at, -1), (d.undone_at, 1)) AS change (at, sign),
             LATERAL (SELECT sum(h.amount) AS amount FROM licensing.holders_of(o.output_id, d.from_share) h
                      WHERE h.creator_id = p_creator) own
        WHERE (d.from_share <> 0 OR d.from_fee <> 0) AND (o.creator_id = p_creator OR o.shared)
          AND own.amount IS NOT NULL AND o.currency = p_currency AND change.at < p_until
        UNION ALL
        SELECT g.body ->> 'style', 0, e.amount FROM licensing.entry_group g JOIN licensing.entry e USING (group_no)
        WHERE g.kind IN ('licence_end', 'compute') AND e.account_id = 'payable:' || p_creator || ':' || p_currency
          AND g.at < p_until
    )
    SELECT part.style_id, sum(part.pictures)::bigint, sum(part.share)::bigint FROM part
    WHERE part.style_id = coalesce(p_style, part.style_id)
    GROUP BY part.style_id ORDER BY sum(part.share) DESC, part.style_id;
END $$;
