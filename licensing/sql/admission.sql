-- May this client order this now, at what price, and out of which purse?

CREATE OR REPLACE FUNCTION licensing.refused(p_slug text, VARIADIC p_detail text[]) RETURNS licensing.answer
LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW('refused', p_slug, jsonb_object(p_detail), NULL)::licensing.answer
$$;

CREATE OR REPLACE FUNCTION licensing.refused(p_slug text, p_detail jsonb) RETURNS licensing.answer
LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW('refused', p_slug, p_detail, NULL)::licensing.answer
$$;

-- A wind-down is off from its date on, whether or not the sweeper has come by.
CREATE OR REPLACE FUNCTION licensing.level_at(p_level text, p_ends_at timestamptz, p_now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_ends_at <= p_now THEN 'off' ELSE p_level END
$$;

CREATE OR REPLACE FUNCTION licensing.strictness(p_level text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT array_position(ARRAY['live', 'closed', 'wind_down', 'paused', 'off', 'destroyed'], p_level)
$$;

-- The strictest of the three switches above an order, and the epochs of all three.
CREATE OR REPLACE FUNCTION licensing.governing(
    p_creator text, p_style text, p_client text, p_now timestamptz,
    OUT level text, OUT scope text, OUT epoch bigint, OUT reason text, OUT ends_at timestamptz, OUT at timestamptz,
    OUT creator_epoch bigint, OUT style_epoch bigint, OUT client_epoch bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v licensing.switch;
    v_level text;
BEGIN
    level := 'live'; scope := 'style'; epoch := 0; creator_epoch := 0; style_epoch := 0; client_epoch := 0;
    FOR v IN
        SELECT * FROM licensing.switch s
        WHERE s.creator_id = p_creator AND s.style_id IN ('', p_style) AND s.client_id IN ('', p_client)
        ORDER BY s.style_id, s.client_id
    LOOP
        v_level := licensing.level_at(v.level, v.ends_at, p_now);
        IF v.style_id = '' THEN creator_epoch := v.epoch;
        ELSIF v.client_id = '' THEN style_epoch := v.epoch;
        ELSE client_epoch := v.epoch;
        END IF;
        IF licensing.strictness(v_level) > licensing.strictness(level) THEN
            level := v_level; epoch := v.epoch; reason := v.reason; ends_at := v.ends_at; at := v.at;
            scope := CASE WHEN v.style_id = '' THEN 'creator' WHEN v.client_id = '' THEN 'style' ELSE 'client' END;
        END IF;
    END LOOP;
    IF level = 'live' THEN
        epoch := style_epoch;
    END IF;
END $$;

-- A client of a style has bought a picture of it or a licence for it.
CREATE OR REPLACE FUNCTION licensing.is_client(p_style text, p_client text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM licensing.hold
                   WHERE style_id = p_style AND client_id = p_client AND state = 'settled' AND NOT test)
        OR EXISTS (SELECT FROM licensing.allowance WHERE style_id = p_style AND client_id = p_client)
$$;

-- The slug with which a level refuses new work; NULL if it does not.
CREATE OR REPLACE FUNCTION licensing.refusal_of(p_level text, p_style text, p_client text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p_level IN ('off', 'paused', 'destroyed') THEN 'style_' || p_level
        WHEN p_level IN ('closed', 'wind_down') AND NOT licensing.is_client(p_style, p_client) THEN 'style_closed'
    END
$$;

-- What a picture costs this client before tax: what the creator asks of them, else the tier's price; never below the floor.
CREATE OR REPLACE FUNCTION licensing.price_for(p_style text, p_client text, p_tier text, p_price bigint, p_floor bigint)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(p_floor, coalesce((
        SELECT r.price FROM licensing.rate r WHERE r.client_id = p_client AND r.style_id = p_style AND r.tier = p_tier
        ORDER BY r.rate_no DESC LIMIT 1), p_price))
$$;

-- The terms of an order: the style's current ones, or those that a running licence of the tier was bought under where
-- it is no longer sold; then nothing else pays, and the price is NULL. A slug instead where the answer is no. The unit's
-- price is with its tax.
CREATE OR REPLACE FUNCTION licensing.terms_for(
    p_style text, p_creator text, p_client text, p_tier text, p_count integer, p_now timestamptz,
    OUT slug text, OUT detail jsonb, OUT style licensing.style, OUT terms_version integer, OUT unit_price bigint,
    OUT unit_tax bigint, OUT tax_category text, OUT tax_bps integer, OUT fee_bps integer, OUT creator_epoch bigint,
    OUT style_epoch bigint, OUT client_epoch bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_switch record;
    v_closed_until timestamptz;
    v_licence licensing.allowance;
    v_tiers text;
BEGIN
    SELECT * INTO style FROM licensing.style s
        WHERE s.style_id = p_style AND s.creator_id = coalesce(p_creator, s.creator_id);
    IF NOT FOUND THEN
        slug := 'not_found'; detail := jsonb_build_object('what', 'style', 'id', p_style);
        RETURN;
    END IF;
    v_switch := licensing.governing(style.creator_id, p_style, p_client, p_now);
    creator_epoch := v_switch.creator_epoch;
    style_epoch := v_switch.style_epoch;
    client_epoch := v_switch.client_epoch;
    slug := licensing.refusal_of(v_switch.level, p_style, p_client);
    IF slug IS NOT NULL THEN
        detail := jsonb_build_object('style_id', p_style, 'level', v_switch.level, 'scope', v_switch.scope);
        RETURN;
    END IF;
    v_closed_until := licensing.closed_until(p_style, p_client, p_now);
    IF v_closed_until IS NOT NULL THEN
        slug := 'style_exclusive'; detail := jsonb_build_object('style_id', p_style, 'until', v_closed_until);
        RETURN;
    END IF;
    terms_version := style.terms_version;
    SELECT category, bps INTO tax_category, tax_bps FROM licensing.tax_of(p_client);
    SELECT licensing.price_for(p_style, p_client, p_tier, t.price, t.floor), v.fee_bps INTO unit_price, fee_bps
        FROM licensing.tier t JOIN licensing.terms v USING (style_id, version)
        WHERE t.style_id = p_style AND t.version = style.terms_version AND t.tier = p_tier;
    IF NOT FOUND THEN
        SELECT * INTO v_licence FROM licensing.quotas_for(p_client, p_style, p_tier, p_now) q
            WHERE q.kind = 'licence' LIMIT 1;
        terms_version := v_licence.terms_version;
        fee_bps := v_licence.fee_bps;
    END IF;
    unit_tax := licensing.tax_on(unit_price, tax_bps);
    unit_price := unit_price + unit_tax;
    IF terms_version IS NULL THEN
        SELECT string_agg(t.tier, ', ' ORDER BY t.position) INTO v_tiers FROM licensing.tier t
            WHERE t.style_id = p_style AND t.version = style.terms_version;
        slug := 'invalid_request';
        detail := jsonb_build_object('what', format('Style %s has no tier %s; choose one of %s', p_style, p_tier, v_tiers));
    ELSIF p_count NOT BETWEEN 1 AND 1000 THEN
        slug := 'invalid_request';
        detail := jsonb_build_object('what', format('A count of %s cannot be ordered; order 1 to 1000', p_count));
    END IF;
END $$;

-- Quotas that could pay for a tier of a style: what is free first, then what was bought for just this style. A quota over
-- all styles pays no style of which its units are worth less than the floor; one that its client paused pays nothing.
CREATE OR REPLACE FUNCTION licensing.quotas_for(p_client text, p_style text, p_tier text, p_now timestamptz)
RETURNS SETOF licensing.allowance LANGUAGE sql STABLE AS $$
    SELECT * FROM licensing.allowance a
    WHERE a.client_id = p_client AND a.state = 'active' AND a.covers ? p_tier AND a.starts_at <= p_now
      AND CASE a.kind WHEN 'licence' THEN a.style_id = p_style AND (a.ends_at > p_now OR a.paused_since IS NOT NULL)
          ELSE a.ends_at > p_now AND a.paused_since IS NULL
              AND a.price * (a.covers ->> p_tier)::bigint >= a.units * licensing.floor_of(p_style, p_tier) END
    ORDER BY array_position(ARRAY['free', 'licence', 'plan'], a.kind), a.ends_at
$$;

CREATE OR REPLACE FUNCTION licensing.floor_of(p_style text, p_tier text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT t.floor FROM licensing.style s
                     JOIN licensing.tier t ON t.style_id = s.style_id AND t.version = s.terms_version AND t.tier = p_tier
                     WHERE s.style_id = p_style), 0)
$$;

-- Which purse pays: a quota that has enough units left, else what its plan lets come on account beyond them, else prepaid
-- money. `capped` if the key's cap counts as well. p_price: of a picture with its tax; unit_price and unit_tax likewise.
CREATE OR REPLACE FUNCTION licensing.purse_for(
    p_client text, p_key text, p_style text, p_tier text, p_count integer, p_price bigint, p_tax bigint,
    p_tax_bps integer, p_currency text, p_now timestamptz,
    OUT slug text, OUT detail jsonb, OUT pay text, OUT allowance_id text, OUT terms_version integer,
    OUT units_each bigint, OUT fee_bps integer, OUT unit_price bigint, OUT unit_tax bigint, OUT amount bigint,
    OUT capped boolean
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_quota licensing.allowance;
    v_left bigint;
    v_cap licensing.budget;
BEGIN
    amount := 0; capped := false; units_each := 0; unit_price := 0; unit_tax := 0;
    FOR v_quota IN SELECT * FROM licensing.quotas_for(p_client, p_style, p_tier, p_now) LOOP
        SELECT granted - posted - pending INTO v_left FROM licensing.budget
            WHERE budget_id = 'units:' || v_quota.allowance_id || ':unit';
        units_each := (v_quota.covers ->> p_tier)::bigint;
        IF v_left >= units_each * p_count THEN
            pay := v_quota.kind;
            allowance_id := v_quota.allowance_id;
            IF v_quota.kind = 'licence' THEN
                terms_version := v_quota.terms_version;
                fee_bps := v_quota.fee_bps;
            END IF;
            RETURN;
        END IF;
        slug := 'quota_exceeded';
        detail := jsonb_build_object('units', units_each * p_count, 'left', v_left, 'until', v_quota.ends_at);
        IF v_quota.overage_cap > 0 AND v_quota.currency = p_currency AND NOT licensing.is_overdue(p_client, p_now) THEN
            unit_price := greatest(v_quota.overage_price * units_each, licensing.floor_of(p_style, p_tier));
            unit_tax := licensing.tax_on(unit_price, p_tax_bps);
            unit_price := unit_price + unit_tax;
            IF unit_price * p_count <= licensing.free_of('overage:' || v_quota.allowance_id || ':' || p_currency) THEN
                pay := 'overage';
                allowance_id := v_quota.allowance_id;
            END IF;
        END IF;
    END LOOP;
    units_each := 0;
    IF pay IS NULL AND p_price IS NULL THEN
        slug := coalesce(slug, 'quota_exceeded');
        detail := coalesce(detail, jsonb_build_object('units', p_count, 'left', 0, 'until', p_now));
        RETURN;
    ELSIF pay IS NULL THEN
        unit_price := p_price; unit_tax := p_tax;
    END IF;
    amount := unit_price * p_count;
    v_left := licensing.free_of('prepaid:' || p_client || ':' || p_currency);
    IF pay IS NULL AND v_left < amount THEN
        slug := coalesce(slug, 'payment_required');
        detail := coalesce(detail, jsonb_build_object('amount', amount, 'currency', p_currency, 'available', v_left));
        RETURN;
    END IF;
    slug := NULL; detail := NULL; pay := coalesce(pay, 'prepaid');
    SELECT * INTO v_cap FROM licensing.budget WHERE budget_id = 'cap:' || p_key;
    capped := FOUND AND amount > 0;
    IF capped AND v_cap.posted + v_cap.pending + amount > v_cap.granted THEN
        slug := 'spend_cap_reached';
        detail := jsonb_build_object('amount', amount, 'currency', p_currency, 'key_id', p_key, 'cap', v_cap.granted,
            'left', v_cap.granted - v_cap.posted - v_cap.pending);
    END IF;
END $$;

-- Whether a client has an invoice to pay whose day is over.
CREATE OR REPLACE FUNCTION licensing.is_overdue(p_client text, p_now timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM licensing.invoice
                   WHERE client_id = p_client AND settled < due AND due_on < (p_now AT TIME ZONE 'UTC')::date)
$$;

-- What is free of a budget; 0 where there is none.
CREATE OR REPLACE FUNCTION licensing.free_of(p_budget text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT granted - posted - pending FROM licensing.budget WHERE budget_id = p_budget), 0)
$$;

-- Prices and coverage without locks or rows written; `detail` has amount, units, pay and terms_version.
CREATE OR REPLACE FUNCTION licensing.quote(
    p_style text, p_client text, p_tier text, p_count integer, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_terms record;
    v_purse record;
BEGIN
    PERFORM licensing.require_party(p_client);
    v_terms := licensing.terms_for(p_style, NULL, p_client, p_tier, p_count, p_now);
    IF v_terms.slug IS NOT NULL THEN
        RETURN licensing.refused(v_terms.slug, v_terms.detail);
    END IF;
    v_purse := licensing.purse_for(
        p_client, NULL, p_style, p_tier, p_count, v_terms.unit_price, v_terms.unit_tax, v_terms.tax_bps,
        (v_terms.style).currency, p_now);
    IF v_terms.unit_price IS NULL AND v_purse.slug IS NOT NULL THEN
        RETURN licensing.refused(v_purse.slug, v_purse.detail);
    END IF;
    RETURN ROW('quoted', NULL, jsonb_build_object(
        'amount', v_purse.amount, 'tax', v_purse.unit_tax * p_count, 'tax_bps', v_terms.tax_bps,
        'currency', (v_terms.style).currency, 'units', p_count, 'pay', v_purse.pay,
        'terms_version', coalesce(v_purse.terms_version, v_terms.terms_version)), NULL)::licensing.answer;
END $$;
