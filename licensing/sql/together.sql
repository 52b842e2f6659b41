-- Orders and sales that come at the same time, as sets: what most of them are costs the same few statements for all.
--
-- Plain is an order with a live key for a live style, at its current terms and with prepaid money that is there; and a
-- sale of an attempt at such an order that nothing stands against. Where one of a client's orders is anything else, all
-- of that client's go one by one through the verbs, which know every other answer.

-- The three switches above an order, as `governing` and `stop_of` read them, for many at once.
CREATE OR REPLACE FUNCTION licensing.switches_over(
    p_creator text, p_style text, p_client text, p_now timestamptz,
    OUT levels text[], OUT creator_epoch bigint, OUT style_epoch bigint, OUT client_epoch bigint,
    OUT creator_cut bigint, OUT style_cut bigint, OUT client_cut bigint
) LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(licensing.level_at(s.level, s.ends_at, p_now)), '{}'),
           coalesce(max(s.epoch) FILTER (WHERE s.style_id = ''), 0),
           coalesce(max(s.epoch) FILTER (WHERE s.style_id <> '' AND s.client_id = ''), 0),
           coalesce(max(s.epoch) FILTER (WHERE s.client_id <> ''), 0),
           coalesce(max(s.cut) FILTER (WHERE s.style_id = ''), 0),
           coalesce(max(s.cut) FILTER (WHERE s.style_id <> '' AND s.client_id = ''), 0),
           coalesce(max(s.cut) FILTER (WHERE s.client_id <> ''), 0)
    FROM licensing.switch s
    WHERE s.creator_id = p_creator AND s.style_id IN ('', p_style) AND s.client_id IN ('', p_client)
$$;

-- Many orders in one commit, answered in their order.
CREATE OR REPLACE FUNCTION licensing.reserve_all(p_orders jsonb, p_now timestamptz) RETURNS SETOF licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_held licensing.hold[];
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.lock_for_orders(p_orders, p_now);
    v_held := licensing.hold_plain(p_orders, licensing.lock_requests(p_orders), p_now);
    FOR v IN
        SELECT wish.*, ROW(held.*)::licensing.hold AS held
        FROM licensing.wishes(p_orders) WITH ORDINALITY AS wish
        LEFT JOIN unnest(v_held) AS held ON held.order_id = wish.order_id ORDER BY wish.ordinality
    LOOP
        IF (v.held).order_id IS NOT NULL THEN
            RETURN NEXT ROW('held', NULL, NULL, v.held)::licensing.answer;
        ELSE
            RETURN NEXT licensing.reserve(
                v.order_id, v.client_id, v.key_id, v.idempotency_key, v.request_hash, v.style_id, v.creator_id, v.tier,
                v.count, v.hold_s, v.test, p_now);
        END IF;
    END LOOP;
END $$;

-- Hold what is plain among many orders, all locks of which are taken; who asks goes on with the rest by `reserve_all`, in
-- another commit.
CREATE OR REPLACE FUNCTION licensing.reserve_plain(p_orders jsonb, p_now timestamptz) RETURNS licensing.hold[]
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.lock_for_orders(p_orders, p_now);
    RETURN coalesce(licensing.hold_plain(p_orders, licensing.lock_requests(p_orders), p_now), '{}');
END $$;

-- The orders whose request nobody else answers at this moment.
CREATE OR REPLACE FUNCTION licensing.lock_requests(p_orders jsonb) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(order_id) FROM licensing.wishes(p_orders)
    WHERE idempotency_key IS NULL OR pg_try_advisory_xact_lock(
        licensing.lock_no('idempotency', concat_ws('/', client_id, test, idempotency_key)))
$$;

-- Hold what is plain among the orders, of which the locks are taken; the rest is left alone.
CREATE OR REPLACE FUNCTION licensing.hold_plain(p_orders jsonb, p_ours text[], p_now timestamptz)
RETURNS licensing.hold[] LANGUAGE plpgsql AS $$
DECLARE
    v_held licensing.hold[];
BEGIN
    WITH wish AS MATERIALIZED (
        SELECT w.*, count(*) OVER (PARTITION BY w.client_id) AS of_client,
               count(*) OVER (PARTITION BY w.order_id) AS of_id,
               count(*) OVER (PARTITION BY w.client_id, w.idempotency_key) AS of_request
        FROM licensing.wishes(p_orders) w
    ), priced AS MATERIALIZED (
        SELECT w.*, s.creator_id AS owner_id, s.currency, s.terms_version, v.fee_bps, net.price + net.tax AS price, net.tax,
               tax_of.category AS tax_category, tax_of.bps AS tax_bps, (net.price + net.tax) * w.count AS amount,
               over.creator_epoch, over.style_epoch, over.client_epoch
        FROM wish w
        JOIN licensing.style s ON s.style_id = w.style_id AND s.creator_id = coalesce(w.creator_id, s.creator_id)
        JOIN licensing.terms v ON v.style_id = s.style_id AND v.version = s.terms_version
        JOIN licensing.tier t ON t.style_id = s.style_id AND t.version = s.terms_version AND t.tier = w.tier
        CROSS JOIN LATERAL licensing.switches_over(s.creator_id, s.style_id, w.client_id, p_now) over
        -- As `tax_of` and `price_for` say, without a call for each order.
        CROSS JOIN LATERAL (
            SELECT b.tax_category AS category, b.tax_bps AS bps FROM licensing.buyer b
            WHERE b.client_id IN (w.client_id, '') ORDER BY b.client_id DESC LIMIT 1) tax_of
        CROSS JOIN LATERAL (
            SELECT greatest(t.floor, coalesce((
                SELECT r.price FROM licensing.rate r
                WHERE r.client_id = w.client_id AND r.style_id = w.style_id AND r.tier = w.tier
                ORDER BY r.rate_no DESC LIMIT 1), t.price)) AS price) asked
        CROSS JOIN LATERAL (SELECT asked.price, licensing.tax_on(asked.price, tax_of.bps) AS tax) net
        WHERE NOT w.test AND w.count BETWEEN 1 AND 1000 AND w.order_id = ANY (p_ours) AND w.of_id = 1
          AND s.terms_version = coalesce(w.terms_read, s.terms_version)
          AND (w.idempotency_key IS NULL OR w.of_request = 1 AND NOT EXISTS (
              SELECT FROM licensing.idempotency i
              WHERE i.client_id = w.client_id AND NOT i.test AND i.key = w.idempotency_key))
          AND NOT EXISTS (SELECT FROM licensing.hold h WHERE h.order_id = w.order_id)
          AND (w.key_id IS NULL OR EXISTS (
              SELECT FROM licensing.api_key k
              WHERE k.key_id = w.key_id AND k.account_id = w.client_id AND k.kind = 'live' AND k.revoked_at IS NULL
                AND (k.expires_at IS NULL OR k.expires_at > p_now)))
          AND 'live' = ALL (over.levels)
          AND NOT EXISTS (SELECT FROM licensing.quotas_for(w.client_id, w.style_id, w.tier, p_now))
          AND licensing.closed_until(w.style_id, w.client_id, p_now) IS NULL
    ), plain AS (
        SELECT p.*, cap.budget_id IS NOT NULL AND p.amount > 0 AS capped
        FROM (SELECT priced.*, count(*) OVER (PARTITION BY client_id) AS plain_of_client,
                     sum(amount) OVER (PARTITION BY client_id, currency) AS from_purse,
                     sum(amount) OVER (PARTITION BY key_id) AS from_key FROM priced) p
        LEFT JOIN licensing.budget purse ON purse.budget_id = 'prepaid:' || p.client_id || ':' || p.currency
        LEFT JOIN licensing.budget cap ON cap.budget_id = 'cap:' || p.key_id
        WHERE p.plain_of_client = p.of_client
          AND coalesce(purse.granted - purse.posted - purse.pending, 0) >= p.from_purse
          AND (cap.budget_id IS NULL OR cap.granted - cap.posted - cap.pending >= p.from_key)
    ), whole AS (
        -- A client with two keys, of which one is short, goes one by one as a whole.
        SELECT plain.*, count(*) OVER (PARTITION BY client_id) AS left_of_client FROM plain
    ), stored AS (
        INSERT INTO licensing.hold (
            order_id, client_id, key_id, creator_id, style_id, tier, terms_version, fee_bps, count, test, pay,
            unit_price, unit_tax, tax_category, tax_bps, amount, currency, units_each, units, capped, creator_epoch, style_epoch, client_epoch, hold_s,
            lease_until, created_at)
        SELECT order_id, client_id, key_id, owner_id, style_id, tier, terms_version, fee_bps, count, false, 'prepaid',
               price, tax, tax_category, tax_bps, amount, currency, 0, 0, capped, creator_epoch, style_epoch, client_epoch, hold_s,
               p_now + make_interval(secs => hold_s), p_now
        FROM whole WHERE left_of_client = of_client RETURNING *
    )
    SELECT array_agg(ROW(stored.*)::licensing.hold) INTO v_held FROM stored;
    UPDATE licensing.budget b SET pending = b.pending + taken.held
        FROM (SELECT c.budget_id, sum(c.held) AS held FROM unnest(v_held) h, licensing.claims(ROW(h.*)::licensing.hold) c
              GROUP BY c.budget_id) taken
        WHERE b.budget_id = taken.budget_id;
    INSERT INTO licensing.idempotency (client_id, test, key, request_hash, order_id, created_at)
        SELECT w.client_id, w.test, w.idempotency_key, w.request_hash, w.order_id, p_now
        FROM licensing.wishes(p_orders) w JOIN unnest(v_held) h ON h.order_id = w.order_id
        WHERE w.idempotency_key IS NOT NULL;
    RETURN v_held;
END $$;

-- Many attempts in one commit, answered in their order.
CREATE OR REPLACE FUNCTION licensing.begin_all(p_orders text[], p_now timestamptz) RETURNS SETOF licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_begun licensing.hold[];
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.share_all_switches(array_agg(creator_id), array_agg(style_id))
        FROM licensing.hold WHERE order_id = ANY (p_orders);
    PERFORM FROM licensing.hold WHERE order_id = ANY (p_orders) ORDER BY order_id FOR UPDATE;
    v_begun := licensing.begin_plain(p_orders, p_now);
    FOR v IN
        SELECT wanted.order_id, ROW(begun.*)::licensing.hold AS begun
        FROM unnest(p_orders) WITH ORDINALITY AS wanted (order_id, no)
        LEFT JOIN unnest(v_begun) AS begun ON begun.order_id = wanted.order_id ORDER BY wanted.no
    LOOP
        IF (v.begun).order_id IS NOT NULL THEN
            RETURN NEXT ROW('held', NULL, NULL, v.begun)::licensing.answer;
        ELSE
            RETURN NEXT licensing.begin_attempt(v.order_id, p_now);
        END IF;
    END LOOP;
END $$;

-- Begin attempts at those of the orders, whose locks are taken, that are open and that no switch stands against.
CREATE OR REPLACE FUNCTION licensing.begin_plain(p_orders text[], p_now timestamptz) RETURNS licensing.hold[]
LANGUAGE plpgsql AS $$
DECLARE
    v_begun licensing.hold[];
BEGIN
    WITH plain AS (
        SELECT h.order_id
        FROM (SELECT order_id FROM unnest(p_orders) AS order_id GROUP BY order_id HAVING count(*) = 1) wanted
        JOIN licensing.hold h USING (order_id)
        CROSS JOIN LATERAL licensing.switches_over(h.creator_id, h.style_id, h.client_id, p_now) over
        WHERE h.state = 'open' AND NOT h.cancel_requested
          AND over.levels <@ '{live,closed,wind_down}' AND over.creator_cut <= h.creator_epoch
          AND over.style_cut <= h.style_epoch AND over.client_cut <= h.client_epoch
    ), begun AS (
        UPDATE licensing.hold h
            SET fence = h.fence + 1, running = true, paused_at = NULL,
                lease_until = p_now + make_interval(secs => h.hold_s)
            FROM plain WHERE h.order_id = plain.order_id RETURNING h.*
    )
    SELECT array_agg(ROW(begun.*)::licensing.hold) INTO v_begun FROM begun;
    RETURN v_begun;
END $$;

-- Many sales in one commit, answered in their order; `p_sales` as JSON: order_id, fence, outputs, sha256s, phashes,
-- certificates. All locks of one kind are taken before those of the next, as `reserve_all` does.
CREATE OR REPLACE FUNCTION licensing.settle_all(p_sales jsonb, p_near integer, p_now timestamptz)
RETURNS SETOF licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_ids text[] := ARRAY(SELECT order_id FROM licensing.sales(p_sales));
    v_sold licensing.answer[];
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM licensing.share_all_switches(array_agg(creator_id), array_agg(style_id))
        FROM licensing.hold WHERE order_id = ANY (v_ids);
    PERFORM licensing.lock_sales(v_ids);
    PERFORM FROM licensing.hold WHERE order_id = ANY (v_ids) ORDER BY order_id FOR UPDATE;
    PERFORM licensing.lock_budgets(ARRAY(
        SELECT c.budget_id FROM licensing.hold h, licensing.claims(h) c WHERE h.order_id = ANY (v_ids)));
    v_sold := ARRAY(SELECT sold FROM licensing.sell_plain(p_sales, p_now) AS sold);
    FOR v IN
        SELECT sale.*, ROW(sold.*)::licensing.answer AS answer
        FROM licensing.sales(p_sales) WITH ORDINALITY AS sale
        LEFT JOIN unnest(v_sold) AS sold ON (sold.hold).order_id = sale.order_id ORDER BY sale.ordinality
    LOOP
        IF (v.answer).outcome IS NOT NULL THEN
            RETURN NEXT v.answer;
        ELSE
            RETURN NEXT licensing.settle(
                v.order_id, v.fence, v.outputs, v.sha256s, v.phashes, v.certificates, p_near, p_now);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION licensing.sales(p_sales jsonb) RETURNS TABLE (
    order_id text, fence integer, outputs text[], sha256s text[], phashes text[], certificates text[]
) LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM jsonb_to_recordset(p_sales) AS sale (
        order_id text, fence integer, outputs text[], sha256s text[], phashes text[], certificates text[])
$$;

-- Charge for what is plain among the sales, whose locks are taken, and register it; the rest is left alone.
CREATE OR REPLACE FUNCTION licensing.sell_plain(p_sales jsonb, p_now timestamptz) RETURNS SETOF licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v_sold licensing.hold[];
BEGIN
    WITH plain AS (
        SELECT h.order_id, cardinality(sale.outputs) AS made
        FROM (SELECT *, count(*) OVER (PARTITION BY order_id) AS of_id FROM licensing.sales(p_sales)) sale
        JOIN licensing.hold h USING (order_id)
        CROSS JOIN LATERAL licensing.switches_over(h.creator_id, h.style_id, h.client_id, p_now) over
        WHERE sale.of_id = 1 AND h.pay = 'prepaid' AND h.state = 'open' AND NOT h.cancel_requested
          AND h.fence = sale.fence AND h.fence > 0 AND cardinality(sale.outputs) BETWEEN 1 AND h.count
          AND over.levels <@ '{live,closed,wind_down}' AND over.creator_cut <= h.creator_epoch
          AND over.style_cut <= h.style_epoch AND over.client_cut <= h.client_epoch
          AND NOT EXISTS (
              SELECT FROM licensing.author a WHERE a.style_id = h.style_id AND a.version = h.terms_version)
          AND h.tier <> 'exclusive' AND NOT EXISTS (
              SELECT FROM licensing.output o
              WHERE o.style_id = h.style_id AND o.tier = 'exclusive' AND NOT o.test AND o.revoked_at IS NULL)
    ), sold AS (
        UPDATE licensing.hold h
            SET state = 'settled', running = false, ended_at = p_now, made = plain.made,
                charged = h.unit_price * plain.made, charged_units = 0
            FROM plain WHERE h.order_id = plain.order_id RETURNING h.*
    )
    SELECT array_agg(ROW(sold.*)::licensing.hold) INTO v_sold FROM sold;
    UPDATE licensing.budget b SET pending = b.pending - freed.held, posted = b.posted + freed.charged
        FROM (SELECT c.budget_id, sum(c.held) AS held, sum(c.charged) AS charged
              FROM unnest(v_sold) h, licensing.claims(ROW(h.*)::licensing.hold) c GROUP BY c.budget_id) freed
        WHERE b.budget_id = freed.budget_id;
    INSERT INTO licensing.output (
        output_id, order_id, position, client_id, creator_id, style_id, tier, test, sha256, phash, certificate,
        price, share, fee, tax, tax_category, tax_bps, currency, settled_at)
    SELECT made.output_id, h.order_id, made.position, h.client_id, h.creator_id, h.style_id, h.tier, false, made.sha256,
           ('x' || made.phash)::bit(256), made.certificate, h.unit_price, h.unit_price - h.unit_tax - worth.fee, worth.fee,
           h.unit_tax, h.tax_category, h.tax_bps, h.currency, p_now
    FROM licensing.sales(p_sales) sale JOIN unnest(v_sold) h ON h.order_id = sale.order_id,
        LATERAL (SELECT licensing.fee_of(h.unit_price - h.unit_tax, h.fee_bps) AS fee) worth,
        LATERAL unnest(sale.outputs, sale.sha256s, sale.phashes, sale.certificates)
            WITH ORDINALITY AS made (output_id, sha256, phash, certificate, position);
    PERFORM licensing.post_sales(v_sold, p_now);
    RETURN QUERY SELECT 'settled', NULL::text, jsonb_build_object(
                'share', split.share, 'fee', split.fee, 'tax', split.tax),
            ROW(h.*)::licensing.hold
        FROM unnest(v_sold) h, LATERAL (
            SELECT sum(o.share) AS share, sum(o.fee) AS fee, sum(o.tax) AS tax FROM licensing.output o WHERE o.order_id = h.order_id) split;
END $$;

-- The entries of plain sales: a group each, as `post_sale` makes it.
CREATE OR REPLACE FUNCTION licensing.post_sales(p_sold licensing.hold[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_commit bigint := licensing.commit_of_transaction();
BEGIN
    WITH sale AS MATERIALIZED (
        SELECT h.order_id, h.client_id, h.creator_id, h.currency, sum(o.price) AS price, sum(o.share) AS share,
               sum(o.fee) AS fee, sum(o.tax) AS tax, jsonb_build_object(
                   'style', h.style_id, 'tier', h.tier, 'terms', h.terms_version,
                   'outputs', jsonb_agg(jsonb_build_array(o.output_id, o.sha256) ORDER BY o.position)) AS body
        FROM unnest(p_sold) h JOIN licensing.output o ON o.order_id = h.order_id
        GROUP BY h.order_id, h.client_id, h.creator_id, h.currency, h.style_id, h.tier, h.terms_version
    ), groups AS (
        INSERT INTO licensing.entry_group (kind, subject, body, at, commit_no)
            SELECT 'sale', order_id, body, p_now, v_commit FROM sale ORDER BY order_id RETURNING group_no, subject
    ), lines AS MATERIALIZED (
        SELECT groups.group_no, line.no, line.account, sale.currency, line.amount
        FROM groups JOIN sale ON sale.order_id = groups.subject, LATERAL (VALUES
            (1, 'prepaid:' || sale.client_id || ':' || sale.currency, -sale.price),
            (2, 'payable:' || sale.creator_id || ':' || sale.currency, sale.share),
            (3, 'fee:operator:' || sale.currency, sale.fee),
            (4, 'tax:operator:' || sale.currency, sale.tax)) AS line (no, account, amount)
    ), entries AS (
        INSERT INTO licensing.entry (group_no, line, account_id, unit, amount)
            SELECT group_no, no, account, currency, amount FROM lines WHERE amount <> 0
    )
    INSERT INTO licensing.account (account_id, kind, owner_id, unit)
        SELECT DISTINCT account, split_part(account, ':', 1), split_part(account, ':', 2), currency FROM lines
        WHERE NOT EXISTS (SELECT FROM licensing.account known WHERE known.account_id = lines.account)
        ORDER BY account ON CONFLICT DO NOTHING;
END $$;
