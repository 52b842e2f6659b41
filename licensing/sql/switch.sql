-- Setting a switch: the fence, the holds that end with it, the clocks of licences, the refunds, the news: one commit.

-- A change reaches the orders and licences of this creator, this style ('' for all) and this client ('' for all).
CREATE OR REPLACE FUNCTION licensing.set_switch(
    p_creator text, p_style text, p_client text, p_level text, p_reason text, p_by text, p_now timestamptz
) RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v_before licensing.switch;
    v_refusal licensing.answer;
    v_ended licensing.answer;
    v_orders text[] := '{}';
    v_stopped integer := 0;
    v_refunded bigint := 0;
    v_currency text;
    v_after licensing.switch;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.lock_switch(p_creator, p_style);
    v_refusal := licensing.switch_refusal(p_creator, p_style, p_client, p_level);
    IF v_refusal.outcome IS NOT NULL THEN
        RETURN v_refusal;
    END IF;
    v_before := licensing.switch_row(p_creator, p_style, p_client);
    IF v_before.ends_at <= p_now AND p_level NOT IN ('off', 'destroyed') THEN
        -- A wind-down whose date has come is off, whether or not anybody has noticed: what it ends ends before what follows.
        v_ended := licensing.set_switch(p_creator, p_style, p_client, 'off', v_before.reason, 'notice', p_now);
        v_before := licensing.switch_row(p_creator, p_style, p_client);
    END IF;
    SELECT max(currency) INTO v_currency FROM licensing.style
        WHERE creator_id = p_creator AND (p_style = '' OR style_id = p_style);
    IF v_before.level = p_level THEN
        RETURN licensing.switched(v_before, v_before.level, '{}', 0, 0, v_currency, p_now);
    END IF;
    v_after := licensing.write_switch(v_before, p_level, p_reason, p_by, p_now);
    IF p_level IN ('off', 'destroyed') THEN
        SELECT coalesce(array_agg(order_id), '{}'), count(*) FILTER (WHERE running) INTO v_orders, v_stopped
            FROM licensing.lock_open_holds(p_creator, p_style, p_client);
        v_refunded := licensing.withdraw(p_creator, p_style, p_client, v_orders, p_now);
    END IF;
    PERFORM licensing.sync_pauses(p_creator, p_style, p_client, p_now);
    INSERT INTO licensing.switch_event (
        creator_id, style_id, client_id, level_before, level, epoch, reason, actor, at, stopped, voided, refunded, currency)
    VALUES (p_creator, p_style, p_client, v_before.level, p_level, v_after.epoch, p_reason, p_by, p_now,
            v_stopped, cardinality(v_orders), v_refunded, v_currency);
    PERFORM pg_notify('ownhand_switch', coalesce(nullif(p_style, ''), p_creator));
    IF v_ended.outcome IS NOT NULL THEN
        v_orders := ARRAY(SELECT jsonb_array_elements_text(v_ended.detail -> 'order_ids'));
        v_stopped := (v_ended.detail ->> 'stopped')::integer;
        v_refunded := (v_ended.detail ->> 'refunded')::bigint;
    END IF;
    RETURN licensing.switched(v_after, p_level, v_orders, v_stopped, v_refunded, v_currency, p_now);
END $$;

-- A wind-down whose date has come becomes off; `unchanged` where somebody set it otherwise.
CREATE OR REPLACE FUNCTION licensing.end_notice(p_creator text, p_style text, p_client text, p_now timestamptz)
RETURNS licensing.answer LANGUAGE plpgsql AS $$
DECLARE
    v licensing.switch;
BEGIN
    PERFORM licensing.require_house();
    PERFORM licensing.lock_switch(p_creator, p_style);
    v := licensing.switch_row(p_creator, p_style, p_client);
    IF v.level <> 'wind_down' OR v.ends_at > p_now THEN
        RETURN ROW('unchanged', NULL, NULL, NULL)::licensing.answer;
    END IF;
    RETURN licensing.set_switch(p_creator, p_style, p_client, 'off', v.reason, 'notice', p_now);
END $$;

-- Everything below the switch stands still: all styles of a creator, or one style with all its clients.
CREATE OR REPLACE FUNCTION licensing.lock_switch(p_creator text, p_style text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM licensing.require_read_committed();
    IF p_style = '' THEN
        PERFORM pg_advisory_xact_lock(licensing.lock_no('creator', p_creator));
    ELSE
        PERFORM pg_advisory_xact_lock_shared(licensing.lock_no('creator', p_creator));
        PERFORM pg_advisory_xact_lock(licensing.lock_no('style', p_style));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION licensing.switch_refusal(p_creator text, p_style text, p_client text, p_level text)
RETURNS licensing.answer LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_style <> '' AND NOT EXISTS (
        SELECT FROM licensing.style WHERE style_id = p_style AND creator_id = p_creator) THEN
        RETURN licensing.refused('not_found', 'what', 'style', 'id', p_style);
    ELSIF p_client <> '' AND p_level = 'destroyed' THEN
        RETURN licensing.refused('invalid_request', 'what',
            'A style cannot be destroyed for one client alone; switch it off for that client, or destroy it for all');
    ELSIF p_style <> '' AND (licensing.switch_row(p_creator, p_style, '')).level = 'destroyed'
        AND (p_level <> 'destroyed' OR p_client <> '') THEN
        RETURN licensing.refused('style_destroyed', 'style_id', p_style);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION licensing.switch_row(p_creator text, p_style text, p_client text) RETURNS licensing.switch
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v licensing.switch;
BEGIN
    SELECT * INTO v FROM licensing.switch
        WHERE creator_id = p_creator AND style_id = p_style AND client_id = p_client;
    IF NOT FOUND THEN
        v.creator_id := p_creator; v.style_id := p_style; v.client_id := p_client;
        v.level := 'live'; v.epoch := 0; v.cut := 0;
    END IF;
    RETURN v;
END $$;

-- Store the new level. Destroying everything destroys each style for good; the switch for everything keeps its level,
-- so that the creator may begin again with a new style.
CREATE OR REPLACE FUNCTION licensing.write_switch(
    p licensing.switch, p_level text, p_reason text, p_by text, p_now timestamptz
) RETURNS licensing.switch LANGUAGE plpgsql AS $$
DECLARE
    v_style text;
BEGIN
    p.epoch := p.epoch + 1;
    p.cut := CASE WHEN p_level IN ('off', 'destroyed') THEN p.epoch ELSE p.cut END;
    p.reason := p_reason; p.actor := p_by; p.at := p_now;
    IF p.style_id = '' AND p_level = 'destroyed' THEN
        FOR v_style IN SELECT style_id FROM licensing.style WHERE creator_id = p.creator_id ORDER BY style_id LOOP
            PERFORM licensing.write_switch(
                licensing.switch_row(p.creator_id, v_style, ''), p_level, p_reason, p_by, p_now);
        END LOOP;
    ELSE
        p.level := p_level;
        p.ends_at := CASE WHEN p_level = 'wind_down' THEN
            p_now + make_interval(days => licensing.notice_of(p.creator_id, p.style_id, p.client_id)) END;
    END IF;
    INSERT INTO licensing.switch VALUES (p.*)
        ON CONFLICT (creator_id, style_id, client_id) DO UPDATE
        SET level = p.level, epoch = p.epoch, cut = p.cut, ends_at = p.ends_at, reason = p.reason, actor = p.actor, at = p.at;
    RETURN p;
END $$;

-- The longest notice promised to anybody whom a wind-down reaches: by the terms now, or by a running licence.
CREATE OR REPLACE FUNCTION licensing.notice_of(p_creator text, p_style text, p_client text) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(days), 0) FROM (
        SELECT t.notice_days AS days FROM licensing.style s
            JOIN licensing.terms t ON t.style_id = s.style_id AND t.version = s.terms_version
            WHERE s.creator_id = p_creator AND (p_style = '' OR s.style_id = p_style)
        UNION ALL
        SELECT a.notice_days FROM licensing.allowance a
            WHERE a.creator_id = p_creator AND (p_style = '' OR a.style_id = p_style)
              AND (p_client = '' OR a.client_id = p_client) AND a.state = 'active'
    ) promised
$$;

CREATE OR REPLACE FUNCTION licensing.lock_open_holds(p_creator text, p_style text, p_client text)
RETURNS SETOF licensing.hold LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM licensing.hold
        WHERE creator_id = p_creator AND (p_style = '' OR style_id = p_style)
          AND (p_client = '' OR client_id = p_client) AND state = 'open'
        ORDER BY order_id FOR UPDATE;
END $$;

-- End the holds, then the licences with their refunds; returns the sum of the refunds.
CREATE OR REPLACE FUNCTION licensing.withdraw(
    p_creator text, p_style text, p_client text, p_orders text[], p_now timestamptz
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v licensing.allowance;
    v_refunded bigint := 0;
BEGIN
    PERFORM licensing.lock_budgets(ARRAY(
        SELECT c.budget_id FROM licensing.hold h, licensing.claims(h) c WHERE h.order_id = ANY (p_orders)
        UNION
        SELECT unnest(ARRAY['units:' || a.allowance_id || ':unit', 'prepaid:' || a.client_id || ':' || a.currency])
        FROM licensing.licences_in(p_creator, p_style, p_client) a));
    PERFORM licensing.end_holds(p_orders, 'voided', 'withdrawn', p_now);
    FOR v IN SELECT * FROM licensing.licences_in(p_creator, p_style, p_client) LOOP
        v_refunded := v_refunded + licensing.close_allowance(v, true, p_now);
    END LOOP;
    RETURN v_refunded;
END $$;

CREATE OR REPLACE FUNCTION licensing.licences_in(p_creator text, p_style text, p_client text)
RETURNS SETOF licensing.allowance LANGUAGE sql STABLE AS $$
    SELECT * FROM licensing.allowance
    WHERE kind = 'licence' AND creator_id = p_creator AND (p_style = '' OR style_id = p_style)
      AND (p_client = '' OR client_id = p_client) AND state IN ('active', 'ending')
    ORDER BY allowance_id
$$;

-- Hold queued orders of paused styles for a day and stop the clocks of their licences; let both run on again after.
CREATE OR REPLACE FUNCTION licensing.sync_pauses(p_creator text, p_style text, p_client text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE licensing.hold h
        SET paused_at = CASE WHEN fresh.paused THEN p_now END,
            lease_until = p_now + CASE WHEN fresh.paused THEN licensing.pause_limit() ELSE make_interval(secs => h.hold_s) END
        FROM (SELECT l.order_id, (licensing.governing(l.creator_id, l.style_id, l.client_id, p_now)).level = 'paused'
                     AS paused
              FROM licensing.lock_open_holds(p_creator, p_style, p_client) l WHERE NOT l.running) fresh
        WHERE h.order_id = fresh.order_id AND fresh.paused <> (h.paused_at IS NOT NULL);
    UPDATE licensing.allowance a
        SET paused_since = CASE WHEN fresh.paused THEN p_now END,
            ends_at = CASE WHEN fresh.paused THEN a.ends_at ELSE a.ends_at + (p_now - a.paused_since) END,
            anchor = CASE WHEN fresh.paused THEN a.anchor ELSE a.anchor + (p_now - a.paused_since) END
        FROM (SELECT l.allowance_id, (licensing.governing(l.creator_id, l.style_id, l.client_id, p_now)).level = 'paused'
                     AS paused
              FROM licensing.licences_in(p_creator, p_style, p_client) l WHERE l.state = 'active') fresh
        WHERE a.allowance_id = fresh.allowance_id AND fresh.paused <> (a.paused_since IS NOT NULL);
END $$;

CREATE OR REPLACE FUNCTION licensing.switched(
    p licensing.switch, p_level text, p_orders text[], p_stopped integer, p_refunded bigint, p_currency text,
    p_now timestamptz
) RETURNS licensing.answer LANGUAGE sql STABLE AS $$
    SELECT ROW('switched', NULL, jsonb_build_object(
        'level', p_level, 'epoch', p.epoch,
        'governing', CASE WHEN p.style_id = '' THEN p_level
                          ELSE (licensing.governing(p.creator_id, p.style_id, p.client_id, p_now)).level END,
        'stopped', p_stopped, 'voided', cardinality(p_orders), 'refunded', p_refunded,
        'currency', coalesce(p_currency, repeat('X', 3)), -- ISO 4217 for "no currency"
        'ends_at', p.ends_at, 'order_ids', p_orders), NULL)::licensing.answer
$$;
