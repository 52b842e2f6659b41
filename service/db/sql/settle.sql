-- Orders paid in one commit and one call (`service.generation`): the sale, the orders' rows, their pictures, events and
-- messages.

-- `p_sales` as `licensing.settle_all` takes them, and of each its message, what was `refused`, and its `pictures` as rows
-- of `service.outputs` without what the order says. Answers what that function does, and how many endpoints are told.
CREATE OR REPLACE FUNCTION service.settle_orders(p_sales jsonb, p_near integer, p_now timestamptz)
RETURNS TABLE (outcome text, slug text, detail text, hold licensing.hold, num_told bigint) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_answers CONSTANT licensing.answer[] := ARRAY(
        SELECT answer FROM licensing.settle_all(p_sales, p_near, p_now) AS answer);
    v_settled text[];
    v_told bigint;
BEGIN
    WITH sale AS MATERIALIZED (
        SELECT DISTINCT ON (said.order_id) said.*, (a.hold).charged
        FROM unnest(v_answers) AS a
        JOIN jsonb_to_recordset(p_sales) AS said (order_id text, message text, refused jsonb, pictures jsonb)
            ON said.order_id = (a.hold).order_id
        WHERE a.outcome IN ('settled', 'repeated')
    ), changed AS (
        UPDATE service.generations g
            SET state = 'settled', amount = sale.charged, message = sale.message, ended_at = p_now, updated_at = p_now,
                eta_s = 0, step = coalesce(g.steps, g.step),
                refused = CASE sale.refused WHEN '[]' THEN g.refused ELSE sale.refused END
            FROM sale WHERE g.id = sale.order_id AND g.state = 'sealing'
            RETURNING g.id, g.client_id, g.style_id, g.creator_id, g.amount, sale.pictures
    ), made AS (
        SELECT c.id AS order_id, c.client_id, c.style_id, c.creator_id, p.*
        FROM changed c, jsonb_to_recordset(c.pictures) AS p (
            id text, number bigint, storage_key text, mime text, width bigint, height bigint, num_bytes bigint,
            sha256 text, receipt jsonb)
    ), added AS (
        INSERT INTO service.outputs (
            id, generation_id, client_id, style_id, creator_id, number, storage_key, mime, width, height, num_bytes,
            sha256, receipt, created_at)
        SELECT id, order_id, client_id, style_id, creator_id, number, storage_key, mime, width, height, num_bytes, sha256,
               receipt, p_now FROM made
    ), locked AS MATERIALIZED (
        -- As `service.events` does: the lock of a subject comes before its rows' ids, and all are taken in one order.
        SELECT subject, kind, data, pg_advisory_xact_lock(hashtextextended(subject, 0)) FROM (
            SELECT order_id AS subject, 'output' AS kind, jsonb_build_object('id', id) AS data, number FROM made
            UNION ALL SELECT id, 'settled', jsonb_build_object('amount', amount), NULL FROM changed
            ORDER BY subject, number NULLS LAST) told
    ), noted AS (
        INSERT INTO service.events (subject, kind, data, created_at) SELECT subject, kind, data, p_now FROM locked
    )
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO v_settled FROM changed;
    -- Nobody is charged for pictures that no row names: raised here, it takes the charge back with it.
    IF EXISTS (SELECT FROM unnest(v_answers) AS a
               WHERE a.outcome = 'settled' AND (a.hold).order_id <> ALL (v_settled)) THEN
        RAISE EXCEPTION 'an order that was paid is not being sealed' USING ERRCODE = 'assert_failure';
    END IF;
    PERFORM service.count_near_copies(v_settled) FROM jsonb_array_elements(p_sales) AS sale
        WHERE sale -> 'refused' <> '[]' LIMIT 1;
    v_told := service.tell_orders(p_now, v_settled);
    RETURN QUERY SELECT a.outcome, a.slug, a.detail::text, a.hold, v_told
        FROM unnest(v_answers) WITH ORDINALITY AS a (outcome, slug, detail, hold, no) ORDER BY a.no;
END $$;

-- How often a version repeated a work of its creator's, for the creator.
CREATE OR REPLACE FUNCTION service.count_near_copies(p_orders text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE service.versions v SET near_copies = v.near_copies + found.num
        FROM (SELECT g.version_id, count(*) AS num
              FROM service.generations g, jsonb_array_elements(g.refused) AS one
              WHERE g.id = ANY (p_orders) AND one ->> 'kind' = 'near_copy' GROUP BY g.version_id) found
        WHERE v.id = found.version_id
$$;
