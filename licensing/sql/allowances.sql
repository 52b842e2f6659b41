-- Quotas bought ahead: plans over all styles, licences of one style, and units that are free. Their money waits in
-- `deferred` and moves to creator and operator picture by picture; what is left at the end is the operator's (plan), theirs
-- both (licence), or goes back to where discounts come from (free).
--
-- A discount is the operator's money: `deferred` always gets the whole price, so no creator earns less by it.

-- Take the price from prepaid money and open the period `p`, whose row is not stored yet.
CREATE OR REPLACE FUNCTION licensing.open_allowance(p licensing.allowance, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v_prepaid CONSTANT text := 'prepaid:' || p.client_id || ':' || p.currency;
    v_units CONSTANT text := 'units:' || p.allowance_id || ':unit';
    v_left bigint;
    v_cost bigint;
BEGIN
    SELECT category, bps INTO p.tax_category, p.tax_bps FROM licensing.tax_of(p.client_id);
    p.tax := licensing.tax_on(p.price - p.discount, p.tax_bps);
    v_cost := p.price - p.discount + p.tax;
    SELECT granted - posted - pending INTO v_left FROM licensing.budget WHERE budget_id = v_prepaid FOR UPDATE;
    IF coalesce(v_left, 0) < v_cost THEN
        RETURN licensing.refused('payment_required', jsonb_build_object(
            'amount', v_cost, 'currency', p.currency, 'available', coalesce(v_left, 0)));
    END IF;
    UPDATE licensing.budget SET posted = posted + v_cost WHERE budget_id = v_prepaid;
    p.ends_at := licensing.end_of(p);
    p.length := p.ends_at - p.starts_at;
    p.state := 'active';
    INSERT INTO licensing.allowance VALUES (p.*);
    INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
        VALUES (v_units, p.client_id, 'units', 'unit', p.units);
    INSERT INTO licensing.budget (budget_id, owner_id, kind, unit, granted)
        SELECT 'overage:' || p.allowance_id || ':' || p.currency, p.client_id, 'overage', p.currency, p.overage_cap
        WHERE p.overage_price IS NOT NULL;
    PERFORM licensing.post(p.kind, p.allowance_id,
        jsonb_build_object('name', p.name, 'style', p.style_id, 'tier', p.tier, 'terms', p.terms_version),
        p_now,
        ARRAY[v_prepaid, 'deferred:' || p.allowance_id || ':' || p.currency, 'issued:operator:unit', v_units,
              'tax:operator:' || p.currency, 'promo:operator:' || p.currency],
        ARRAY[-v_cost, p.price, -p.units, p.units, p.tax, -p.discount]);
    RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', p.allowance_id), NULL)::licensing.answer;
END $$;

-- Whole months from the anchor, on its day or the last of a shorter month, in UTC; a trial lasts its days.
CREATE OR REPLACE FUNCTION licensing.end_of(p licensing.allowance) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p.trial_days IS NOT NULL THEN p.starts_at + make_interval(hours => 24 * p.trial_days)
        ELSE ((p.anchor AT TIME ZONE 'UTC') + make_interval(months => p.months * (p.period + 1))) AT TIME ZONE 'UTC' END
$$;

-- A plan as it is offered: id, covers, price, currency, units, months, overage_price, overage_most.
CREATE OR REPLACE FUNCTION licensing.with_plan(p licensing.allowance, p_plan jsonb) RETURNS licensing.allowance
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    p.name := p_plan ->> 'id'; p.covers := p_plan -> 'covers'; p.price := (p_plan ->> 'price')::bigint;
    p.currency := p_plan ->> 'currency'; p.units := (p_plan ->> 'units')::bigint;
    p.months := (p_plan ->> 'months')::integer; p.overage_price := (p_plan ->> 'overage_price')::bigint;
    p.overage_most := (p_plan ->> 'overage_most')::bigint;
    p.overage_cap := least(coalesce(p.overage_cap, 0), p.overage_most);
    RETURN p;
END $$;

-- The first period of a plan from now on, not stored yet.
CREATE OR REPLACE FUNCTION licensing.plan_row(p_id text, p_client text, p_plan jsonb, p_renews boolean, p_now timestamptz)
RETURNS licensing.allowance LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v licensing.allowance;
BEGIN
    v.allowance_id := p_id; v.kind := 'plan'; v.client_id := p_client; v.fee_bps := 0; v.notice_days := 0;
    v.anchor := p_now; v.period := 0; v.starts_at := p_now; v.renews := p_renews; v.discount := 0; v.discounts := 0;
    RETURN licensing.with_plan(v, p_plan);
END $$;

-- `p_trial`: units and days to try the plan for, or NULL.
CREATE OR REPLACE FUNCTION licensing.buy_plan(
    p_id text, p_client text, p_plan text, p_renews boolean, p_coupon text, p_trial text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_answer licensing.answer;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    SELECT * INTO v FROM licensing.allowance WHERE client_id = p_client AND kind = 'plan' AND state = 'active';
    IF FOUND AND (v.ends_at > p_now OR v.paused_since IS NOT NULL) AND v.name <> p_plan::jsonb ->> 'id' THEN
        RETURN licensing.refused('conflict', 'what', format(
            'Plan %s runs until %s; change it to %s instead, or end its renewal and subscribe then', v.name,
            to_char(v.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), p_plan::jsonb ->> 'id'));
    ELSIF FOUND AND (v.ends_at > p_now OR v.paused_since IS NOT NULL) THEN
        UPDATE licensing.allowance
            SET renews = p_renews, next_plan = CASE WHEN trial_days IS NOT NULL THEN next_plan END
            WHERE allowance_id = v.allowance_id;
        RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
    ELSIF FOUND THEN
        UPDATE licensing.allowance SET state = 'ending' WHERE allowance_id = v.allowance_id;
    END IF;
    v := licensing.plan_row(p_id, p_client, p_plan::jsonb, p_renews, p_now);
    IF p_trial IS NOT NULL AND EXISTS (SELECT FROM licensing.allowance WHERE client_id = p_client AND kind = 'plan') THEN
        RETURN licensing.refused('conflict', 'what', format(
            'A plan can be tried once, and you have had one; subscribe to %s without a trial', v.name));
    ELSIF p_trial IS NOT NULL THEN
        v.trial_days := (p_trial::jsonb ->> 'days')::integer;
        v.price := licensing.worth_of(v.price, v.units, 0, (p_trial::jsonb ->> 'units')::bigint);
        v.units := (p_trial::jsonb ->> 'units')::bigint;
        v.discount := v.price; v.overage_cap := 0;
        v.next_plan := p_plan::jsonb;
    END IF;
    IF p_coupon IS NOT NULL THEN
        v_answer := licensing.take_coupon(p_coupon, v, p_now);
        IF v_answer.outcome = 'refused' THEN
            RETURN v_answer;
        END IF;
        v := jsonb_populate_record(v, v_answer.detail);
    END IF;
    v_answer := licensing.open_allowance(v, p_now);
    IF v_answer.outcome = 'opened' THEN
        INSERT INTO licensing.coupon_use (code, client_id, allowance_id, at)
            SELECT v.coupon, p_client, p_id, p_now WHERE v.coupon IS NOT NULL;
        UPDATE licensing.renewal SET state = 'given_up', next_at = NULL, ended_at = p_now
            WHERE client_id = p_client AND state = 'waiting';
    END IF;
    RETURN v_answer;
END $$;

-- What a plan would cost with a coupon if it were bought now: its first periods, and those after them. Changes nothing.
CREATE OR REPLACE FUNCTION licensing.quote_plan(p_client text, p_plan text, p_coupon text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_answer licensing.answer;
    v_bps integer;
BEGIN
    PERFORM licensing.require_party(p_client);
    v := licensing.plan_row('', p_client, p_plan::jsonb, true, p_now);
    v_answer := licensing.take_coupon(p_coupon, v, p_now);
    IF v_answer.outcome = 'refused' THEN
        RETURN v_answer;
    END IF;
    v := jsonb_populate_record(v, v_answer.detail);
    SELECT bps INTO v_bps FROM licensing.tax_of(p_client);
    RETURN ROW('quoted', NULL, jsonb_build_object(
        'coupon', v.coupon, 'discount', v.discount, 'periods', v.discounts + 1,
        'tax', licensing.tax_on(v.price - v.discount, v_bps)), NULL)::licensing.answer;
END $$;

-- The plan that runs becomes another one: at once, for its full price and with a new period, against what is not used of
-- the old one and not gone by; or when it is renewed.
CREATE OR REPLACE FUNCTION licensing.change_plan(
    p_id text, p_client text, p_plan text, p_at_once boolean, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_new licensing.allowance;
    v_pending bigint;
    v_answer licensing.answer;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    SELECT * INTO v FROM licensing.allowance
        WHERE client_id = p_client AND kind = 'plan' AND state = 'active' AND (ends_at > p_now OR paused_since IS NOT NULL);
    IF NOT FOUND THEN
        RETURN licensing.refused('conflict', 'what', 'No plan runs that could be changed; subscribe to one');
    ELSIF v.name = p_plan::jsonb ->> 'id' OR NOT p_at_once THEN
        UPDATE licensing.allowance
            SET renews = true, next_plan = CASE WHEN v.name <> p_plan::jsonb ->> 'id' OR v.trial_days IS NOT NULL
                                                THEN p_plan::jsonb END
            WHERE allowance_id = v.allowance_id;
        RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
    END IF;
    PERFORM licensing.lock_budgets(ARRAY[
        'prepaid:' || p_client || ':' || v.currency, 'units:' || v.allowance_id || ':unit',
        'overage:' || v.allowance_id || ':' || v.currency]);
    SELECT sum(pending) INTO v_pending FROM licensing.budget
        WHERE budget_id IN ('units:' || v.allowance_id || ':unit', 'overage:' || v.allowance_id || ':' || v.currency);
    IF v_pending > 0 THEN
        RETURN licensing.refused('conflict', 'what',
            'Pictures are being made from the plan that runs; change it when they are done, or at its renewal');
    END IF;
    v_new := licensing.plan_row(p_id, p_client, p_plan::jsonb, true, p_now);
    v_new.overage_cap := least(v.overage_cap, v_new.overage_most);
    -- What is not used of the old plan may pay for the new one, so it ends first; and goes on where that is not enough.
    BEGIN
        PERFORM licensing.close_allowance(v, true, p_now);
        v_answer := licensing.open_allowance(v_new, p_now);
        IF v_answer.outcome = 'refused' THEN
            RAISE EXCEPTION 'the new plan is not paid' USING ERRCODE = 'LC001';
        END IF;
    EXCEPTION WHEN SQLSTATE 'LC001' THEN
        RETURN v_answer;
    END;
    RETURN v_answer;
END $$;

-- Stop a plan's clock, at most until then; nothing is made from it meanwhile.
CREATE OR REPLACE FUNCTION licensing.pause_plan(p_client text, p_until timestamptz, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    UPDATE licensing.allowance SET paused_since = coalesce(paused_since, p_now), pause_until = p_until
        WHERE client_id = p_client AND kind = 'plan' AND state = 'active' AND trial_days IS NULL
          AND (ends_at > p_now OR paused_since IS NOT NULL)
        RETURNING * INTO v;
    IF NOT FOUND THEN
        RETURN licensing.refused('conflict', 'what', 'No plan runs that could be paused; a trial goes on to its end');
    END IF;
    RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
END $$;

CREATE OR REPLACE FUNCTION licensing.resume_plan(p_client text, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    UPDATE licensing.allowance
        SET ends_at = ends_at + (least(p_now, pause_until) - paused_since),
            anchor = anchor + (least(p_now, pause_until) - paused_since), paused_since = NULL, pause_until = NULL
        WHERE client_id = p_client AND kind = 'plan' AND state = 'active' AND paused_since IS NOT NULL
        RETURNING * INTO v;
    IF NOT FOUND THEN
        RETURN licensing.refused('conflict', 'what', 'No plan is paused; there is nothing to resume');
    END IF;
    RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
END $$;

-- How much this and the following periods may cost beyond the quota.
CREATE OR REPLACE FUNCTION licensing.cap_overage(p_client text, p_cap bigint, p_now timestamptz) RETURNS licensing.answer
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_budget licensing.budget;
BEGIN
    PERFORM licensing.require_party(p_client);
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', p_client));
    SELECT * INTO v FROM licensing.allowance
        WHERE client_id = p_client AND kind = 'plan' AND state = 'active' AND overage_price IS NOT NULL
          AND trial_days IS NULL AND (ends_at > p_now OR paused_since IS NOT NULL);
    IF NOT FOUND THEN
        RETURN licensing.refused('conflict', 'what', 'No plan runs that sells pictures beyond its quota; add prepaid money');
    ELSIF p_cap > v.overage_most THEN
        RETURN licensing.refused('invalid_request', jsonb_build_object('what', format(
            'At most %s %s a period can be made on account with plan %s; give no more, or add prepaid money',
            v.overage_most, v.currency, v.name)));
    ELSIF p_cap > 0 AND licensing.is_overdue(p_client, p_now) THEN
        RETURN licensing.refused('conflict', 'what', 'An invoice is overdue; pay it, and pictures can be made on account again');
    END IF;
    SELECT * INTO v_budget FROM licensing.budget
        WHERE budget_id = 'overage:' || v.allowance_id || ':' || v.currency FOR UPDATE;
    UPDATE licensing.budget SET granted = greatest(p_cap, posted + pending) WHERE budget_id = v_budget.budget_id;
    UPDATE licensing.allowance SET overage_cap = p_cap WHERE allowance_id = v.allowance_id;
    RETURN ROW('opened', NULL, jsonb_build_object('allowance_id', v.allowance_id), NULL)::licensing.answer;
END $$;

-- Free units for a month, of the operator's money; renewed by itself. Nothing where some run.
CREATE OR REPLACE FUNCTION licensing.grant_free(
    p_id text, p_client text, p_covers text, p_price bigint, p_currency text, p_units bigint, p_now timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    PERFORM pg_advisory_xact_lock(licensing.lock_no('free', p_client));
    IF EXISTS (SELECT FROM licensing.allowance WHERE client_id = p_client AND kind = 'free' AND state = 'active') THEN
        RETURN false;
    END IF;
    v.allowance_id := p_id; v.kind := 'free'; v.client_id := p_client; v.name := 'free'; v.covers := p_covers::jsonb;
    v.price := p_price; v.currency := p_currency; v.units := p_units; v.fee_bps := 0; v.notice_days := 0; v.months := 1;
    v.anchor := p_now; v.period := 0; v.starts_at := p_now; v.renews := true; v.discount := p_price; v.discounts := 36;
    v.overage_most := 0; v.overage_cap := 0;
    PERFORM licensing.open_allowance(v, p_now);
    RETURN true;
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
    v.covers := jsonb_build_object(p_tier, 1); v.discount := 0; v.discounts := 0; v.overage_most := 0; v.overage_cap := 0;
    v.anchor := p_now; v.period := 0; v.starts_at := p_now; v.renews := p_renews;
    RETURN v;
END $$;

-- What of a period's price is neither used nor gone by, after `p_used` units: the smaller of both. `refund` is the client's
-- part of it, with its `tax`; the rest was a discount.
CREATE OR REPLACE FUNCTION licensing.unused_of(
    p licensing.allowance, p_used bigint, p_now timestamptz, OUT unused bigint, OUT refund bigint, OUT tax bigint
) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_left interval := greatest(interval '0', p.ends_at - coalesce(p.paused_since, p_now));
BEGIN
    unused := least(p.price - licensing.worth_of(p.price, p.units, 0, p_used),
                    round(p.price * extract(epoch FROM v_left) / extract(epoch FROM p.length)));
    refund := CASE WHEN p.price = 0 THEN 0 ELSE unused * (p.price - p.discount) / p.price END;
    tax := licensing.tax_back(refund, p.tax_bps);
END $$;

-- End a period for which nothing is pending and whose budgets are locked. With `p_refund` the unused part goes back: by
-- time left, but not what pictures have already been paid from; to the client what the client paid of it, with its tax, to
-- the operator what was a discount. Returns what the client got.
CREATE OR REPLACE FUNCTION licensing.close_allowance(p licensing.allowance, p_refund boolean, p_now timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_units CONSTANT text := 'units:' || p.allowance_id || ':unit';
    v_used bigint;
    v_deferred bigint;
    v_unused bigint := 0;
    v_refund bigint := 0;
    v_tax bigint := 0;
    v_promo bigint;
    v_rest bigint;
    v_fee bigint;
    v_to record;
BEGIN
    SELECT posted INTO STRICT v_used FROM licensing.budget WHERE budget_id = v_units AND pending = 0;
    v_deferred := p.price - licensing.worth_of(p.price, p.units, 0, v_used);
    IF p_refund THEN
        SELECT unused, refund, tax INTO v_unused, v_refund, v_tax FROM licensing.unused_of(p, v_used, p_now);
    END IF;
    v_rest := v_deferred - v_unused;
    v_promo := v_unused - v_refund;
    IF p.kind = 'free' OR p.trial_days IS NOT NULL THEN
        v_promo := v_promo + v_rest;
        v_rest := 0;
    END IF;
    v_fee := CASE WHEN p.kind = 'licence' THEN licensing.fee_of(v_rest, p.fee_bps) ELSE v_rest END;
    v_to := licensing.payables(p.style_id, p.terms_version, p.creator_id, v_rest - v_fee, p.currency);
    PERFORM licensing.post(p.kind || '_end', p.allowance_id,
        jsonb_build_object('style', p.style_id, 'tier', p.tier, 'refund', v_refund, 'price', v_rest,
                           'share', v_rest - v_fee, 'fee', v_fee),
        p_now,
        ARRAY['deferred:' || p.allowance_id || ':' || p.currency, 'prepaid:' || p.client_id || ':' || p.currency,
              'fee:operator:' || p.currency, v_units, 'lapsed:operator:unit', 'tax:operator:' || p.currency,
              'promo:operator:' || p.currency]
        || CASE WHEN p.kind = 'licence' THEN v_to.accounts ELSE ARRAY[]::text[] END,
        ARRAY[-v_deferred, v_refund + v_tax, v_fee, v_used - p.units, p.units - v_used, -v_tax, v_promo]
        || CASE WHEN p.kind = 'licence' THEN v_to.amounts ELSE ARRAY[]::bigint[] END);
    UPDATE licensing.budget SET granted = v_used WHERE budget_id = v_units;
    UPDATE licensing.budget SET granted = posted WHERE budget_id = 'overage:' || p.allowance_id || ':' || p.currency;
    UPDATE licensing.budget SET granted = granted + v_refund + v_tax
        WHERE budget_id = 'prepaid:' || p.client_id || ':' || p.currency AND v_refund > 0;
    UPDATE licensing.allowance
        SET state = CASE WHEN p_refund THEN 'refunded' ELSE 'ended' END, ended_at = p_now, paused_since = NULL,
            pause_until = NULL
        WHERE allowance_id = p.allowance_id;
    RETURN v_refund + v_tax;
END $$;

-- A period that is over: renew it if it renews, close it as soon as no order is pending on it. True if anything changed.
-- A plan that finds no money is tried again after so many days.
CREATE OR REPLACE FUNCTION licensing.roll_over(p_id text, p_new_id text, p_retry_days integer[], p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_next licensing.answer;
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
    PERFORM licensing.lock_budgets(ARRAY[
        'prepaid:' || v.client_id || ':' || v.currency, 'units:' || v.allowance_id || ':unit',
        'overage:' || v.allowance_id || ':' || v.currency]);
    SELECT * INTO STRICT v FROM licensing.allowance WHERE allowance_id = p_id FOR UPDATE;
    IF v.state NOT IN ('active', 'ending') OR v.ends_at > p_now OR v.paused_since IS NOT NULL THEN
        RETURN false;
    END IF;
    v_before := v.state;
    IF v.state = 'active' THEN
        UPDATE licensing.allowance SET state = 'ending' WHERE allowance_id = p_id;
        IF v.renews AND v_level IN ('live', 'closed') THEN
            v_next := licensing.open_allowance(licensing.next_period(v, p_new_id, p_now), p_now);
            IF v_next.outcome = 'refused' AND v.kind = 'plan' AND v.trial_days IS NULL THEN
                INSERT INTO licensing.renewal (allowance_id, client_id, since, next_at, retry_days)
                    SELECT p_id, v.client_id, p_now, p_now + make_interval(days => p_retry_days[1]), p_retry_days
                    WHERE cardinality(p_retry_days) > 0;
            END IF;
        END IF;
    END IF;
    SELECT sum(pending) INTO STRICT v_pending FROM licensing.budget
        WHERE budget_id IN ('units:' || p_id || ':unit', 'overage:' || p_id || ':' || v.currency);
    IF v_pending = 0 THEN
        PERFORM licensing.close_allowance(v, false, p_now);
    END IF;
    RETURN v_pending = 0 OR v_before = 'active';
END $$;

-- The period after `p`, counted from the same day; from now instead if all of it has gone by while nothing ran here, or
-- if another plan follows, or the one that was tried.
CREATE OR REPLACE FUNCTION licensing.next_period(p licensing.allowance, p_id text, p_now timestamptz)
RETURNS licensing.allowance LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_is_new CONSTANT boolean := p.next_plan IS NOT NULL;
BEGIN
    p.renewed_from := p.allowance_id;
    p.allowance_id := p_id;
    p.starts_at := p.ends_at;
    IF v_is_new THEN
        p := licensing.with_plan(p, p.next_plan);
        p.trial_days := NULL; p.next_plan := NULL;
    END IF;
    IF p.discounts > 0 THEN
        p.discounts := p.discounts - CASE p.kind WHEN 'free' THEN 0 ELSE 1 END;
        p.discount := CASE WHEN v_is_new THEN 0 ELSE p.discount END;
    ELSE
        p.discount := 0; p.coupon := NULL;
    END IF;
    p.anchor := CASE WHEN v_is_new THEN p.starts_at ELSE p.anchor END;
    p.period := CASE WHEN v_is_new THEN 0 ELSE p.period + 1 END;
    IF licensing.end_of(p) <= p_now THEN
        p.anchor := p_now; p.period := 0; p.starts_at := p_now;
    END IF;
    RETURN p;
END $$;

-- A renewal that waits for money, tried once more: `paid`, `waiting` for the next try, `given_up` after the last, or
-- `unchanged` where it has ended. The new period begins when it is paid.
CREATE OR REPLACE FUNCTION licensing.retry_renewal(p_id text, p_new_id text, p_now timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_renewal licensing.renewal;
    v_state text := 'waiting';
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.require_read_committed();
    SELECT * INTO STRICT v FROM licensing.allowance WHERE allowance_id = p_id;
    PERFORM pg_advisory_xact_lock(licensing.lock_no('plan', v.client_id));
    SELECT * INTO v_renewal FROM licensing.renewal WHERE allowance_id = p_id FOR UPDATE;
    IF v_renewal.state IS DISTINCT FROM 'waiting' THEN
        RETURN 'unchanged';
    END IF;
    SELECT * INTO STRICT v FROM licensing.allowance WHERE allowance_id = p_id;
    v := licensing.next_period(v, p_new_id, p_now);
    v.anchor := p_now; v.period := 0; v.starts_at := p_now;
    IF NOT v.renews THEN
        v_state := 'given_up';
    ELSIF (licensing.open_allowance(v, p_now)).outcome = 'opened' THEN
        v_state := 'paid';
    ELSIF v_renewal.next_at <= p_now THEN
        v_renewal.tries := v_renewal.tries + 1;
        v_state := CASE WHEN v_renewal.tries >= cardinality(v_renewal.retry_days) THEN 'given_up' ELSE 'waiting' END;
    END IF;
    UPDATE licensing.renewal SET tries = v_renewal.tries, state = v_state,
            next_at = CASE WHEN v_state = 'waiting'
                           THEN since + make_interval(days => retry_days[v_renewal.tries + 1]) END,
            ended_at = CASE WHEN v_state <> 'waiting' THEN p_now END
        WHERE allowance_id = p_id;
    RETURN v_state;
END $$;
