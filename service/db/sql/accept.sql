-- Plain orders accepted in one commit and one call (`service.acceptance`): money held, turns given, rows and first events
-- stored. A round trip between them would keep the purses locked for as long as the caller has other things to do.
--
-- Postgres believes that a plan for just as many orders as there are is worth making each time, which costs an order that
-- comes alone a fifth of its sale: so the functions that are called for every order go by one plan for any number.

-- `p_wishes` as `licensing.reserve_plain` takes them; `p_orders` says the rest of each row: id, number (their order),
-- version_id, request, work, steps, eta_s, webhook_id, rules_version, ownership_terms, ordered_by, told. Answers those
-- that are held.
--
-- Each goes behind all that its client has in the line, as `service.turns` says where no order of another creator of
-- the same client waits. The caller has looked; where one has come since, all is undone, and the caller goes by `turns`.
CREATE OR REPLACE FUNCTION service.accept_plain(p_wishes jsonb, p_orders jsonb, p_now timestamptz)
RETURNS TABLE (id text, turn bigint, amount bigint, currency text) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_held CONSTANT licensing.hold[] := licensing.reserve_plain(p_wishes, p_now);
BEGIN
    PERFORM service.lock_turns(ARRAY(SELECT h.client_id FROM unnest(v_held) AS h));
    IF EXISTS (
        SELECT FROM unnest(v_held) AS h JOIN service.generations g ON g.client_id = h.client_id
        WHERE g.state = 'queued' AND g.turn IS NOT NULL AND g.started_at IS NULL AND NOT g.test
          AND g.creator_id <> h.creator_id) THEN
        RAISE EXCEPTION 'an order for another creator has come into the line' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT l.client_id, l.turn, l.turn + l.work AS turn_end, l.was_taken
        FROM service.in_line() l WHERE l.turn IS NOT NULL
    ), behind AS (
        SELECT client_id, max(turn_end) AS turn FROM given GROUP BY client_id
    ), placed AS (
        SELECT o.*, h.client_id, h.key_id, h.style_id, h.creator_id, h.tier, h.count, h.amount, h.currency, h.test,
               greatest(behind.turn, (SELECT coalesce(max(turn) FILTER (WHERE was_taken), min(turn), 0) FROM given))
               + sum(o.work) OVER (PARTITION BY h.client_id ORDER BY o.number) - o.work AS turn
        FROM unnest(v_held) AS h
        JOIN jsonb_to_recordset(p_orders) AS o (
            id text, number integer, version_id text, request jsonb, work bigint, steps bigint, eta_s double precision,
            webhook_id text, rules_version bigint, ownership_terms bigint, ordered_by text, told jsonb) ON o.id = h.order_id
        LEFT JOIN behind ON behind.client_id = h.client_id
    ), stored AS (
        INSERT INTO service.generations (
            id, client_id, key_id, style_id, creator_id, version_id, state, tier, count, amount, currency, test, request,
            work, turn, steps, eta_s, webhook_id, rules_version, ownership_terms, ordered_by, created_at, updated_at)
        SELECT id, client_id, key_id, style_id, creator_id, version_id, 'queued', tier, count, amount, currency, test,
               request, work, turn, steps, eta_s, webhook_id, rules_version, ownership_terms, ordered_by, p_now, p_now
        FROM placed
    ), told AS (
        -- Nobody else can tell of an order before this is committed, so its events need no lock yet.
        INSERT INTO service.events (subject, kind, data, created_at)
        SELECT id, 'queued', told, p_now FROM placed ORDER BY number
    )
    SELECT id, turn::bigint, amount, currency FROM placed;
END $$;

-- Nobody else gives these clients a turn until the end of the transaction.
CREATE OR REPLACE FUNCTION service.lock_turns(p_clients text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(no) FROM (
        SELECT DISTINCT hashtextextended('turns/' || id, 0) AS no FROM unnest(p_clients) AS id ORDER BY no) locks;
END $$;
