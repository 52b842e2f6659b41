-- Set aside what an order may cost at most. Nothing is written when the answer is a refusal.

-- The answer to a request that came before, or NULL. A request whose first copy is not committed yet is a conflict.
CREATE OR REPLACE FUNCTION licensing.replay_of(
    p_order text, p_client text, p_test boolean, p_idempotency_key text, p_request_hash text,
    p_style text, p_tier text, p_count integer
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_known licensing.idempotency;
    v_hold licensing.hold;
BEGIN
    IF p_idempotency_key IS NOT NULL THEN
        IF NOT pg_try_advisory_xact_lock(
            licensing.lock_no('idempotency', concat_ws('/', p_client, p_test, p_idempotency_key))) THEN
            RETURN licensing.refused('idempotency_conflict', 'key', p_idempotency_key);
        END IF;
        SELECT * INTO v_known FROM licensing.idempotency
            WHERE client_id = p_client AND test = p_test AND key = p_idempotency_key;
        IF FOUND THEN
            IF v_known.request_hash <> p_request_hash THEN
                RETURN licensing.refused('idempotency_mismatch', 'key', p_idempotency_key);
            END IF;
            SELECT * INTO STRICT v_hold FROM licensing.hold WHERE order_id = v_known.order_id;
            RETURN ROW('replayed', NULL, NULL, v_hold)::licensing.answer;
        END IF;
    END IF;
    SELECT * INTO v_hold FROM licensing.hold WHERE order_id = p_order;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF p_idempotency_key IS NULL AND (v_hold.client_id, v_hold.style_id, v_hold.tier, v_hold.count, v_hold.test)
        = (p_client, p_style, p_tier, p_count, p_test) THEN
        RETURN ROW('replayed', NULL, NULL, v_hold)::licensing.answer;
    END IF;
    RETURN licensing.refused('conflict', 'what', format('Order id %s is taken; make a new id', p_order));
END $$;

-- The keys that these digests are of and that let in now.
CREATE OR REPLACE FUNCTION licensing.live_keys(p_digests bytea[], p_now timestamptz) RETURNS SETOF licensing.api_key
LANGUAGE sql STABLE AS $$
    SELECT * FROM licensing.api_key
    WHERE digest = ANY (p_digests) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > p_now)
$$;

-- Why a key may not order, or NULL. Its lock is held so that a revocation waits for us or we see it.
CREATE OR REPLACE FUNCTION licensing.key_refusal(p_key text, p_client text, p_test boolean, p_now timestamptz)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_key licensing.api_key;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(licensing.lock_no('key', p_key));
    SELECT * INTO v_key FROM licensing.api_key WHERE key_id = p_key;
    RETURN CASE
        WHEN v_key.key_id IS NULL OR v_key.account_id <> p_client THEN 'is not known'
        WHEN v_key.revoked_at IS NOT NULL THEN 'was revoked'
        WHEN v_key.expires_at <= p_now THEN 'has expired'
        WHEN v_key.kind <> CASE WHEN p_test THEN 'test' ELSE 'live' END THEN 'is a ' || v_key.kind || ' key'
    END;
END $$;

CREATE OR REPLACE FUNCTION licensing.reserve(
    p_order text, p_client text, p_key text, p_idempotency_key text, p_request_hash text, p_style text, p_creator text,
    p_tier text, p_count integer, p_hold_s integer, p_test boolean, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_answer licensing.answer;
    v_why text;
    v_terms record;
    v_purse record;
    v_hold licensing.hold;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    IF p_key IS NOT NULL THEN
        v_why := licensing.key_refusal(p_key, p_client, p_test, p_now);
        IF v_why IS NOT NULL THEN
            RETURN licensing.refused('unauthenticated', 'key_id', p_key, 'why', v_why);
        END IF;
    END IF;
    v_answer := licensing.replay_of(
        p_order, p_client, p_test, p_idempotency_key, p_request_hash, p_style, p_tier, p_count);
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    END IF;
    PERFORM licensing.share_switches(p_creator, p_style);
    v_terms := licensing.terms_for(p_style, p_creator, p_client, p_tier, p_count, p_now);
    IF v_terms.slug IS NOT NULL THEN
        RETURN licensing.refused(v_terms.slug, v_terms.detail);
    END IF;
    v_hold := licensing.new_hold(p_order, p_client, p_key, p_style, p_tier, p_count, p_hold_s, p_test, p_now, v_terms);
    IF NOT p_test THEN
        v_answer := licensing.take_money(v_hold, v_terms.unit_price, v_terms.unit_tax);
        IF v_answer.outcome = 'refused' THEN
            RETURN v_answer;
        END IF;
        v_hold := v_answer.hold;
    END IF;
    INSERT INTO licensing.hold SELECT (v_hold).*;
    IF p_idempotency_key IS NOT NULL THEN
        INSERT INTO licensing.idempotency (client_id, test, key, request_hash, order_id, created_at)
            VALUES (p_client, p_test, p_idempotency_key, p_request_hash, p_order, p_now);
    END IF;
    RETURN ROW('held', NULL, NULL, v_hold)::licensing.answer;
END $$;

-- A hold as a row that is not stored yet and takes nothing: the answer for a test key.
CREATE OR REPLACE FUNCTION licensing.new_hold(
    p_order text, p_client text, p_key text, p_style text, p_tier text, p_count integer, p_hold_s integer,
    p_test boolean, p_now timestamptz, p_terms record
) RETURNS licensing.hold LANGUAGE plpgsql AS $$
DECLARE
    v licensing.hold;
BEGIN
    v.order_id := p_order; v.client_id := p_client; v.key_id := p_key;
    v.creator_id := (p_terms.style).creator_id; v.style_id := p_style; v.tier := p_tier;
    v.terms_version := p_terms.terms_version; v.fee_bps := p_terms.fee_bps;
    v.count := p_count; v.test := p_test; v.pay := 'test';
    v.tax_category := p_terms.tax_category; v.tax_bps := p_terms.tax_bps; v.unit_tax := 0;
    v.unit_price := 0; v.amount := 0; v.currency := (p_terms.style).currency;
    v.units_each := 0; v.units := 0; v.capped := false;
    v.creator_epoch := p_terms.creator_epoch; v.style_epoch := p_terms.style_epoch;
    v.client_epoch := p_terms.client_epoch;
    v.hold_s := p_hold_s; v.lease_until := p_now + make_interval(secs => p_hold_s);
    v.fence := 0; v.running := false; v.cancel_requested := false; v.state := 'open'; v.created_at := p_now;
    v.made := 0; v.charged := 0; v.charged_units := 0;
    RETURN v;
END $$;

-- Hold money or units for an order: its hold with the purse filled in, or a refusal.
CREATE OR REPLACE FUNCTION licensing.take_money(p_hold licensing.hold, p_price bigint, p_tax bigint)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_purse record;
    v_now timestamptz := p_hold.created_at;
BEGIN
    PERFORM licensing.lock_budgets(
        ARRAY['cap:' || p_hold.key_id, 'prepaid:' || p_hold.client_id || ':' || p_hold.currency]
        || ARRAY(SELECT unnest(ARRAY['units:' || q.allowance_id || ':unit', 'overage:' || q.allowance_id || ':' || q.currency])
                 FROM licensing.quotas_for(p_hold.client_id, p_hold.style_id, p_hold.tier, v_now) q));
    v_purse := licensing.purse_for(p_hold.client_id, p_hold.key_id, p_hold.style_id, p_hold.tier, p_hold.count,
                                   p_price, p_tax, p_hold.tax_bps, p_hold.currency, v_now);
    IF v_purse.slug IS NOT NULL THEN
        RETURN licensing.refused(v_purse.slug, v_purse.detail);
    END IF;
    p_hold.pay := v_purse.pay;
    p_hold.unit_price := v_purse.unit_price;
    p_hold.unit_tax := v_purse.unit_tax;
    p_hold.amount := v_purse.amount;
    p_hold.allowance_id := v_purse.allowance_id;
    p_hold.units_each := v_purse.units_each;
    p_hold.units := v_purse.units_each * p_hold.count;
    -- What was bought ahead keeps the terms under which it was bought.
    p_hold.terms_version := coalesce(v_purse.terms_version, p_hold.terms_version);
    p_hold.fee_bps := coalesce(v_purse.fee_bps, p_hold.fee_bps);
    p_hold.capped := v_purse.capped;
    UPDATE licensing.budget b SET pending = b.pending + c.held
        FROM licensing.claims(p_hold) c WHERE b.budget_id = c.budget_id;
    RETURN ROW('held', NULL, NULL, p_hold)::licensing.answer;
END $$;

-- What a hold keeps pending, and what its end charges, in each budget it touches.
CREATE OR REPLACE FUNCTION licensing.claims(p_hold licensing.hold)
RETURNS TABLE (budget_id text, held bigint, charged bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM (VALUES
        (CASE p_hold.pay WHEN 'prepaid' THEN 'prepaid:' || p_hold.client_id || ':' || p_hold.currency
                         WHEN 'overage' THEN 'overage:' || p_hold.allowance_id || ':' || p_hold.currency END,
         p_hold.amount, p_hold.charged),
        (CASE WHEN p_hold.capped THEN 'cap:' || p_hold.key_id END, p_hold.amount, p_hold.charged),
        ('units:' || p_hold.allowance_id || ':unit', p_hold.units, p_hold.charged_units)
    ) AS claim (budget_id, held, charged)
    WHERE claim.budget_id IS NOT NULL AND claim.held > 0
$$;

-- Orders as they reach the gateway, one a row.
CREATE OR REPLACE FUNCTION licensing.wishes(p_orders jsonb) RETURNS TABLE (
    order_id text, client_id text, key_id text, idempotency_key text, request_hash text, style_id text, creator_id text,
    tier text, count integer, hold_s integer, test boolean, terms_read integer
) LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM jsonb_to_recordset(p_orders) AS wish (
        order_id text, client_id text, key_id text, idempotency_key text, request_hash text, style_id text,
        creator_id text, tier text, count integer, hold_s integer, test boolean, terms_read integer)
$$;

-- All locks of one kind are taken before those of the next, and in one order, so that batches and single verbs wait for
-- each other and never in a circle.
CREATE OR REPLACE FUNCTION licensing.lock_for_orders(p_orders jsonb, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(no) FROM (
        SELECT DISTINCT licensing.lock_no('key', key_id) AS no FROM licensing.wishes(p_orders)
        WHERE key_id IS NOT NULL ORDER BY no) locks;
    PERFORM licensing.share_all_switches(
        ARRAY(SELECT creator_id FROM licensing.wishes(p_orders)), ARRAY(SELECT style_id FROM licensing.wishes(p_orders)));
    PERFORM licensing.lock_budgets(ARRAY(
        SELECT 'cap:' || w.key_id FROM licensing.wishes(p_orders) w WHERE w.key_id IS NOT NULL
        UNION SELECT 'prepaid:' || w.client_id || ':' || s.currency
        FROM licensing.wishes(p_orders) w JOIN licensing.style s USING (style_id)
        UNION SELECT unnest(ARRAY['units:' || q.allowance_id || ':unit', 'overage:' || q.allowance_id || ':' || q.currency])
        FROM licensing.wishes(p_orders) w, licensing.quotas_for(w.client_id, w.style_id, w.tier, p_now) q));
END $$;
