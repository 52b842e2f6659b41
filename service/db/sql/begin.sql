-- Attempts at orders begun in one commit and one call (`service.generation`): `licensing.begin_all`, and the orders' rows.

-- What an earlier attempt was sealing counts no more. What is paused has no turn, and gets another behind all that its
-- client has in the line when the pause ends. Answers what `licensing.begin_all` does, and each order's turn.
CREATE OR REPLACE FUNCTION service.begin_orders(p_orders text[], p_now timestamptz)
RETURNS TABLE (outcome text, slug text, detail text, hold licensing.hold, turn bigint) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_answers CONSTANT licensing.answer[] := ARRAY(
        SELECT answer FROM licensing.begin_all(p_orders, p_now) AS answer);
BEGIN
    UPDATE service.generations g SET state = 'queued', step = 0, updated_at = p_now
        FROM unnest(v_answers) AS a WHERE g.id = (a.hold).order_id AND a.outcome = 'held' AND g.state = 'sealing';
    UPDATE service.generations g SET turn = NULL
        FROM unnest(p_orders, v_answers) AS a (id, outcome, slug, detail, hold)
        WHERE g.id = a.id AND a.slug = 'style_paused' AND g.turn IS NOT NULL;
    RETURN QUERY SELECT a.outcome, a.slug, a.detail::text, a.hold, g.turn
        FROM unnest(p_orders, v_answers) WITH ORDINALITY AS a (id, outcome, slug, detail, hold, no)
        LEFT JOIN service.generations g ON g.id = a.id ORDER BY a.no;
END $$;
