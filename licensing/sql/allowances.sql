-- Quotas bought ahead: plans over all styles and licences of one style. Their money waits in `deferred` and moves to
-- creator and operator picture by picture; what is left at the end is the operator's (plan) or theirs both (licence).

-- Take the price from prepaid money and open the period `p`, whose row is not stored yet.
CREATE OR REPLACE FUNCTION licensing.open_allowance(p licensing.allowance, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v_prepaid CONSTANT text := 'prepaid:' || p.client_id || ':' || p.currency;
    v_units CONSTANT text := 'units:' || p.allowance_id || ':unit';
    v_left bigint;
BEGIN
    SELECT granted - posted - pending INTO v_left FROM licensing.budget WHERE budget_id = v_prepaid FOR UPDATE;
    IF coalesce(v_left, 0) < p.price THEN
        RETURN licensing.refused('payment_required', jsonb_build_object(
            'amount', p.price, 'currency', p.currency, 'available', coalesce(v_left, 0)));
    END IF;
    UPDATE licensing.budget SET posted = posted + p.price WHERE budget_id = v_prepaid;
    p.ends_at := ((p.anchor AT TIME ZONE 'UTC') + make_interval(months => p.months * (p.period + 1))) AT TIME ZONE 'UTC';
    p.length := p.ends_at - p.starts_at;
    p.state := 'active';
    INSERT INTO licensing.allowance VALUES (p.*);
    INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
        VALUES (v_units, p.client_id, 'units', 'unit', p.units);
    PERFORM licensing.post(p.kind, p.allowance_id,
        jsonb_build_object('name', p.name, 'style', p.style_id, 'tier', p.tier, 'terms', p.terms_version),
        p_now,
        ARRAY[v_prepaid, 'deferred:' || p.allowance_id || ':' || p.currency, 'issued:operator:unit', v_units],
        ARRAY[-p.price, p.price, -p.units, p.units]);
    RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', p.allowance_id), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.buy_plan(
    p_id text, p_client text, p_name text, p_covers text, p_price bigint, p_currency text, p_units bigint,
    p_months integer, p_renews boolean, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    SELECT * INTO v FROM licensing.allowance WHERE client_id = p_client AND kind = 'plan' AND state = 'active';
    IF FOUND AND v.ends_at > p_now AND v.name <> p_name THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Plan %s runs until %s; end its renewal and subscribe to %s then', v.name,
            to_char(v.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), p_name));
    ELSIF FOUND AND v.ends_at > p_now THEN
        UPDATE licensing.allowance SET renews = p_renews WHERE allowance_id = v.allowance_id;
        RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
    ELSIF FOUND THEN
        UPDATE licensing.allowance SET state = 'ending' WHERE allowance_id = v.allowance_id;
    END IF;
    v := NULL;
    v.allowance_id := p_id; v.kind := 'plan'; v.client_id := p_client; v.name := p_name; v.covers := p_covers::jsonb;
    v.price := p_price; v.currency := p_currency; v.units := p_units; v.fee_bps := 0; v.notice_days := 0;
    v.months := p_months; v.anchor := p_now; v.period := 0; v.starts_at := p_now; v.renews := p_renews;
    RETURN licensing.open_allowance(v, p_now);
END $$;

CREATE OR REPLACE FUNCTION licensing.buy_licence(
    p_id text, p_client text, p_style text, p_tier text, p_renews boolean, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_style licensing.style;
    v_terms record;
    v_why text;
    v licensing.allowance;
BEGIN
    PERFORM licensing.require_party(p_client);
    SELECT * INTO v_style FROM licensing.style WHERE style_id = p_style;
    IF NOT FOUND THEN
        RETURN licensing.refused('not_found', 'what', 'style', 'id', p_style);
    END IF;
    IF p_tier = 'exclusive' AND p_renews THEN
        RETURN licensing.refused('invalid_request', 'what',
            'A style is one client''s alone for the months that are paid; buy without `renews`, and again when they are over');
    ELSIF p_tier = 'exclusive' THEN
        -- It closes the style to everybody else, so it is bought as a switch is set: alone.
        PERFORM licensing.lock_switch(v_style.creator_id, p_style);
    ELSE
        PERFORM licensing.share_switches(v_style.creator_id, p_style);
    END IF;
    PERFORM pg_advisory_xact_lock(licensing.lock_no('licence', concat_ws('/', p_client, p_style, p_tier)));
    SELECT * INTO v FROM licensing.allowance
        WHERE client_id = p_client AND style_id = p_style AND tier = p_tier AND state = 'active';
    IF FOUND AND (v.ends_at > p_now OR v.paused_since IS NOT NULL) THEN
        UPDATE licensing.allowance SET renews = p_renews WHERE allowance_id = v.allowance_id;
        RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
    ELSIF FOUND THEN
        UPDATE licensing.allowance SET state = 'ending' WHERE allowance_id = v.allowance_id;
    END IF;
    v_terms := licensing.terms_for(p_style, v_style.creator_id, p_client, p_tier, 1, p_now);
    IF v_terms.slug IS NOT NULL THEN
        RETURN licensing.refused(v_terms.slug, v_terms.detail);
    ELSIF (licensing.governing(v_style.creator_id, p_style, p_client, p_now)).level = 'wind_down' THEN
        RETURN licensing.refused('style_closed', 'style_id', p_style);
    END IF;
    v := licensing.licence_row(p_id, p_client, p_style, p_tier, p_renews, p_now);
    IF v.price IS NULL THEN
        RETURN licensing.refused('invalid_request', 'what', format(
            'Tier %s of style %s is sold per picture only; order pictures, or choose another tier', p_tier, p_style));
    END IF;
    v_why := CASE WHEN p_tier = 'exclusive' THEN licensing.window_refusal(p_style, p_client, p_now) END;
    IF v_why IS NOT NULL THEN
        RETURN licensing.refused('conflict', 'what', v_why);
    END IF;
    RETURN licensing.open_allowance(v, p_now);
END $$;

-- A licence's first period by the style's current terms, not stored yet; its price is NULL if the tier offers none.
CREATE OR REPLACE FUNCTION licensing.licence_row(
    p_id text, p_client text, p_style text, p_tier text, p_renews boolean, p_now timestamptz
) RETURNS licensing.allowance LANGUAGE plpgsql STABLE AS $$
DECLARE
    v licensing.allowance;
BEGIN
    SELECT s.creator_id, s.currency, s.terms_version, t.offer_price, t.offer_units, t.offer_months, r.fee_bps, r.notice_days
        INTO v.creator_id, v.currency, v.terms_version, v.price, v.units, v.months, v.fee_bps, v.notice_days
        FROM licensing.style s
        JOIN licensing.terms r ON r.style_id = s.style_id AND r.version = s.terms_version
        JOIN licensing.tier t ON t.style_id = s.style_id AND t.version = s.terms_version AND t.tier = p_tier
        WHERE s.style_id = p_style;
    v.allowance_id := p_id; v.kind := 'licence'; v.client_id := p_client; v.style_id := p_style; v.tier := p_tier;
    v.covers := jsonb_build_object(p_tier, 1);
    v.anchor := p_now; v.period := 0; v.starts_at := p_now; v.renews := p_renews;
    RETURN v;
END $$;

-- End a period for which nothing is pending and whose budgets are locked. With `p_refund` the client gets the unused
-- part back: by time left, but not what pictures have already been paid from. Returns what was refunded.
CREATE OR REPLACE FUNCTION licensing.close_allowance(p licensing.allowance, p_refund boolean, p_now timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_units CONSTANT text := 'units:' || p.allowance_id || ':unit';
    v_used bigint;
    v_deferred bigint;
    v_left interval := greatest(interval '0', p.ends_at - coalesce(p.paused_since, p_now));
    v_refund bigint := 0;
    v_rest bigint;
    v_fee bigint;
BEGIN
    SELECT posted INTO STRICT v_used FROM licensing.budget WHERE budget_id = v_units AND pending = 0;
    v_deferred := p.price - licensing.worth_of(p.price, p.units, 0, v_used);
    IF p_refund THEN
        v_refund := least(v_deferred, round(p.price * extract(epoch FROM v_left) / extract(epoch FROM p.length)));
    END IF;
    v_rest := v_deferred - v_refund;
    v_fee := CASE WHEN p.kind = 'plan' THEN v_rest ELSE licensing.fee_of(v_rest, p.fee_bps) END;
    PERFORM licensing.post(p.kind || '_end', p.allowance_id,
        jsonb_build_object('style', p.style_id, 'tier', p.tier, 'refund', v_refund, 'price', v_rest,
                           'share', v_rest - v_fee, 'fee', v_fee),
        p_now,
        ARRAY['deferred:' || p.allowance_id || ':' || p.currency, 'prepaid:' || p.client_id || ':' || p.currency,
              'fee:operator:' || p.currency, v_units, 'lapsed:operator:unit']
        || CASE WHEN p.kind = 'licence' THEN ARRAY['payable:' || p.creator_id || ':' || p.currency]
                ELSE ARRAY[]::text[] END,
        ARRAY[-v_deferred, v_refund, v_fee, v_used - p.units, p.units - v_used]
        || CASE WHEN p.kind = 'licence' THEN ARRAY[v_rest - v_fee] ELSE ARRAY[]::bigint[] END);
    UPDATE licensing.budget SET granted = v_used WHERE budget_id = v_units;
    UPDATE licensing.budget SET granted = granted + v_refund
        WHERE budget_id = 'prepaid:' || p.client_id || ':' || p.currency AND v_refund > 0;
    UPDATE licensing.allowance
        SET state = CASE WHEN p_refund THEN 'refunded' ELSE 'ended' END, ended_at = p_now, paused_since = NULL
        WHERE allowance_id = p.allowance_id;
    RETURN v_refund;
END $$;

-- A period that is over: renew it if it renews, close it as soon as no order is pending on it. True if anything changed.
CREATE OR REPLACE FUNCTION licensing.roll_over(p_id text, p_new_id text, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_next licensing.allowance;
    v_pending bigint;
    v_level text := 'live';
    v_before text;
BEGIN
    PERFORM licensing.require_house();
    SELECT * INTO STRICT v FROM licensing.allowance WHERE allowance_id = p_id;
    IF v.kind = 'licence' THEN
        PERFORM licensing.share_switches(v.creator_id, v.style_id);
        v_level := (licensing.governing(v.creator_id, v.style_id, v.client_id, p_now)).level;
    END IF;
    PERFORM pg_advisory_xact_lock(licensing.lock_no(v.kind, concat_ws('/', v.client_id, v.style_id, v.tier)));
    PERFORM licensing.lock_budgets(
        ARRAY['prepaid:' || v.client_id || ':' || v.currency, 'units:' || v.allowance_id || ':unit']);
    SELECT * INTO STRICT v FROM licensing.allowance WHERE allowance_id = p_id FOR UPDATE;
    IF v.state NOT IN ('active', 'ending') OR v.ends_at > p_now OR v.paused_since IS NOT NULL THEN
        RETURN false;
    END IF;
    v_before := v.state;
    IF v.state = 'active' THEN
        UPDATE licensing.allowance SET state = 'ending' WHERE allowance_id = p_id;
        IF v.renews AND v_level IN ('live', 'closed') THEN
            v_next := licensing.next_period(v, p_new_id, p_now);
            PERFORM licensing.open_allowance(v_next, p_now);
        END IF;
    END IF;
    SELECT pending INTO STRICT v_pending FROM licensing.budget WHERE budget_id = 'units:' || p_id || ':unit';
    IF v_pending = 0 THEN
        PERFORM licensing.close_allowance(v, false, p_now);
    END IF;
    RETURN v_pending = 0 OR v_before = 'active';
END $$;

-- The period after `p`, counted from the same day; from now instead if all of it has gone by while nothing ran here.
CREATE OR REPLACE FUNCTION licensing.next_period(p licensing.allowance, p_id text, p_now timestamptz)
RETURNS licensing.allowance LANGUAGE plpgsql STABLE AS $$
BEGIN
    p.renewed_from := p.allowance_id;
    p.allowance_id := p_id;
    p.period := p.period + 1;
    p.starts_at := p.ends_at;
    IF ((p.anchor AT TIME ZONE 'UTC') + make_interval(months => p.months * (p.period + 1))) AT TIME ZONE 'UTC' <= p_now THEN
        p.anchor := p_now; p.period := 0; p.starts_at := p_now;
    END IF;
    RETURN p;
END $$;
